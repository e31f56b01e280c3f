// Signals of providers over HTTP: security events as a vendor documents them, and what they do to connections.
import { createHash, createSign, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, readResponse, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

const RISC = 'https://schemas.openid.net/secevent/risc/event-type';
const OAUTH = 'https://schemas.openid.net/secevent/oauth/event-type';
const CAEP = 'https://schemas.openid.net/secevent/caep/event-type';
const SSF = 'https://schemas.openid.net/secevent/ssf/event-type';
const LOGOUT = 'http://schemas.openid.net/event/backchannel-logout';

const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const genuine = rsa();
const forged = rsa();
let folder: string;
let op: ScriptedServer;
let broker: TestBroker;
/** Refresh tokens that the provider refuses. */
const dead = new Set<string>();
/** Those that it replaces, by their successors. */
const rotates = new Map<string, string>();
/** Refresh tokens whose answers wait. */
const waits = new Map<string, Promise<void>>();
let keysFail = false;
const polled: Json[] = [];
let toPoll: Record<string, string> = {};

beforeAll(async () => {
  op = await startScriptedServer(async ({ path, form, body, headers }) => {
    const { url } = op;
    if (path === '/jwks')
      return keysFail
        ? { status: 500 }
        : { body: { keys: [{ ...genuine.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }] } };
    if (path.endsWith('/openid-configuration'))
      return {
        body: {
          issuer: url,
          jwks_uri: `${url}/jwks`,
          authorization_endpoint: `${url}/authorize`,
          token_endpoint: `${url}/token`,
          id_token_signing_alg_values_supported: ['RS256'],
        },
      };
    if (path === '/poll') {
      const asked = JSON.parse(body) as Json;
      polled.push({ ...asked, authorization: headers.authorization });
      for (const jti of (asked.ack as string[] | undefined) ?? []) delete toPoll[jti];
      for (const jti of Object.keys((asked.setErrs as object | undefined) ?? {})) delete toPoll[jti];
      return { body: withDeep({ sets: asked.maxEvents === 0 ? {} : toPoll, moreAvailable: false }) };
    }
    if (path !== '/token') return { status: 404 };
    await waits.get(form.get('refresh_token') ?? '');
    if (dead.has(form.get('refresh_token') ?? '')) return { status: 400, body: { error: 'invalid_grant' } };
    const refresh_token = rotates.get(form.get('refresh_token') ?? '');
    const access_token = randomBytes(9).toString('hex');
    return { body: { access_token, refresh_token, token_type: 'Bearer', expires_in: 3_600 } };
  });
  folder = await mkdtemp(join(tmpdir(), 'valetkey-signals-'));
  const entry = {
    id: 'risc-vendor',
    name: 'A vendor with RISC',
    category: 'identity',
    docs_url: 'https://vendor.example/docs',
    confidence: 'documented',
    extends: 'generic-oidc',
    auth: [{ mode: 'oidc' }],
    webhooks: {
      risc: {
        title: 'RISC',
        receiver: 'signals',
        verify: {
          scheme: 'set',
          issuer: `${op.url}/`,
          jwks_uri: `${op.url}/jwks`,
          typed: false,
          subject_issuer: op.url,
          names_tokens: true,
        },
        setup: { url: 'in its console' },
      },
    },
  };
  await writeFile(join(folder, 'risc-vendor.json'), JSON.stringify(entry));
  broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: folder }, undefined, { signalPollEveryMs: 300 });
  const common = { client_secret: 's', params: { issuer: op.url } };
  for (const [id, provider, client_id] of [
    ['risc', 'risc-vendor', 'client-a'],
    ['risc-two', 'risc-vendor', 'client-b'],
    ['ssf', 'generic-oidc', 'client-s'],
  ])
    expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, { ...common, provider, client_id }), 201);
});
afterAll(async () => {
  await broker?.stop();
  await op?.close();
  await rm(folder, { recursive: true, force: true });
});

const now = () => Math.floor(Date.now() / 1_000);
let made = 0;
const fresh = (name: string) => `${name}-${++made}`;

