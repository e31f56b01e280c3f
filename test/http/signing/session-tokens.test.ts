// Tokens of agent sessions as JWTs (RFC 9068): what jose makes of them elsewhere, what they do at the broker, that none is taken for
// another kind, and their introspection; over two replicas.
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Json, TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { createSigningKey, jwt } from '../../support/issuers.ts';
import { createJwksVerifier } from '../../support/jwks-verifier.ts';
import { createReplicas, type Replicas } from '../../support/replicas.ts';

const API = 'https://search.acme.example';
const INTROSPECTION = 'application/token-introspection+jwt';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const GRANTS = [{ actions: ['token', 'sessions', 'connections:read'], integrations: ['acme'], owners: ['user_*'] }];

let replicas: Replicas;
let first: TestBroker;
let second: TestBroker;
let app: { id: string; key: string };
/** The service that is the audience of tokens: it may verify JWTs, and nothing else. */
let api: { id: string; key: string };
const at: Record<string, string> = {};

beforeAll(async () => {
  replicas = await createReplicas({ refreshAhead: false });
  [first, second] = [await replicas.start(), await replicas.start()];
  for (const id of ['acme', 'other']) {
    const params = { authorization_url: 'http://127.0.0.1:9/a', token_url: 'http://127.0.0.1:9/t' };
    const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
    expectOk(await first.ask('PUT', `/v1/integrations/${id}`, setup), 201);
  }
  for (const owner of ['user_1', 'user_2']) {
    const expires_at = new Date(Date.now() + 86_400_000).toISOString();
    const credentials = { access_token: `token-of-${owner}`, refresh_token: `r-${owner}`, expires_at };
    const made = await first.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials });
    at[owner] = String(expectOk(made, 201).id);
  }
  app = await caller(GRANTS, { audiences: [API, replicas.publicUrl] });
  api = await caller([{ actions: ['jwt:verify'], integrations: ['*'], owners: ['*'] }]);
});
afterAll(() => replicas?.close());

async function caller(grants: Json[], more: Json = {}): Promise<{ id: string; key: string }> {
  const made = expectOk(await first.ask('POST', '/v1/callers', { name: 'a service', grants, ...more }), 201);
  return { id: String(made.id), key: String(made.key) };
}
const request = (more: Json = {}): Json => ({
  owner: 'user_1',
  integrations: ['acme'],
  actions: ['token'],
  purpose: 'summarise the week',
  actor: { id: 'agent-7' },
  format: 'jwt',
  audience: replicas.publicUrl,
  ...more,
});
const create = (more: Json = {}, key = app.key) => first.ask('POST', '/v1/sessions', request(more), key);
const made = async (more: Json = {}, key = app.key): Promise<Json & { id: string; token: string }> => {
  const session = expectOk(await create(more, key), 201);
  return { ...session, id: String(session.id), token: String(session.token) };
};
const whoami = (broker: TestBroker, token: string) => broker.ask('GET', '/v1/whoami', undefined, token);

async function post(broker: TestBroker, path: string, form: Record<string, string>, headers: Record<string, string>) {
  const response = await fetch(new URL(path, broker.url), { method: 'POST', headers, body: new URLSearchParams(form) });
  const text = await response.text();
  const body = (text.startsWith('{') ? JSON.parse(text) : { text }) as Json;
  return { status: response.status, headers: response.headers, body };
}
const introspect = async (token: string, key: string, more: Record<string, string> = {}, accept = 'application/json') =>
  (await post(first, '/oauth2/introspect', { token, ...more }, { authorization: `Bearer ${key}`, accept })).body;

