// Minting tokens from imported credentials: client credentials, JWT bearer, self-signed JWT; and the classification of
// failures.
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { readCredentials } from '../../../src/domain/imported-credentials.ts';
import { type ClientSecrets, NO_SECRETS, type Target } from '../../../src/domain/target.ts';
import {
  createTarget,
  expectFault,
  REDIRECT_URI,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const SECRET = 'client-secret-of-the-integration';
const THEIRS = { client_id: 'their-client', client_secret: 'client-secret-of-the-customer' };
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = ({ privateKey }: { privateKey: KeyObject }) =>
  privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const pkcs1 = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;

let server: ScriptedServer;
let adapter: TestAdapter;
let next: ScriptedResponse;
const token: ScriptedResponse = {
  body: { access_token: 'at', token_type: 'Bearer', expires_in: 60, refresh_token: 'unused' },
};

beforeAll(async () => {
  server = await startScriptedServer(() => next);
  adapter = startTestAdapter();
});
beforeEach(() => {
  server.received.length = 0;
  next = token;
});
afterAll(async () => {
  await adapter.close();
  await server.close();
});

const field = { title: 'something' };
const own = {
  credentials: {
    client_id: field,
    client_secret: { ...field, optional: true },
    private_key: { ...field, optional: true },
  },
};

interface Given {
  secrets?: Partial<ClientSecrets>;
  keyId?: string;
  params?: Record<string, string>;
}

/** The target of an integration, by default with a client secret. */
function target(auth: object, { secrets = { secret: SECRET }, keyId, params = {} }: Given = {}): Target {
  const at = 'mode' in auth && auth.mode === 'self_signed_jwt' ? {} : { token_url: `${server.url}/token` };
  const made = createTarget({ auth: [{ ...at, ...auth }] }, { params });
  const values = keyId === undefined ? made.values : { ...made.values, key_id: keyId };
  return { ...made, values, secrets: { ...NO_SECRETS, ...secrets } };
}

function mint(at: Target, credentials: Record<string, string> = {}, scopes: string[] = [], by = adapter) {
  const grant = { accessToken: null, refreshToken: null, idToken: null, credentials: JSON.stringify(credentials) };
  return by.client.refresh(at, { credentials: grant, identity: null, scopes, captured: {}, redirectUri: REDIRECT_URI });
}

const sent = () => Object.fromEntries(server.received.at(-1)!.form);
const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`;

describe('client credentials', () => {
  const mode = { mode: 'oauth2_client_credentials' };

  test('use the integration’s client, and ignore a refresh token in the response', async () => {
    expect(unwrap(await mint(target(mode), {}, ['a', 'b']))).toEqual({
      accessToken: 'at',
      tokenType: 'Bearer',
      refreshToken: undefined,
      idToken: undefined,
      scopes: undefined,
      expiresIn: 60,
      idleIn: undefined,
      endsIn: undefined,
      identity: undefined,
      captured: {},
    });
    expect(server.received[0]!.headers.authorization).toBe(basic(`client:${SECRET}`));
    expect(sent()).toEqual({ grant_type: 'client_credentials', scope: 'a b' });
  });

  test('use the connection’s own client in place of all of the integration’s', async () => {
    const ours = { secrets: { secret: SECRET, privateKey: pem(rsa), certificate: 'ours' } };
    const auth = { ...mode, ...own, client_auth: ['tls_client_auth', 'private_key_jwt', 'client_secret_basic'] };
    unwrap(await mint(target(auth, ours), THEIRS));
    expect(server.received[0]!.headers.authorization).toBe(basic('their-client:client-secret-of-the-customer'));
    expect(sent()).toEqual({ grant_type: 'client_credentials' });
  });

  test('sign with the connection’s own key for its own client', async () => {
    const auth = { ...mode, ...own, client_auth: ['tls_client_auth', 'private_key_jwt'] };
    const theirs = { client_id: 'their-client', private_key: pem(ec) };
    const ours = { secrets: { privateKey: pem(rsa), certificate: 'not theirs' } };
    unwrap(await mint(target(auth, ours), theirs));
    const { payload } = await jwtVerify(sent().client_assertion!, ec.publicKey);
    expect(payload).toMatchObject({ iss: 'their-client', sub: 'their-client' });
    expect(sent().client_id).toBe('their-client');
  });

  test('send the catalogue’s grant type and parameters, without missing optional ones', async () => {
    const params = { account_id: '{account}', tenant: '{tenant}', audience: 'https://api.acme.test' };
    const tenant = { title: 'tenant', pattern: '\\w+', optional: true };
    const auth = { ...mode, grant_type: 'account_credentials', scope_separator: 'none', params: { tenant } };
    const at = target({ ...auth, credentials: { account: field }, token_request: { params } });
    unwrap(await mint(at, { account: 'A1' }, ['a']));
    expect(sent()).toEqual({ grant_type: 'account_credentials', account_id: 'A1', audience: 'https://api.acme.test' });
  });

  test('work with a strict OpenID Provider by discovery', async () => {
    const provider: LocalProvider = await startProvider({
      clients: [
        {
          client_id: 'machine',
          client_secret: SECRET,
          grant_types: ['client_credentials'],
          redirect_uris: [],
          response_types: [],
        },
      ],
      configuration: {
        ttl: { ClientCredentials: 90 },
        features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } },
      },
    });
    const entry = { auth: [{ ...mode, issuer: provider.issuer }] };
    const answer = unwrap(
      await mint(createTarget(entry, { clientId: 'machine', clientSecret: SECRET }), {}, ['calendar.read']),
    );
    expect(answer).toMatchObject({ tokenType: 'Bearer', expiresIn: 90, scopes: ['calendar.read'] });
    await provider.close();
  });
});

describe('JWT bearer', () => {
  const mode = { mode: 'jwt_bearer', client_auth: ['none'] };
  const assertion = {
    alg: 'RS256',
    header: { kid: '{private_key_id}' },
    claims: { iss: '{client_email}', sub: '{subject}', aud: '{token_url}', scope: '{scopes}' },
    lifetime: 3600,
    backdate: 30,
  };
  const document = { client_email: 'robot@acme.test', private_key: pem(rsa), private_key_id: 'k1', project_id: 'p' };
  const credentials = {
    service_account_json: { title: 'key', format: 'json', members: ['client_email', 'private_key', 'private_key_id'] },
  };
  const subject = { title: 'subject', pattern: '.+', optional: true };
  const google = {
    ...mode,
    assertion,
    credentials,
    params: { subject },
    token_request: { omit: ['client_id'] },
  };

  /** As in an import. */
  function read(at: Target) {
    const found = readCredentials(at.auth, { service_account_json: JSON.stringify(document) });
    if (!('values' in found)) throw new Error(JSON.stringify(found.issues));
    return found.values;
  }

  test('fills claims and header from a service account’s document', async () => {
    const at = target(google, { secrets: {} });
    unwrap(await mint(at, read(at), ['s1', 's2']));
    const { assertion: jwt, ...rest } = sent();
    expect(rest).toEqual({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer' });
    const expected = { issuer: document.client_email, audience: `${server.url}/token`, algorithms: ['RS256'] };
    const { payload, protectedHeader } = await jwtVerify(jwt!, rsa.publicKey, expected);
    expect(protectedHeader).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'k1' });
    expect(Object.keys(payload).sort()).toEqual(['aud', 'exp', 'iat', 'iss', 'jti', 'scope']);
    expect(payload.scope).toBe('s1 s2');
    expect(payload.exp! - payload.iat!).toBe(3600);
    const age = adapter.now() / 1_000 - payload.iat!;
    expect(age).toBeGreaterThanOrEqual(30);
    expect(age).toBeLessThan(40);
  });

  test('has the connection’s subject, if any', async () => {
    const at = target(google, { secrets: {}, params: { subject: 'ada@acme.test' } });
    unwrap(await mint(at, read(at)));
    const { payload } = await jwtVerify(sent().assertion!, rsa.publicKey, { subject: 'ada@acme.test' });
    expect(payload).not.toHaveProperty('scope');
  });

  test.each([
    ['the connection’s', { consumer_key: 'ck', private_key: pkcs1 }, { privateKey: pem(ec) }],
    ['the integration’s', { consumer_key: 'ck' }, { privateKey: pkcs1 }],
  ])('signs with %s key, and sends the scope as a parameter when no claim has it', async (_, brought, secrets) => {
    const claims = { iss: '{consumer_key}', aud: 'https://acme.test' };
    const at = target({ ...mode, assertion: { claims, header: { kid: '{key_id}' } } }, { secrets, keyId: 'k2' });
    unwrap(await mint(at, brought, ['a', 'b']));
    unwrap(await mint(at, brought, ['a', 'b']));
    const [one, two] = await Promise.all(
      server.received.map(({ form }) => jwtVerify(form.get('assertion')!, rsa.publicKey, { issuer: 'ck' })),
    );
    expect(one!.protectedHeader.kid).toBe('k2');
    expect(one!.payload.jti).not.toBe(two!.payload.jti);
    expect(sent()).toMatchObject({ client_id: 'client', scope: 'a b' });
  });

  test('may be combined with client authentication', async () => {
    const at = target({ ...mode, client_auth: ['client_secret_post'] });
    unwrap(await mint(at, { private_key: pem(rsa) }));
    expect(sent()).toMatchObject({ client_id: 'client', client_secret: SECRET, assertion: expect.any(String) });
  });

  test('may be the Bearer token of a request without a body', async () => {
    const at = target(
      {
        ...mode,
        presented: 'bearer',
        assertion: { claims: { iss: '{client_id}' } },
        token_request: { headers: { Accept: 'application/vnd.acme+json' } },
        token_answer: { access_token: ['token'], expires: { at: ['expires_at'] }, capture: { kind: 'kind' } },
      },
      { secrets: { privateKey: pem(rsa) } },
    );
    const expires_at = new Date(adapter.now() + 600_000).toISOString();
    next = { status: 201, body: { token: 'installation', expires_at, kind: 'all' } };
    const answer = unwrap(await mint(at));
    expect(answer).toMatchObject({ accessToken: 'installation', captured: { kind: 'all' } });
    expect(answer.expiresIn).toBeGreaterThan(590);
    expect(answer.expiresIn).toBeLessThanOrEqual(601);
    const [{ method, headers, body }] = server.received as [(typeof server.received)[0]];
    expect([method, headers.accept, body]).toEqual(['POST', 'application/vnd.acme+json', '']);
    const [scheme, jwt] = headers.authorization!.split(' ');
    expect(scheme).toBe('Bearer');
    await jwtVerify(jwt!, rsa.publicKey, { issuer: 'client' });
  });
});

describe('self-signed JWT', () => {
  const at = (assertion: object, secrets = {}) => target({ mode: 'self_signed_jwt', assertion }, { secrets });

  test('is the token, without any request', async () => {
    const claims = { iss: 'ACME.ADA.SHA256:{key_fingerprint}', sub: '{user}', none: '{missing}', scope: '{scopes}' };
    const answer = unwrap(await mint(at({ claims, lifetime: 900 }), { private_key: pem(rsa), user: 'ADA' }, ['x']));
    expect(answer).toMatchObject({ tokenType: 'Bearer', expiresIn: 900, scopes: undefined, refreshToken: undefined });
    const { payload, protectedHeader } = await jwtVerify(answer.accessToken, rsa.publicKey, { subject: 'ADA' });
    const spki = rsa.publicKey.export({ type: 'spki', format: 'der' });
    expect(payload.iss).toBe(`ACME.ADA.SHA256:${createHash('sha256').update(spki).digest('base64')}`);
    expect(Object.keys(payload).sort()).toEqual(['exp', 'iat', 'iss', 'jti', 'scope', 'sub']);
    expect(payload.exp! - payload.iat!).toBe(900);
    expect(protectedHeader.alg).toBe('RS256');
    expect(server.received).toEqual([]);
  });

  test('expires earlier by its backdate', async () => {
    const { accessToken, expiresIn } = unwrap(
      await mint(at({ lifetime: 900, backdate: 60 }), { private_key: pem(rsa) }),
    );
    const { payload } = await jwtVerify(accessToken, rsa.publicKey);
    expect(Math.abs(payload.exp! - (adapter.now() / 1_000 + expiresIn!))).toBeLessThan(2);
  });

  test.each(['ES256', 'PS256', 'RS512', 'EdDSA'])('in %s', async (alg) => {
    const pair = alg === 'ES256' ? ec : alg === 'EdDSA' ? generateKeyPairSync('ed25519') : rsa;
    const { accessToken } = unwrap(await mint(at({ alg }, { privateKey: pem(pair) })));
    await jwtVerify(accessToken, pair.publicKey, { algorithms: [alg] });
    expect(decodeProtectedHeader(accessToken)).toEqual({ alg, typ: 'JWT' });
  });
});

describe('minting fails', () => {
  const oauth = { mode: 'oauth2_client_credentials', client_auth: ['client_secret_post', 'none'] };
  const bearer = { mode: 'jwt_bearer', client_auth: ['none'] };
  const direct = { ...bearer, presented: 'bearer' };
  const refused = (error: string, status = 400): ScriptedResponse => ({
    status,
    body: { error, error_description: `no: ${THEIRS.client_secret} ${SECRET}` },
  });

  const cases: [string, object, Given, object, ScriptedResponse, object][] = [
    [
      'the integration’s client is refused',
      oauth,
      {},
      {},
      refused('invalid_client', 401),
      { kind: 'misconfigured', code: 'invalid_client' },
    ],
    [
      'the integration’s client may not do this',
      oauth,
      {},
      {},
      refused('unauthorized_client'),
      { kind: 'misconfigured' },
    ],
    ['a scope is refused', { ...oauth, ...own }, {}, THEIRS, refused('invalid_scope'), { kind: 'misconfigured' }],
    [
      'a connection’s client is refused',
      { ...oauth, ...own },
      { secrets: {} },
      THEIRS,
      refused('invalid_client', 401),
      { kind: 'grant_dead', code: 'invalid_client' },
    ],
    [
      'a connection’s client is refused, though the integration has a secret',
      { ...oauth, ...own },
      {},
      THEIRS,
      refused('invalid_client', 401),
      { kind: 'grant_dead' },
    ],
    [
      'an assertion of the connection’s key is refused',
      bearer,
      { secrets: {} },
      { private_key: pem(rsa) },
      refused('invalid_grant'),
      { kind: 'grant_dead', code: 'invalid_grant' },
    ],
    [
      'the client beside the connection’s assertion is refused',
      { ...bearer, client_auth: ['client_secret_post'] },
      {},
      { private_key: pem(rsa) },
      refused('invalid_client', 401),
      { kind: 'misconfigured' },
    ],
    [
      'a bearer assertion of the connection’s key is refused',
      direct,
      { secrets: {} },
      { private_key: pem(rsa) },
      { status: 401 },
      { kind: 'grant_dead', code: 'http_401' },
    ],
    [
      'a bearer assertion of the integration’s key is refused',
      direct,
      { secrets: { privateKey: pem(rsa) } },
      {},
      { status: 401 },
      { kind: 'misconfigured', code: 'http_401' },
    ],
    [
      'the provider is overloaded',
      oauth,
      {},
      {},
      { status: 429, headers: { 'retry-after': '7' } },
      { kind: 'transient', retryAfter: 7 },
    ],
    [
      'the provider is down',
      { ...oauth, ...own },
      { secrets: {} },
      THEIRS,
      { status: 503 },
      { kind: 'transient', code: 'http_503' },
    ],
    ['a gateway gave up', oauth, {}, {}, { status: 504 }, { kind: 'transient', code: 'http_504' }],
    ['the connection breaks', oauth, {}, {}, 'drop', { kind: 'transient', code: 'network_error' }],
    [
      'the connection breaks under a bearer assertion',
      direct,
      { secrets: {} },
      { private_key: pem(rsa) },
      'drop',
      { kind: 'transient', code: 'network_error' },
    ],
    [
      'the answer makes no sense',
      bearer,
      { secrets: {} },
      { private_key: pem(rsa) },
      { body: '<h1>maintenance' },
      { kind: 'transient', code: 'invalid_answer' },
    ],
    [
      'the answer to a bearer assertion makes no sense',
      direct,
      { secrets: {} },
      { private_key: pem(rsa) },
      { body: '[]' },
      { kind: 'transient', code: 'invalid_answer' },
    ],
  ];
  test.each(cases)('%s', async (_, auth, given, credentials, answer, expected) => {
    next = answer;
    const fault = expectFault(await mint(target(auth, given), credentials as Record<string, string>));
    expect(fault).toMatchObject({ ...expected, outcomeUnknown: false });
    for (const secret of [SECRET, ...Object.values(credentials)])
      if (JSON.stringify(server.received).includes(secret)) expect(fault.detail).not.toContain(secret);
  });

  test('as transient with a known outcome when the provider hangs', async () => {
    const hasty = startTestAdapter({ timeoutMs: 40 });
    next = 'hang';
    const fault = expectFault(await mint(target(oauth), {}, [], hasty));
    expect(fault).toMatchObject({ kind: 'transient', code: 'timeout', outcomeUnknown: false });
    await hasty.close();
  });

  const foreign = pem(ec);
  const short = pem(generateKeyPairSync('rsa', { modulusLength: 1024 }));
  const modes: [string, object][] = [
    ['an assertion', bearer],
    ['a bearer assertion', direct],
    ['a signature', { mode: 'self_signed_jwt' }],
    [
      'a client’s assertion',
      { mode: 'oauth2_client_credentials', client_auth: ['private_key_jwt'], client_assertion: { alg: 'RS256' } },
    ],
  ];
  const keys: [string, string][] = [
    ['cannot be read', pem(rsa).slice(0, 800)],
    ['is for another algorithm', foreign],
    ['is too short', short],
  ];
  const blamed = modes.flatMap(([what, auth]) => keys.map(([how, key]) => [what, how, auth, key] as const));
  test.each(blamed)(
    'of %s, when the key %s: the integration or the connection that has the key is at fault',
    async (_, __, auth, key) => {
      const integration = expectFault(await mint(target(auth, { secrets: { privateKey: key } })));
      expect(integration).toMatchObject({
        kind: 'misconfigured',
        code: expect.stringMatching(/^invalid_(client|private)_key$/),
      });
      const connection = expectFault(
        await mint(target({ ...auth, ...('client_auth' in auth ? own : {}) }, { secrets: {} }), {
          client_id: 'c',
          private_key: key,
        }),
      );
      expect(connection).toMatchObject({ kind: 'grant_dead', outcomeUnknown: false });
      for (const line of key.split('\n').filter((text) => text !== '' && !text.startsWith('-')))
        expect(integration.detail + connection.detail).not.toContain(line);
      expect(server.received).toEqual([]);
    },
  );

  test('without a key', async () => {
    expect(expectFault(await mint(target(bearer, { secrets: {} })))).toMatchObject({ kind: 'misconfigured' });
  });
});