const sign = (claims: Json, header: Json = {}, key: KeyObject = genuine.privateKey) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header }).sign(key);

/** JSON with lists in place of the text DEEP, which no serializer can follow. */
const withDeep = (value: unknown): string =>
  JSON.stringify(value).replace('"DEEP"', `${'['.repeat(20_000)}${']'.repeat(20_000)}`);
function signDeep(claims: Json, header: Json = {}): string {
  const parts = [{ alg: 'RS256', kid: 'k1', ...header }, claims];
  const signed = parts.map((part) => Buffer.from(withDeep(part)).toString('base64url')).join('.');
  return `${signed}.${createSign('sha256').update(signed).sign(genuine.privateKey, 'base64url')}`;
}

/** As Google documents it: no `typ` that tells, no `exp`, the subject in the event. */
const risc = (type: string, subject: Json, claims: Json = {}, event: Json = {}) => ({
  iss: `${op.url}/`,
  aud: 'client-a',
  iat: now() + 1,
  jti: fresh('jti'),
  events: { [type]: { subject, ...event } },
  ...claims,
});
const issSub = (sub: string): Json => ({ subject_type: 'iss-sub', iss: `${op.url}/`, sub });
/** SSF 1.0. */
const ssf = (type: string, sub: string, claims: Json = {}, event: Json = {}) => ({
  iss: op.url,
  aud: 'client-s',
  iat: now() + 1,
  jti: fresh('jti'),
  sub_id: { format: 'iss_sub', iss: op.url, sub },
  events: { [type]: event },
  ...claims,
});
const TYPED = { typ: 'secevent+jwt' };

async function push(token: string, integration = 'risc', headers: Record<string, string> = {}) {
  const path = `/signals/${integration}`;
  const response = await fetch(broker.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/secevent+jwt', ...headers },
    body: token,
  });
  return readResponse('POST', path, response);
}
async function logout(token: string, integration = 'ssf') {
  const path = `/logout/${integration}`;
  const response = await fetch(broker.url + path, {
    method: 'POST',
    body: new URLSearchParams({ logout_token: token }),
  });
  return readResponse('POST', path, response);
}

interface Connected {
  id: string;
  sub: string;
  refreshToken: string;
}
async function connect(integration = 'risc', more: Json = {}, sid?: string): Promise<Connected> {
  const sub = fresh('sub');
  const refreshToken = `1//0${randomBytes(24).toString('base64url')}`;
  const client = { risc: 'client-a', 'risc-two': 'client-b' }[integration] ?? 'client-s';
  const id_token = await sign({ iss: op.url, sub, aud: client, iat: now(), exp: now() + 600, ...(sid && { sid }) });
  const credentials = { access_token: fresh('at'), refresh_token: refreshToken, id_token, expires_in: 3_000, ...more };
  const body = { integration, owner: fresh('owner'), credentials };
  const { id } = expectOk(await broker.ask('POST', '/v1/connections', body), 201);
  return { id: String(id), sub, refreshToken };
}
const shown = async (id: string): Promise<Json> => expectOk(await broker.ask('GET', `/v1/connections/${id}`));
const status = async (id: string) => {
  const { status, reason } = await shown(id);
  return [status, reason];
};
const read = (id: string) => broker.ask('GET', `/v1/connections/${id}/token`);
const metrics = async () => (await fetch(`${broker.url}/metrics`)).text();
const counted = async (line: RegExp) => Number(line.exec(await metrics())?.[1] ?? 0);
const WAIT = { timeout: 30_000, interval: 50 };