describe('a JWT', () => {
  test('is what RFC 9068 says, for a verifier that knows only the metadata', async () => {
    const session = await made({ audience: API, ttl: 600 });
    expect(session).toMatchObject({ format: 'jwt', audience: API, status: 'active' });
    const metadata = await fetch(new URL('/.well-known/oauth-authorization-server', first.url));
    const { issuer, jwks_uri } = (await metadata.json()) as Json;
    expect(jwks_uri).toBe(`${replicas.publicUrl}/oauth2/jwks`);
    const verifier = createJwksVerifier(second.url, String(issuer), replicas.clock.now);
    const { payload, protectedHeader } = await verifier.verify(session.token, { typ: 'at+jwt', audience: API });
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: (await verifier.kids())[0] });
    const expires = Date.parse(String(session.expires_at)) / 1_000;
    expect(payload).toEqual({
      iss: replicas.publicUrl,
      aud: API,
      sub: 'user_1',
      client_id: app.id,
      iat: expect.any(Number),
      exp: expires,
      jti: session.id,
      scope: 'acme',
      act: { sub: 'agent-7' },
      sid: session.id,
    });
    expect(payload.exp! - payload.iat!).toBeLessThanOrEqual(600);
    expect(decodeJwt((await made({ actor: undefined })).token).act).toEqual({ sub: app.id });
  });

  test('is for audiences that an admin allows, for 15 minutes at most, and is asked for as it is meant', async () => {
    const { missing } = expectProblem(await create({ audience: 'https://elsewhere.example' }), 403, 'forbidden');
    expect(missing).toMatchObject({ action: 'sessions', audience: 'https://elsewhere.example' });
    const bare = await caller(GRANTS);
    expectProblem(await create({}, bare.key), 403, 'forbidden');
    expect((await made({ audience: 'https://any.example', integrations: ['acme'] }, first.adminKey)).audience).toBe(
      'https://any.example',
    );
    expectIssues(await create({ ttl: 901 }), 'ttl');
    expectIssues(await create({ audience: undefined }), 'audience');
    expectIssues(await create({ format: undefined }), 'audience');
    expectIssues(await create({ format: 'opaque' }), 'audience');
    expectIssues(await create({ audience: API, max_uses: 3 }), 'max_uses');
    const short = await caller(GRANTS, { audiences: [API], max_session_ttl: 60 });
    expectIssues(await create({ audience: API, ttl: 61 }, short.key), 'ttl');
    const session = await made({ audience: API }, short.key);
    const { exp, iat } = decodeJwt(session.token);
    expect(exp! - iat!).toBeLessThanOrEqual(60);
  });

  test('is given on by no admin that may not have it: audiences are separate duties', async () => {
    const admin = await caller([{ actions: ['*'], integrations: ['*'], owners: ['*'] }], { audiences: [API] });
    const wanted = (audiences: string[]) => ({ name: 'b', grants: GRANTS, audiences });
    expectOk(await first.ask('POST', '/v1/callers', wanted([API]), admin.key), 201);
    expectProblem(await first.ask('POST', '/v1/callers', wanted(['https://x.example']), admin.key), 403, 'forbidden');
    const rich = await caller(GRANTS, { audiences: ['https://x.example'] });
    expectProblem(await first.ask('POST', `/v1/callers/${rich.id}/keys`, {}, admin.key), 403, 'forbidden');
    expectProblem(
      await first.ask('PUT', `/v1/callers/${admin.id}`, { ...wanted(['https://x.example']), name: 'me' }, admin.key),
      403,
      'forbidden',
    );
    const declared = { callers: [{ ...wanted(['https://x.example']), name: 'declared' }] };
    expectProblem(await first.ask('POST', '/v1/apply', declared, admin.key), 403, 'forbidden');
    // What is there may stay.
    expectOk(
      await first.ask('PUT', `/v1/callers/${rich.id}`, { ...wanted(['https://x.example']), name: 'c' }, admin.key),
    );
  });

  test('for the broker authenticates as its session, on every replica; for others it is nothing here', async () => {
    const session = await made();
    for (const broker of [first, second]) {
      const who = expectOk(await whoami(broker, session.token));
      expect(who.authenticated_by).toMatchObject({ kind: 'session', id: session.id, owner: 'user_1' });
      const read = (owner: string) => broker.ask('GET', `/v1/connections/${at[owner]}/token`, undefined, session.token);
      expect(expectOk(await read('user_1')).access_token).toBe('token-of-user_1');
      expect(expectOk(await read('user_1')).access_token).toBe('token-of-user_1');
      expect((await read('user_2')).status).toBe(404);
    }
    const elsewhere = await made({ audience: API });
    for (const broker of [first, second]) {
      const refused = expectProblem(await whoami(broker, elsewhere.token), 401, 'unauthenticated');
      expect(refused.reason).toBe('audience_mismatch');
    }
    const entries = expectOk(await first.ask('GET', '/v1/audit?action=session.created&limit=100')).data as Json[];
    expect(JSON.stringify(entries)).not.toContain(session.token.slice(-40));
  });

  test('of a session that ends is refused at once on every replica; elsewhere it is inactive when it is introspected', async () => {
    const [here, there] = [await made(), await made({ audience: API })];
    for (const broker of [first, second]) expectOk(await whoami(broker, here.token));
    for (const { id } of [here, there]) expectOk(await first.ask('DELETE', `/v1/sessions/${id}`, undefined, app.key));
    for (const broker of [first, second])
      expect(expectProblem(await whoami(broker, here.token), 401, 'unauthenticated').reason).toBe('ended');
    for (const { token } of [here, there]) expect(await introspect(token, api.key)).toEqual({ active: false });
    // A verifier that does not ask accepts it until it expires: that is documented.
    const verifier = createJwksVerifier(first.url, replicas.publicUrl, replicas.clock.now);
    await verifier.verify(there.token, { typ: 'at+jwt', audience: API });
  });

  test('ends with its key and its caller', async () => {
    const gone = await caller(GRANTS, { audiences: [replicas.publicUrl, API] });
    const [here, there] = [await made({}, gone.key), await made({ audience: API }, gone.key)];
    expectOk(await whoami(second, here.token));
    expect((await first.ask('DELETE', `/v1/callers/${gone.id}`)).status).toBe(204);
    for (const broker of [first, second]) expect((await whoami(broker, here.token)).status).toBe(401);
    expect(await introspect(there.token, api.key)).toEqual({ active: false });
  });

  test('has uses that are counted, and makes narrower sessions', async () => {
    const counted = await made({ max_uses: 2 });
    for (const status of [200, 200, 401]) expect((await whoami(second, counted.token)).status).toBe(status);
    const parent = await made({ actions: ['token', 'sessions'] });
    const child = await made({ actions: ['token'] }, parent.token);
    expect(decodeJwt(child.token)).toMatchObject({ sub: 'user_1', act: { sub: 'agent-7' } });
    // What a session is nowhere, it does not make: its caller might.
    for (const audience of [API, 'https://elsewhere.example'])
      expectProblem(await create({ audience }, parent.token), 403, 'forbidden');
    expectProblem(await create({ owner: 'user_2' }, parent.token), 403, 'forbidden');
    expectOk(await first.ask('DELETE', `/v1/sessions/${parent.id}`, undefined, app.key));
    expect(await introspect(child.token, api.key)).toEqual({ active: false });
  });
});

