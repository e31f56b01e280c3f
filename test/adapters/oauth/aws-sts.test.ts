// STS AssumeRole, with a server that verifies each signature by AWS's documentation of Signature Version 4.
import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { NO_SECRETS, type Target } from '../../../src/domain/target.ts';
import {
  createTarget,
  expectFault,
  REDIRECT_URI,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.ts';

const KEY_ID = 'AKIAEXAMPLE000000001';
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const ROLE = 'arn:aws:iam::123456789012:role/acme';
const EXTERNAL_ID = 'acme =+/~: ü';

let server: ScriptedServer;
let adapter: TestAdapter;
let answer: (request: ReceivedRequest) => ScriptedResponse;

const hex = (text: string) => createHash('sha256').update(text).digest('hex');
const mac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** Undefined when the request is signed with the key, for this region, service and time. */
function signatureFault({ method, path, headers, body }: ReceivedRequest): string | undefined {
  const parts = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
  const [, credential = '', signed = '', signature] = parts.exec(headers.authorization ?? '') ?? [];
  const [id, day, region, service, end] = credential.split('/');
  const date = String(headers['x-amz-date']);
  if (id !== KEY_ID) return 'InvalidClientTokenId';
  if (region !== 'eu-west-1' || service !== 'sts' || end !== 'aws4_request') return 'SignatureDoesNotMatch';
  if (!/^\d{8}T\d{6}Z$/.test(date) || !date.startsWith(day!)) return 'IncompleteSignature';
  const names = signed.split(';');
  if (!names.includes('host') || !names.includes('x-amz-date')) return 'IncompleteSignature';
  const [route = '', query = ''] = path.split('?');
  const canonical = [
    method,
    route,
    query.split('&').sort().join('&'),
    ...names.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
    '',
    signed,
    hex(body),
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', date, [day, region, service, end].join('/'), hex(canonical)].join('\n');
  const key = [day, region, service, end].reduce<string | Buffer>((last, part) => mac(last, part!), `AWS4${SECRET}`);
  return mac(key, toSign).toString('hex') === signature ? undefined : 'SignatureDoesNotMatch';
}

const refusal = (status: number, Code: string, Message = 'no'): ScriptedResponse => ({
  status,
  body: { Error: { Code, Message, Type: 'Sender' }, RequestId: 'r' },
});
const credentials = { AccessKeyId: 'ASIATEMP', SecretAccessKey: 'temporary', SessionToken: 'session' };
const success = (Expiration: unknown, headers = {}): ScriptedResponse => ({
  headers,
  body: { AssumeRoleResponse: { AssumeRoleResult: { Credentials: { ...credentials, Expiration } } } },
});

beforeAll(async () => {
  server = await startScriptedServer((request) => {
    const wrong = signatureFault(request);
    return wrong === undefined ? answer(request) : refusal(403, wrong, `${wrong}: ${request.headers.authorization}`);
  });
  adapter = startTestAdapter();
});
beforeEach(() => {
  server.received.length = 0;
  answer = () => success(adapter.now() / 1_000 + 1_800);
});
afterAll(async () => {
  await adapter.close();
  await server.close();
});

interface Given {
  id?: string;
  secret?: string | null;
  params?: Record<string, string>;
  mode?: object;
}

function target({ id = KEY_ID, secret = SECRET, params = {}, mode = {} }: Given = {}): Target {
  const anything = { title: 'text', pattern: '.*', optional: true };
  const entry = {
    mode: 'aws_sts_assume_role',
    token_url: `${server.url}/`,
    region: '{region}',
    params: {
      region: { title: 'region', pattern: '[a-z0-9-]+', default: 'eu-west-1' },
      role_arn: anything,
      external_id: anything,
    },
    errors: { grant_dead: ['accessdenied'], misconfigured: ['signaturedoesnotmatch'], transient: ['throttling'] },
    ...mode,
  };
  const made = createTarget({ auth: [entry] }, { clientId: id, params: { role_arn: ROLE, ...params } });
  return { ...made, secrets: { ...NO_SECRETS, secret } };
}

const mint = (at: Target, by = adapter) =>
  by.client.refresh(at, {
    credentials: { accessToken: null, refreshToken: null, idToken: null, credentials: '{}' },
    identity: null,
    scopes: [],
    captured: {},
    redirectUri: REDIRECT_URI,
  });

describe('AssumeRole', () => {
  test('sends a signed request, and returns the JSON that AWS’s own tools read', async () => {
    const value = unwrap(await mint(target({ params: { external_id: EXTERNAL_ID } })));
    expect(value).toMatchObject({ tokenType: 'AWS4-HMAC-SHA256', refreshToken: undefined, scopes: undefined });
    expect(value.expiresIn).toBeGreaterThan(1_790);
    // The server's Date has whole seconds, so a lifetime that is measured by it may be one second longer.
    expect(value.expiresIn).toBeLessThanOrEqual(1_801);
    const { Expiration, ...rest } = JSON.parse(value.accessToken);
    expect(rest).toEqual({ Version: 1, ...credentials });
    expect(Math.abs(Date.parse(Expiration) - adapter.now() - 1_800_000)).toBeLessThan(5_000);
    expect(Object.fromEntries(server.received[0]!.form)).toEqual({
      Action: 'AssumeRole',
      Version: '2011-06-15',
      RoleArn: ROLE,
      RoleSessionName: 'valetkey',
      DurationSeconds: '3600',
      ExternalId: EXTERNAL_ID,
    });
    expect(server.received[0]!.headers.accept).toBe('application/json');
  });

  test('omits the external id when the connection has none, and uses the catalogue’s duration', async () => {
    unwrap(await mint(target({ mode: { duration: 900, session_name: '{client_id}-session' } })));
    const form = Object.fromEntries(server.received[0]!.form);
    expect(form).toMatchObject({ DurationSeconds: '900', RoleSessionName: `${KEY_ID}-session` });
    expect(form).not.toHaveProperty('ExternalId');
  });

  test('signs with the injected clock', async () => {
    const ahead = startTestAdapter();
    ahead.advance(3 * 86_400_000);
    answer = () => success(ahead.now() / 1_000 + 1_800, { date: new Date(ahead.now()).toUTCString() });
    unwrap(await mint(target(), ahead));
    expect(server.received[0]!.headers['x-amz-date']).toMatch(
      new RegExp(`^${new Date(ahead.now()).toISOString().slice(0, 10).replaceAll('-', '')}T`),
    );
    await ahead.close();
  });

  test.each([
    ['text', () => new Date(adapter.now() + 600_000).toISOString()],
    ['seconds', () => Math.floor(adapter.now() / 1_000) + 600],
  ])('expires at AWS’s Expiration, in %s', async (_, expiration) => {
    answer = () => success(expiration());
    const { expiresIn } = unwrap(await mint(target()));
    expect(expiresIn).toBeGreaterThan(590);
    expect(expiresIn).toBeLessThanOrEqual(601);
  });

  test('measures Expiration by AWS’s clock', async () => {
    const theirs = Date.parse('2031-05-06T07:08:09Z');
    answer = () => success('2031-05-06T07:18:09Z', { date: new Date(theirs).toUTCString() });
    expect(unwrap(await mint(target())).expiresIn).toBe(600);
  });

  test('caps an Expiration that is very far away', async () => {
    for (const never of [1e300, '9'.repeat(30), '1e999']) {
      answer = () => success(never);
      const { expiresIn } = unwrap(await mint(target()));
      expect(new Date(adapter.now() + expiresIn! * 1_000).getTime()).toBeGreaterThan(adapter.now());
    }
  });

  test('expires after the requested duration when AWS does not say', async () => {
    answer = () => success(undefined);
    expect(unwrap(await mint(target())).expiresIn).toBe(3_600);
  });
});

describe('AssumeRole error', () => {
  const xml = (status: number, code: string): ScriptedResponse => ({
    status,
    headers: { 'content-type': 'text/xml' },
    body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>User: x &amp; y is not authorized</Message></Error></ErrorResponse>`,
  });
  const { SessionToken: _, ...lacks } = credentials;
  const lacking = { body: { AssumeRoleResponse: { AssumeRoleResult: { Credentials: lacks } } } };
  const cases: [string, ScriptedResponse, object][] = [
    ['AccessDenied', refusal(403, 'AccessDenied'), { kind: 'grant_dead', code: 'accessdenied' }],
    ['AccessDenied in XML', xml(403, 'AccessDenied'), { kind: 'grant_dead', code: 'accessdenied' }],
    ['Throttling', refusal(400, 'Throttling'), { kind: 'transient', code: 'throttling' }],
    ['Throttling in XML', xml(400, 'Throttling'), { kind: 'transient', code: 'throttling' }],
    ['RegionDisabledException', refusal(403, 'RegionDisabledException'), { kind: 'misconfigured' }],
    ['a gateway’s HTML', { status: 502, body: '<html>Bad gateway' }, { kind: 'transient', code: 'http_502' }],
    ['503', { status: 503 }, { kind: 'transient', code: 'http_503' }],
    ['429', { status: 429, headers: { 'retry-after': '5' } }, { kind: 'transient', retryAfter: 5 }],
    ['a connection that breaks', 'drop', { kind: 'transient', code: 'network_error' }],
    ['a success that makes no sense', { body: '<html>maintenance' }, { kind: 'transient', code: 'invalid_answer' }],
    ['a success without a session token', lacking, { kind: 'transient', code: 'invalid_answer' }],
  ];
  test.each(cases)('%s', async (_, said, expected) => {
    answer = () => said;
    expect(expectFault(await mint(target()))).toMatchObject({ ...expected, outcomeUnknown: false });
  });

  test.each([
    ['a wrong secret', { secret: 'not-the-secret-access-key' }, 'signaturedoesnotmatch'],
    ['another region', { params: { region: 'us-east-1' } }, 'signaturedoesnotmatch'],
    ['an unknown access key id', { id: 'AKIAUNKNOWN' }, 'invalidclienttokenid'],
  ])('%s: misconfigured, with secrets redacted', async (_, given, code) => {
    const fault = expectFault(await mint(target(given)));
    expect(fault).toMatchObject({ kind: 'misconfigured', code, outcomeUnknown: false });
    for (const secret of [SECRET, 'not-the-secret-access-key', /[0-9a-f]{64}/])
      expect(fault.detail).not.toMatch(secret);
  });

  test('AssumeRole without the integration’s keys: sends nothing', async () => {
    expect(expectFault(await mint(target({ secret: null })))).toMatchObject({
      kind: 'misconfigured',
      code: 'missing_credentials',
    });
    expect(server.received).toEqual([]);
  });

  test('AssumeRole at a server that hangs: transient', async () => {
    const hasty = startTestAdapter({ timeoutMs: 40 });
    answer = () => 'hang';
    expect(expectFault(await mint(target(), hasty))).toMatchObject({
      kind: 'transient',
      code: 'timeout',
      outcomeUnknown: false,
    });
    await hasty.close();
  });
});