describe('RISC', () => {
  test('token-revoked: the grant of that refresh token ends, by its beginning or its hash, and no other', async () => {
    const [one, two, other] = [await connect(), await connect(), await connect()];
    const hash = (text: string | Buffer) => createHash('sha512').update(text).digest();
    const named = (token_identifier_alg: string, token: string) => ({
      subject_type: 'oauth_token',
      token_type: 'refresh_token',
      token_identifier_alg,
      token,
    });
    const type = `${OAUTH}/token-revoked`;
    expect((await push(await sign(risc(type, named('prefix', one.refreshToken.slice(0, 16)))))).status).toBe(202);
    const twice = hash(hash(two.refreshToken)).toString('base64');
    expect((await push(await sign(risc(type, named('hash_base64_sha512_sha512', twice))))).status).toBe(202);
    expect((await push(await sign(risc(type, named('prefix', other.refreshToken.slice(0, 15)))))).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['needs_reauth', 'deauthorized']);
    await expect.poll(() => status(two.id), WAIT).toEqual(['needs_reauth', 'deauthorized']);
    expect(expectProblem(await read(one.id), 409, 'reauthorization_required')).toMatchObject({
      reason: 'deauthorized',
    });
    expect(await status(other.id)).toEqual(['active', null]);
  });

  test('token-revoked after a rotation: the new refresh token is known, the old one is not', async () => {
    const one = await connect();
    const successor = `1//1${randomBytes(24).toString('base64url')}`;
    rotates.set(one.refreshToken, successor);
    expectOk(await broker.ask('POST', `/v1/connections/${one.id}/refresh`, {}));
    const named = (token: string) => ({
      subject_type: 'oauth_token',
      token_type: 'refresh_token',
      token_identifier_alg: 'prefix',
      token: token.slice(0, 16),
    });
    const type = `${OAUTH}/token-revoked`;
    const line = /type="token-revoked",outcome="unmatched"\} (\d+)/;
    const before = await counted(line);
    expect((await push(await sign(risc(type, named(one.refreshToken))))).status).toBe(202);
    await expect.poll(() => counted(line), WAIT).toBe(before + 1);
    expect(await status(one.id)).toEqual(['active', null]);
    expect((await push(await sign(risc(type, named(successor))))).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['needs_reauth', 'deauthorized']);
  });

  test('tokens-revoked: all grants of the account at the clients that it is for, exactly', async () => {
    const one = await connect();
    const similar = await connect();
    const elsewhere = await connect('risc-two');
    const token = await sign(risc(`${OAUTH}/tokens-revoked`, issSub(one.sub), { aud: ['client-b', 'client-a'] }));
    // One receiver URL for all clients of a project.
    expect((await push(token, 'risc-two')).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['needs_reauth', 'deauthorized']);
    expect(await status(similar.id)).toEqual(['active', null]);
    expect(await status(elsewhere.id)).toEqual(['active', null]);
  });

  test('tokens-revoked while a refresh is under way: its answer does not bring the grant back', async () => {
    const one = await connect();
    const { promise, resolve: answer } = Promise.withResolvers<void>();
    waits.set(one.refreshToken, promise);
    rotates.set(one.refreshToken, `1//1${randomBytes(24).toString('base64url')}`);
    const refreshing = broker.ask('POST', `/v1/connections/${one.id}/refresh`, {});
    const isAsked = () => op.received.some(({ form }) => form.get('refresh_token') === one.refreshToken);
    await expect.poll(isAsked, WAIT).toBe(true);
    expect((await push(await sign(risc(`${OAUTH}/tokens-revoked`, issSub(one.sub))))).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['needs_reauth', 'deauthorized']);
    answer();
    const ended = { reason: 'deauthorized' };
    expect(expectProblem(await refreshing, 409, 'reauthorization_required')).toMatchObject(ended);
    expect(expectProblem(await read(one.id), 409, 'reauthorization_required')).toMatchObject(ended);
    // Its refresh token is kept: the grant can be tried once more.
    expect(await shown(one.id)).toMatchObject({ status: 'needs_reauth', ...ended, generation: 2 });
  });

  test('an event that is older than the credentials: they are refreshed, and nothing is ended', async () => {
    const one = await connect();
    const token = await sign(risc(`${OAUTH}/tokens-revoked`, issSub(one.sub), { iat: now() - 3_600 }));
    expect((await push(token)).status).toBe(202);
    await expect.poll(async () => (await shown(one.id)).generation, WAIT).toBe(2);
    expect(await status(one.id)).toEqual(['active', null]);
  });

  test('account-disabled and account-enabled: on hold, then refreshed before it is served', async () => {
    const one = await connect();
    const before = expectOk(await read(one.id)).access_token;
    expect(
      (await push(await sign(risc(`${RISC}/account-disabled`, issSub(one.sub), {}, { reason: 'hijacking' })))).status,
    ).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['on_hold', 'account_disabled']);
    // It is in the store, where it was just read, before the disk has it and no cache any more.
    await expect.poll(async () => (await read(one.id)).status, WAIT).toBe(409);
    const refused = { connection_id: one.id, reason: 'account_disabled' };
    for (const answer of [
      await read(one.id),
      await read(one.id),
      await broker.ask('POST', `/v1/connections/${one.id}/refresh`, {}),
      await broker.ask('POST', `/v1/connections/${one.id}/retry`),
    ])
      expect(expectProblem(answer, 409, 'connection_on_hold')).toMatchObject(refused);
    const { data } = expectOk(await broker.ask('GET', '/v1/connections?status=on_hold'));
    expect(data).toEqual([expect.objectContaining({ id: one.id })]);
    // How many is counted now and then.
    const known = expectOk(await broker.ask('GET', '/v1/status')).integrations as { id: string; connections: Json }[];
    expect(known.find(({ id }) => id === 'risc')?.connections).toHaveProperty('on_hold');

    expect((await push(await sign(risc(`${RISC}/account-enabled`, issSub(one.sub))))).status).toBe(202);
    await expect.poll(async () => (await read(one.id)).status, WAIT).toBe(200);
    expect(expectOk(await read(one.id)).access_token).not.toBe(before);
    const audit = expectOk(await broker.ask('GET', '/v1/audit?limit=500')).data as Json[];
    const actions = audit.filter(({ connection_id }) => connection_id === one.id).map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(['connection.held', 'connection.released']));
  });

  test('an account-enabled that is older than the hold arrives late: it stays on hold until a newer one', async () => {
    const one = await connect();
    const told = (name: string, event: Json = {}) => sign(risc(`${RISC}/${name}`, issSub(one.sub), {}, event));
    expect((await push(await told('account-disabled'))).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['on_hold', 'account_disabled']);
    const line = /type="account-enabled",outcome="located"\} (\d+)/;
    const before = await counted(line);
    expect((await push(await told('account-enabled', { event_timestamp: now() - 60 }))).status).toBe(202);
    await expect.poll(() => counted(line), WAIT).toBe(before + 1);
    expect(await status(one.id)).toEqual(['on_hold', 'account_disabled']);
    expect((await push(await told('account-enabled'))).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['active', null]);
  });

  test('account-purged: destroyed, without a request to the provider', async () => {
    const one = await connect();
    expect((await push(await sign(risc(`${RISC}/account-purged`, issSub(one.sub))))).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['revoked', null]);
    expect(await shown(one.id)).toMatchObject({ upstream_revocation: 'unsupported' });
  });

  test('what ends, suspends or signs out an account ends the agent sessions of its owner, and of no one else', async () => {
    const sessionOf = async (owner: string) => {
      const wanted = { owner, integrations: ['risc'], actions: ['token'], purpose: 'a test' };
      return expectOk(await broker.ask('POST', '/v1/sessions', wanted), 201);
    };
    const stateOf = async ({ id }: Json) => expectOk(await broker.ask('GET', `/v1/sessions/${id}`)).end_reason;
    const as = ({ token }: Json) => broker.ask('GET', '/v1/whoami', undefined, String(token));
    const other = await sessionOf((await connect()).sub);
    for (const type of ['account-disabled', 'sessions-revoked', 'account-purged', 'account-enabled']) {
      const { id, sub } = await connect();
      const session = await sessionOf(String((await shown(id)).owner));
      expectOk(await as(session));
      expect((await push(await sign(risc(`${RISC}/${type}`, issSub(sub))))).status).toBe(202);
      const isEnd = type !== 'account-enabled';
      if (isEnd) await expect.poll(() => stateOf(session), WAIT).toBe('owner_signal');
      expect((await as(session)).status, type).toBe(isEnd ? 401 : 200);
    }
    expect(await stateOf(other)).toBeNull();
  });

  test('account-credential-change-required: refreshed now; sessions-revoked: nothing happens to the grant', async () => {
    const before = await counted(/type="sessions-revoked",outcome="located"\} (\d+)/);
    const [one, two] = [await connect(), await connect()];
    for (const [type, sub] of [
      ['account-credential-change-required', one.sub],
      ['sessions-revoked', two.sub],
    ] as const)
      expect((await push(await sign(risc(`${RISC}/${type}`, issSub(sub))))).status).toBe(202);
    await expect.poll(async () => (await shown(one.id)).generation, WAIT).toBe(2);
    await expect.poll(() => counted(/type="sessions-revoked",outcome="located"\} (\d+)/), WAIT).toBe(before + 1);
    expect(await shown(two.id)).toMatchObject({ status: 'active', generation: 1 });
  });

  test('verification: 202, and an audit entry with the state', async () => {
    const state = fresh('state');
    const claims = { iss: `${op.url}/`, aud: 'client-a', iat: now(), jti: fresh('jti') };
    const token = await sign({ ...claims, events: { [`${RISC}/verification`]: { state } } });
    expect((await push(token)).status).toBe(202);
    const found = async () => expectOk(await broker.ask('GET', '/v1/audit?action=signals.stream_event')).data;
    await expect.poll(found, WAIT).toEqual([expect.objectContaining({ detail: `verification: ${state}` })]);
  });

  test('an unknown subject: 202, and counted', async () => {
    const line = /type="tokens-revoked",outcome="unmatched"\} (\d+)/;
    const before = await counted(line);
    expect((await push(await sign(risc(`${OAUTH}/tokens-revoked`, issSub('nobody'))))).status).toBe(202);
    await expect.poll(() => counted(line), WAIT).toBe(before + 1);
  });

  test('the same jti twice: 202 both times, acted on once', async () => {
    const one = await connect();
    const token = await sign(risc(`${RISC}/account-disabled`, issSub(one.sub)));
    expect((await push(token)).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['on_hold', 'account_disabled']);
    expect((await push(await sign(risc(`${RISC}/account-enabled`, issSub(one.sub))))).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['active', null]);
    const line = /valetkey_signals_received_total\{integration="risc",outcome="duplicate"\} (\d+)/;
    const before = await counted(line);
    expect((await push(token)).status).toBe(202);
    expect(await counted(line)).toBe(before + 1);
    expect(await status(one.id)).toEqual(['active', null]);
  });
});