describe('a JWT that is not one of the broker', () => {
  const mine = createSigningKey('mine');
  const forged = (header: Json, claims: Json, by: Parameters<typeof jwt>[2] = mine) => jwt(header, claims, by);

  test('authenticates no one: unsigned, re-signed, symmetric with the public key, with other claims or another header', async () => {
    const { token } = await made();
    const header = decodeProtectedHeader(token) as Json;
    const claims = decodeJwt(token) as Json;
    const [head = '', body = '', signature = ''] = token.split('.');
    const { keys } = (await (await fetch(new URL('/oauth2/jwks', first.url))).json()) as { keys: Json[] };
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const forgeries = [
      `${part({ ...header, alg: 'none' })}.${body}.`,
      `${part({ alg: 'none', typ: 'at+jwt' })}.${body}.${signature}`,
      forged(header, claims),
      forged({ ...header, kid: 'mine' }, claims),
      forged({ ...header, kid: 'mine', jwk: mine.jwk }, claims),
      forged({ ...header, alg: 'HS256' }, claims, { secret: JSON.stringify(keys[0]) }),
      forged({ ...header, alg: 'HS256' }, claims, { secret: Buffer.from(String(keys[0]!.x), 'base64url') }),
      `${head}.${part({ ...claims, sub: 'user_2' })}.${signature}`,
      `${head}.${part({ ...claims, exp: Number(claims.exp) + 9_999 })}.${signature}`,
      `${part({ ...header, typ: 'JWT' })}.${body}.${signature}`,
      `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
      `${head}.${body}.`,
      `${token}=`,
      token.slice(0, -1),
    ];
    for (const one of forgeries) {
      expect((await whoami(first, one)).status, one).toBe(401);
      expect(await introspect(one, first.adminKey), one).toEqual({ active: false });
    }
    expectOk(await whoami(first, token));
  });

  test('and no JWT of the broker is taken for one of another kind', async () => {
    const session = await made({ actions: ['token', 'connections:read'] });
    const answer = await introspect(session.token, app.key, {}, INTROSPECTION);
    expect((await whoami(first, String(answer.text))).status).toBe(401);
    const asApp = { authorization: `Bearer ${app.key}` };
    const form = { grant_type: EXCHANGE, audience: 'acme', subject_token_type: JWT };
    // As a subject token, an actor token, a client assertion, a client secret, an ID token, a logout token.
    for (const [fields, headers] of [
      [{ subject_token: session.token }, asApp],
      [{ subject_token: session.token, actor_token: session.token, actor_token_type: JWT }, asApp],
      [{ subject_token: session.token, client_assertion_type: ASSERTION, client_assertion: session.token }, {}],
      [{ subject_token: session.token, client_id: app.id, client_secret: session.token }, {}],
    ] as const) {
      const refused = await post(first, '/oauth2/token', { ...form, ...fields }, { ...headers });
      expect([400, 401], JSON.stringify(refused.body)).toContain(refused.status);
      expect(refused.body).not.toHaveProperty('access_token');
    }
    // Once it is known, too: what is in memory is no way around.
    expectOk(await whoami(first, session.token));
    const known = { token: 'x', client_assertion_type: ASSERTION, client_assertion: session.token };
    expect((await post(first, '/oauth2/introspect', known, {})).status).toBe(401);
    for (const profile of ['id_token', 'logout_token', 'access_token']) {
      const asked = { token: session.token, profile };
      expect(expectOk(await first.ask('POST', '/v1/jwt/verify', asked)), profile).toEqual({
        active: false,
        reason: 'untrusted_issuer',
      });
    }
    expect((await post(first, '/logout/acme', { logout_token: session.token }, {})).status).toBeGreaterThanOrEqual(400);
  });
});

describe('introspection', () => {
  test('says the same of both forms to who may see the session; of a JWT, to those who may verify JWTs', async () => {
    const jwtSession = await made({ audience: API });
    const opaque = await made({ format: undefined, audience: undefined });
    const stranger = await caller([{ actions: ['token', 'sessions'], integrations: ['other'], owners: ['*'] }]);
    const members = (session: Json & { id: string }, aud: string) => ({
      active: true,
      token_type: 'Bearer',
      iss: replicas.publicUrl,
      aud,
      sub: 'user_1',
      client_id: app.id,
      scope: 'acme',
      act: { sub: 'agent-7' },
      sid: session.id,
      jti: session.id,
      iat: expect.any(Number),
      exp: Math.floor(Date.parse(String(session.expires_at)) / 1_000),
    });
    for (const key of [app.key, first.adminKey]) {
      expect(await introspect(jwtSession.token, key)).toEqual(members(jwtSession, API));
      expect(await introspect(opaque.token, key)).toEqual(members(opaque, replicas.publicUrl));
    }
    expect(await introspect(jwtSession.token, api.key)).toEqual(members(jwtSession, API));
    // It holds no opaque token by right, and a stranger none at all.
    expect(await introspect(opaque.token, api.key)).toEqual({ active: false });
    for (const { token } of [jwtSession, opaque])
      expect(await introspect(token, stranger.key)).toEqual({ active: false });
    expect(await introspect(jwtSession.token, api.key, { audience: 'https://elsewhere.example' })).toEqual({
      active: false,
    });
    expect(await introspect(jwtSession.token, api.key, { audience: API })).toMatchObject({ active: true });
    // A session sees itself, and none beside it.
    expect(await introspect(opaque.token, opaque.token)).toMatchObject({ active: true });
    expect(await introspect(jwtSession.token, opaque.token)).toEqual({ active: false });
    // Neither does one of the admin key, which is not the admin key.
    const ofAdmin = await made({ format: undefined, audience: undefined }, first.adminKey);
    expect(await introspect(jwtSession.token, ofAdmin.token)).toEqual({ active: false });
    expect((await post(first, '/oauth2/introspect', { token: opaque.token }, {})).status).toBe(401);
  });

  test('is signed for the caller that asks (RFC 9701)', async () => {
    const { token, id } = await made({ audience: API });
    const { text } = await introspect(token, api.key, {}, INTROSPECTION);
    const verifier = createJwksVerifier(second.url, replicas.publicUrl, replicas.clock.now);
    const { payload } = await verifier.verify(String(text), { typ: 'token-introspection+jwt', audience: api.id });
    expect(payload.token_introspection).toMatchObject({ active: true, sub: 'user_1', sid: id, aud: API });
    expect(Object.keys(payload).toSorted()).toEqual(['aud', 'iat', 'iss', 'token_introspection']);
  });

  test('and authentication end with the time of the token, by whatever clock', async () => {
    const [here, there] = [await made({ ttl: 60 }), await made({ audience: API, ttl: 60 })];
    expectOk(await whoami(first, here.token));
    replicas.clock.pass(61_000);
    expect((await whoami(first, here.token)).status).toBe(401);
    expect((await whoami(second, here.token)).status).toBe(401);
    expect(await introspect(there.token, api.key)).toEqual({ active: false });
    replicas.clock.set(-30_000);
    await expect.poll(async () => (await whoami(first, here.token)).status).toBe(401);
    replicas.clock.set(30_000);
  });
});