describe('a security event token is refused', () => {
  const event = () => risc(`${OAUTH}/tokens-revoked`, issSub('sub'));
  const of =
    (claims: Json, header: Json = {}, key?: KeyObject) =>
    () =>
      sign({ ...event(), ...claims }, header, key);
  test.each<[string, string, () => Promise<string> | string]>([
    ['that is no JWT', 'invalid_request', () => 'x.y.z'],
    ['of another issuer', 'invalid_issuer', of({ iss: 'https://evil.example/' })],
    ['of the issuer without the slash', 'invalid_issuer', () => sign({ ...event(), iss: op.url })],
    ['for another audience', 'invalid_audience', of({ aud: 'client-x' })],
    ['for an audience that begins like ours', 'invalid_audience', of({ aud: 'client-a2' })],
    ['without an audience', 'invalid_audience', of({ aud: undefined })],
    ['signed with another key', 'invalid_key', of({}, {}, forged.privateKey)],
    [
      'signed with a shared secret',
      'invalid_key',
      () =>
        new SignJWT(event())
          .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
          .sign(genuine.publicKey.export({ type: 'spki', format: 'der' })),
    ],
    [
      'without a signature',
      'invalid_key',
      () => {
        const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
        return `${part({ alg: 'none' })}.${part(event())}.`;
      },
    ],
    [
      'whose claims were changed',
      'invalid_key',
      async () => {
        const [header, , signature] = (await sign(event())).split('.');
        return `${header}.${Buffer.from(JSON.stringify(event())).toString('base64url')}.${signature}`;
      },
    ],
    ['without jti', 'invalid_request', of({ jti: undefined })],
    ['without iat', 'invalid_request', of({ iat: undefined })],
    ['from the future', 'invalid_request', of({ iat: now() + 3_600 })],
    ['without events', 'invalid_request', of({ events: undefined })],
    ['with events that are none', 'invalid_request', of({ events: [] })],
    ['that is an ID token', 'invalid_request', of({ events: undefined, sub: 'sub', nonce: 'n', exp: now() + 60 })],
    ['with a nonce', 'invalid_request', of({ nonce: 'n' })],
    ['that is a logout token', 'invalid_request', of({ events: { [LOGOUT]: {} }, sub: 'sub' })],
    ['of another type', 'invalid_request', of({}, { typ: 'at+jwt' })],
    ['that nests too deeply', 'invalid_request', () => signDeep({ ...event(), deep: 'DEEP' })],
    ['whose algorithm nests too deeply', 'invalid_key', () => signDeep(event(), { alg: 'DEEP' })],
  ])('%s: 400 %s', async (_, err, make) => {
    const { status, body } = await push(await make());
    expect([status, body.err]).toEqual([400, err]);
  });

  const typed = () => ssf(`${CAEP}/session-revoked`, 'sub');
  const ofSsf =
    (claims: Json, header: Json = TYPED) =>
    () =>
      sign({ ...typed(), ...claims }, header);
  test.each<[string, string, () => Promise<string>]>([
    ['without its type', 'invalid_request', ofSsf({}, {})],
    ['with the type of a JWT', 'invalid_request', ofSsf({}, { typ: 'JWT' })],
    [
      'with two events',
      'invalid_request',
      ofSsf({ events: { [`${CAEP}/session-revoked`]: {}, [`${CAEP}/credential-change`]: {} } }),
    ],
    ['with exp', 'invalid_request', ofSsf({ exp: now() + 60 })],
    ['with sub', 'invalid_request', ofSsf({ sub: 'sub' })],
    [
      'for the receiver of another integration',
      'invalid_audience',
      () => sign({ ...typed(), aud: `${broker.url}/signals/risc` }, TYPED),
    ],
  ])('SSF, %s: 400 %s', async (_, err, make) => {
    const { status, body } = await push(await make(), 'ssf');
    expect([status, body.err]).toEqual([400, err]);
  });

  test('with another content type, too large, or for no integration: 400, 413, 404', async () => {
    const token = await sign(event());
    expect((await push(token, 'risc', { 'content-type': 'application/jwt' })).status).toBe(400);
    expect((await push('x'.repeat(65_537))).status).toBe(413);
    expect((await push(token, 'nothing')).status).toBe(404);
    expect(await metrics()).not.toContain('nothing');
  });
});

describe('SSF and CAEP', () => {
  test('credential-change: refreshed now, for the client id or the URL of the receiver', async () => {
    for (const aud of ['client-s', `${broker.url}/signals/ssf`]) {
      const one = await connect('ssf');
      const token = await sign(ssf(`${CAEP}/credential-change`, one.sub, { aud }), TYPED);
      expect((await push(token, 'ssf')).status).toBe(202);
      await expect.poll(async () => (await shown(one.id)).generation, WAIT).toBe(2);
    }
  });

  test('a complex subject: its user; another issuer, or an e-mail address, finds no one', async () => {
    const [one, two] = [await connect('ssf'), await connect('ssf')];
    const type = `${RISC}/account-disabled`;
    const subjects: Json[] = [
      { format: 'iss_sub', iss: 'https://elsewhere.example', sub: two.sub },
      { format: 'email', email: 'ada@example.com' },
      { format: 'complex', user: { format: 'iss_sub', iss: op.url, sub: one.sub } },
    ];
    for (const sub_id of subjects)
      expect((await push(await sign(ssf(type, '', { sub_id }), TYPED), 'ssf')).status).toBe(202);
    await expect.poll(() => status(one.id), WAIT).toEqual(['on_hold', 'account_disabled']);
    expect(await status(two.id)).toEqual(['active', null]);
  });

  test('polled, where the transmitter does not push: acknowledged once they are durable, errors told', async () => {
    const settings = { poll_url: `${op.url}/poll`, token: 'poll-token' };
    const setup = { provider: 'generic-oidc', client_id: 'client-s', client_secret: 's', params: { issuer: op.url } };
    const put = await broker.ask('PUT', '/v1/integrations/ssf', { ...setup, signals: settings });
    expect(expectOk(put).signals).toMatchObject({ poll_url: settings.poll_url, token_set: true, issuer: op.url });
    expect(JSON.stringify(put.body)).not.toContain('poll-token');
    const one = await connect('ssf');
    const good = ssf(`${RISC}/account-disabled`, one.sub);
    const bad = ssf(`${RISC}/account-disabled`, one.sub, { aud: 'client-x' });
    toPoll = { none: 'DEEP', [good.jti]: await sign(good, TYPED), [bad.jti]: await sign(bad, TYPED) };
    await expect.poll(() => status(one.id), WAIT).toEqual(['on_hold', 'account_disabled']);
    await expect.poll(() => Object.keys(toPoll), WAIT).toEqual([]);
    const told = polled.find(({ ack }) => ack !== undefined);
    expect(told).toMatchObject({
      ack: [good.jti],
      setErrs: { none: { err: 'invalid_request' }, [bad.jti]: { err: 'invalid_audience' } },
    });
    expect(new Set(polled.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer poll-token']));

    // Elsewhere, the token is not sent.
    const elsewhere = { ...setup, signals: { poll_url: `${op.url}/other` } };
    expect(expectOk(await broker.ask('PUT', '/v1/integrations/ssf', elsewhere)).signals).toMatchObject({
      token_set: false,
    });
    const push = { ...setup, signals: { token: 'push-token' } };
    expectOk(await broker.ask('PUT', '/v1/integrations/ssf', push));
  });

  test('with a token set, a push must carry it', async () => {
    const make = () => sign(ssf(`${CAEP}/session-revoked`, 'sub'), TYPED);
    expect((await push(await make(), 'ssf')).body).toMatchObject({ err: 'authentication_failed' });
    expect((await push(await make(), 'ssf', { authorization: 'Bearer other' })).status).toBe(400);
    expect((await push(await make(), 'ssf', { authorization: 'Bearer push-token' })).status).toBe(202);
    const faulty = { provider: 'generic-oidc', client_id: 'client-s', signals: { poll_url: 'http://10.0.0.1/' } };
    expectProblem(await broker.ask('PUT', '/v1/integrations/ssf', faulty), 400, 'invalid_request');
  });
});

describe('back-channel logout', () => {
  const logoutToken = (sub: string | undefined, claims: Json = {}) => ({
    iss: op.url,
    ...(sub !== undefined && { sub }),
    aud: 'client-s',
    iat: now(),
    exp: now() + 120,
    jti: fresh('jti'),
    events: { [LOGOUT]: {} },
    ...claims,
  });

  test('ends grants without offline access of that account and session, and never one with it', async () => {
    const offline = await connect('ssf', { scope: 'openid offline_access' });
    const online = await connect('ssf', { scope: 'openid', refresh_token: undefined });
    const session = await connect('ssf', { scope: 'openid', refresh_token: undefined }, 'session-1');
    for (const { sub } of [offline, online]) {
      const answer = await logout(await sign(logoutToken(sub), { typ: 'logout+jwt' }));
      expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
    }
    expect((await logout(await sign(logoutToken(session.sub, { sid: 'session-2' })))).status).toBe(200);
    await expect.poll(() => status(online.id), WAIT).toEqual(['needs_reauth', 'deauthorized']);
    await expect
      .poll(() => counted(/integration="ssf",type="backchannel-logout",outcome="located"\} (\d+)/), WAIT)
      .toBe(3);
    expect(await status(offline.id)).toEqual(['active', null]);
    expect(await status(session.id)).toEqual(['active', null]);
    expect((await logout(await sign(logoutToken(session.sub, { sid: 'session-1' })))).status).toBe(200);
    await expect.poll(() => status(session.id), WAIT).toEqual(['needs_reauth', 'deauthorized']);
  });

  test.each<[string, () => Promise<string>]>([
    ['of another issuer', () => sign(logoutToken('s', { iss: 'https://evil.example' }))],
    ['for another client', () => sign(logoutToken('s', { aud: 'client-a' }))],
    ['signed with another key', () => sign(logoutToken('s'), {}, forged.privateKey)],
    ['with a nonce', () => sign(logoutToken('s', { nonce: 'n' }))],
    ['without its event', () => sign(logoutToken('s', { events: { other: {} } }))],
    [
      'that is a security event',
      () => sign({ ...logoutToken('s'), events: { [`${CAEP}/session-revoked`]: {} } }, TYPED),
    ],
    ['that has expired', () => sign(logoutToken('s', { iat: now() - 300, exp: now() - 120 }))],
    ['that is old', () => sign(logoutToken('s', { iat: now() - 7_200, exp: now() + 60 }))],
    ['without iat', () => sign(logoutToken('s', { iat: undefined }))],
    ['without exp', () => sign(logoutToken('s', { exp: undefined }))],
    ['without jti', () => sign(logoutToken('s', { jti: undefined }))],
    ['without sub and sid', () => sign(logoutToken(undefined))],
    ['that is an ID token', () => sign(logoutToken('s', { events: undefined }))],
    ['that nests too deeply', async () => signDeep(logoutToken('s', { deep: 'DEEP' }))],
  ])('a token %s: 400', async (_, make) => {
    const { status, body, headers } = await logout(await make());
    expect([status, body.error, headers.get('cache-control')]).toEqual([400, 'invalid_request', 'no-store']);
  });

  test('no form, no token, no integration: 400, 400, 404', async () => {
    const response = await fetch(`${broker.url}/logout/ssf`, { method: 'POST', body: '{}' });
    expect((await readResponse('POST', '/logout/ssf', response)).status).toBe(400);
    expect((await logout('')).status).toBe(400);
    expect((await logout('x', 'nothing')).status).toBe(404);
  });
});

test.each(['/signals/risc', '/logout/ssf'])(
  '%s takes no other method than POST, and says so without a body',
  async (path) => {
    const response = await fetch(new URL(path, broker.url));
    expect([response.status, response.headers.get('allow'), await response.text()]).toEqual([405, 'POST', '']);
  },
);

test('keys that cannot be fetched: 503 with Retry-After, and the event is taken later', async () => {
  const other = await startScriptedServer(({ path }) =>
    path === '/jwks' && !keysFail
      ? { body: { keys: [{ ...genuine.publicKey.export({ format: 'jwk' }), kid: 'k1' }] } }
      : { status: 500 },
  );
  keysFail = true;
  const setup = { provider: 'generic-oidc', client_id: 'client-k', client_secret: 's', params: { issuer: op.url } };
  const signals = { issuer: other.url, jwks_uri: `${other.url}/jwks` };
  expectOk(await broker.ask('PUT', '/v1/integrations/late', { ...setup, signals }), 201);
  const token = await sign(
    { ...ssf(`${SSF}/stream-updated`, 'x', { iss: other.url, aud: 'client-k' }, { status: 'paused' }) },
    TYPED,
  );
  const answer = await push(token, 'late');
  expect([answer.status, Number(answer.headers.get('retry-after')) > 0]).toEqual([503, true]);
  keysFail = false;
  await expect.poll(async () => (await push(token, 'late')).status, { timeout: 30_000, interval: 500 }).toBe(202);
  await other.close();
});
