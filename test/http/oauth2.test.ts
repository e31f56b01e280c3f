// The standard OAuth endpoints, with a general client, and their errors as the RFCs have them.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import { ExchangeAnswer, IntrospectionAnswer, OAuthError, ServerMetadata } from '../../src/api/index.ts';
import { type Answer, type Json, readResponse, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk } from '../support/contract.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import { connect, createConnectSession, newOwner, putIntegrationAt } from '../support/owner-browser.ts';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

let broker: TestBroker;
let provider: LocalProvider;
/** The company's identity provider. */
let idp: Issuer;
/** Of the services and agents of the company. */
let platform: Issuer;
let foreign: Issuer;
let caller: { id: string; key: string };
beforeAll(async () => {
  [idp, platform, foreign, provider] = await Promise.all([
    startIssuer(),
    startIssuer(),
    startIssuer(),
    startProvider(),
  ]);
  const trusted_issuers = [{ issuer: idp.url, audiences: ['intranet'], exchange: true }, { issuer: platform.url }];
  broker = await startTestBroker({}, { trusted_issuers });
  await putIntegrationAt(broker, 'acme', provider);
  caller = await admit([{ actions: ['token', 'jwt:verify'], integrations: ['acme'], owners: ['*'] }]);
});
afterAll(() => Promise.all([broker.stop(), provider.close(), idp.close(), platform.close(), foreign.close()]));

async function admit(grants: object[], more: Json = {}): Promise<{ id: string; key: string }> {
  const { id, key } = expectOk(await broker.ask('POST', '/v1/callers', { name: 'a service', grants, ...more }), 201);
  return { id: String(id), key: String(key) };
}

/** A form, as the caller unless the headers say otherwise; a parameter that is undefined is left out. */
async function post(path: string, form: Json, headers?: Record<string, string>): Promise<Answer> {
  const sent = Object.entries(form).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => [name, String(one)] as [string, string]),
  );
  const response = await fetch(new URL(path, broker.url), {
    method: 'POST',
    headers: headers ?? { authorization: `Bearer ${caller.key}` },
    body: new URLSearchParams(sent),
  });
  return readResponse('POST', path, response);
}
/** For the owner at acme, unless `more` says otherwise. */
async function exchange(owner: string, more: Json = {}, headers?: Record<string, string>): Promise<Answer> {
  const subject_token = await idp.sign({ sub: owner, aud: broker.url });
  const form = { grant_type: EXCHANGE, subject_token, subject_token_type: JWT, audience: 'acme', ...more };
  return post('/oauth2/token', form, headers);
}
const introspect = (token: string, more: Json = {}, headers?: Record<string, string>) =>
  post('/oauth2/introspect', { token, ...more }, headers);

function expectError({ status, headers, body }: Answer, expected: number, error: string): Json {
  expect([status, body.error], JSON.stringify(body)).toEqual([expected, error]);
  OAuthError.parse(body);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('content-type')).toMatch(/^application\/json\b/);
  expect(body.request_id).toBe(headers.get('x-request-id'));
  // RFC 6749 5.2
  expect(body.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
  return body;
}
async function connected(wanted: Json = {}): Promise<{ owner: string; token: unknown; id: unknown }> {
  const owner = newOwner();
  await connect(broker, (await createConnectSession(broker, { owner, ...wanted })).url);
  const label = typeof wanted.label === 'string' ? `&label=${wanted.label}` : '';
  const read = expectOk(await broker.ask('GET', `/v1/token?integration=acme&owner=${owner}${label}`));
  return { owner, token: read.access_token, id: read.connection_id };
}
const basic = (id: string, key: string) => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(key)}`).toString('base64')}`,
});

describe('openid-client', () => {
  const discovered = (auth: oidc.ClientAuth) =>
    oidc.discovery(new URL(broker.url), caller.id, {}, auth, {
      algorithm: 'oauth2',
      execute: [oidc.allowInsecureRequests],
    });

  test.each<[string, () => oidc.ClientAuth]>([
    ['with Basic', () => oidc.ClientSecretBasic(caller.key)],
    ['with a secret in the form', () => oidc.ClientSecretPost(caller.key)],
  ])('discovers the endpoints, exchanges and introspects a token, %s', async (_, auth) => {
    const { owner, token } = await connected();
    const config = await discovered(auth());
    const subject_token = await idp.sign({ sub: owner, aud: broker.url });
    const answer = await oidc.genericGrantRequest(config, EXCHANGE, {
      subject_token,
      subject_token_type: JWT,
      audience: 'acme',
    });
    expect(answer).toMatchObject({ access_token: token, issued_token_type: ACCESS_TOKEN, token_type: 'bearer' });
    expect(answer.expiresIn()).toBeGreaterThan(0);
    expect(await oidc.tokenIntrospection(config, subject_token)).toMatchObject({
      active: true,
      sub: owner,
      iss: idp.url,
    });
    expect(await oidc.tokenIntrospection(config, 'opaque')).toEqual({ active: false });
  });

  test('recognises an OAuth error', async () => {
    const config = await discovered(oidc.ClientSecretBasic(caller.key));
    const subject_token = await idp.sign({ sub: newOwner(), aud: broker.url });
    const asked = oidc.genericGrantRequest(config, EXCHANGE, {
      subject_token,
      subject_token_type: JWT,
      audience: 'acme',
    });
    await expect(asked).rejects.toMatchObject({ error: 'interaction_required', status: 400 });
  });
});

describe('token exchange', () => {
  test('the response of RFC 8693, with all scopes; audited', async () => {
    const { owner, token, id } = await connected();
    const answered = await exchange(owner, { requested_token_type: ACCESS_TOKEN, scope: 'openid' });
    expect(answered.status, JSON.stringify(answered.body)).toBe(200);
    ExchangeAnswer.strict().parse(answered.body);
    expect(answered.body).toMatchObject({ access_token: token, token_type: 'Bearer', connection_id: id });
    expect(String(answered.body.scope).split(' ')).toContain('openid');
    expect(answered.headers.get('cache-control')).toBe('no-store');
    const { data } = expectOk(await broker.ask('GET', `/v1/audit?owner=${owner}&action=token.read`));
    expect((data as Json[]).map(({ actor }) => actor)).toContain(caller.id);
  });

  test('one integration, as audience or as resource', async () => {
    const { owner } = await connected();
    for (const resource of [`${broker.url}/v1/integrations/acme`, 'urn:valetkey:integration:acme', 'acme'])
      expect((await exchange(owner, { audience: undefined, resource })).status).toBe(200);
    expect((await exchange(owner, { resource: 'urn:valetkey:integration:acme' })).status).toBe(200);
    expectError(await exchange(owner, { resource: 'urn:valetkey:integration:other' }), 400, 'invalid_target');
    expectError(await exchange(owner, { audience: ['acme', 'other'] }), 400, 'invalid_target');
    expectError(await exchange(owner, { audience: 'nowhere' }), 400, 'invalid_target');
    expectError(await exchange(owner, { audience: undefined }), 400, 'invalid_request');
  });

  test('invalid_scope with the missing scopes', async () => {
    const { owner } = await connected();
    const body = expectError(await exchange(owner, { scope: 'openid files.write' }), 400, 'invalid_scope');
    expect(body.missing_scopes).toEqual(['files.write']);
  });

  test('several connections: chosen by label, never guessed', async () => {
    const { owner, token } = await connected({ label: 'work' });
    await connect(broker, (await createConnectSession(broker, { owner, label: 'home' })).url);
    const { candidates } = expectError(await exchange(owner), 400, 'invalid_request');
    expect(candidates).toHaveLength(2);
    expect((await exchange(owner, { label: 'work' })).body.access_token).toBe(token);
  });

  test.each<[string, Json]>([
    ['no subject token', { subject_token: undefined }],
    ['an unsupported token type', { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }],
    ['no token type', { subject_token_type: undefined }],
    ['another requested token type', { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
    ['a parameter twice', { scope: ['a', 'b'] }],
    ['an invalid min_ttl', { min_ttl: 'long' }],
    ['no grant type', { grant_type: undefined }],
  ])('invalid_request with %s', async (_, more) => {
    expectError(await exchange(newOwner(), more), 400, 'invalid_request');
  });

  test('unsupported_grant_type for any other', async () => {
    expectError(await exchange(newOwner(), { grant_type: 'client_credentials' }), 400, 'unsupported_grant_type');
  });

  test('400 unless the body is a form, 413 when it is too large', async () => {
    const json = await fetch(new URL('/oauth2/token', broker.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${caller.key}`, 'content-type': 'application/json' },
      body: '{}',
    });
    expect([json.status, ((await json.json()) as Json).error]).toEqual([400, 'invalid_request']);
    expectError(await exchange(newOwner(), { subject_token: 'x'.repeat(140_000) }), 413, 'invalid_request');
  });
});

describe('subject token', () => {
  const seconds = () => Math.floor(Date.now() / 1_000);
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const claims = (): Json => ({ sub: 'victim', aud: broker.url });

  test.each<[string, string, () => Promise<string> | string]>([
    ['opaque', 'malformed', () => 'opaque'],
    [
      'without an algorithm',
      'unsupported_algorithm',
      () => `${encode({ alg: 'none' })}.${encode({ iss: idp.url, ...claims(), exp: seconds() + 60 })}.`,
    ],
    [
      'signed with another key',
      'invalid_signature',
      () => idp.sign(claims(), {}, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    ],
    ['of an untrusted issuer', 'untrusted_issuer', () => foreign.sign(claims())],
    [
      'of an untrusted issuer that claims to be a trusted one',
      'invalid_signature',
      () => foreign.sign({ ...claims(), iss: idp.url }),
    ],
    ['that has expired', 'expired', () => idp.sign({ ...claims(), exp: seconds() - 60 })],
    ['that is not valid yet', 'not_yet_valid', () => idp.sign({ ...claims(), nbf: seconds() + 600 })],
    ['that never expires', 'missing_claim', () => idp.sign({ ...claims(), exp: undefined })],
    ['for another service', 'audience_mismatch', () => idp.sign({ ...claims(), aud: 'https://other.example' })],
    ['without a subject', 'invalid_owner', () => idp.sign({ ...claims(), sub: undefined })],
    ['with * as the subject', 'invalid_owner', () => idp.sign({ ...claims(), sub: '*' })],
    ['with a pattern as the subject', 'invalid_owner', () => idp.sign({ ...claims(), sub: 'user_*' })],
    ['with a list as the subject', 'invalid_owner', () => idp.sign({ ...claims(), sub: ['victim'] })],
  ])('invalid_grant: %s', async (_, reason, forge) => {
    const body = expectError(await exchange('x', { subject_token: await forge() }), 400, 'invalid_grant');
    expect(body.reason).toBe(reason);
    const { data } = expectOk(await broker.ask('GET', '/v1/audit?action=token.exchange&limit=1'));
    const detail = expect.stringMatching(`^subject token: ${reason}(?: \\(.*of http.*\\))?$`);
    expect(data).toMatchObject([{ outcome: 'denied', actor: caller.id, detail }]);
  });

  test('an audience of the configuration is accepted', async () => {
    const { owner } = await connected();
    expect((await exchange('x', { subject_token: await idp.sign({ sub: owner, aud: 'intranet' }) })).status).toBe(200);
  });
});

describe('token exchange without a connection', () => {
  test('interaction_required with a connect_url; succeeds after the owner has connected', async () => {
    const owner = newOwner();
    const body = expectError(await exchange(owner, { label: 'work' }), 400, 'interaction_required');
    expect(body).toMatchObject({
      reason: 'not_connected',
      connect_url: expect.stringContaining(`${broker.url}/connect/`),
      interaction_uri: expect.stringContaining(`${broker.url}/connect/`),
    });
    // A repeated request gets the same connect link.
    expect((await exchange(owner, { label: 'work' })).body.connect_url).toBe(body.connect_url);
    expect((await exchange(owner)).body.connect_url).not.toBe(body.connect_url);
    expect((await connect(broker, String(body.connect_url))).status).toBe(200);
    expect((await exchange(owner, { label: 'work' })).status).toBe(200);
  });

  test('a session, and another key, get no connect_url that was made for their caller', async () => {
    const owner = newOwner();
    const able = await admit([{ actions: ['token', 'sessions'], integrations: ['acme'], owners: ['*'] }]);
    const { key: other } = expectOk(await broker.ask('POST', `/v1/callers/${able.id}/keys`), 201);
    const asked = { owner, integrations: ['acme'], actions: ['token'], scopes: ['none'], purpose: 'less' };
    const { token } = expectOk(await broker.ask('POST', '/v1/sessions', asked, able.key), 201);
    const linkFor = async (key: unknown) => {
      const answer = await exchange(owner, {}, { authorization: `Bearer ${key}` });
      return expectError(answer, 400, 'interaction_required').connect_url;
    };
    const wide = await linkFor(able.key);
    expect(await linkFor(able.key)).toBe(wide);
    // It may ask for the consent of no scopes but its own.
    expect(await linkFor(token)).toBeNull();
    // A link ends with the key that made it.
    expect(await linkFor(other)).not.toBe(wide);
  });

  test('a dead grant: connect_url renews the connection under its id', async () => {
    const { owner, id } = await connected();
    provider.withdrawGrants();
    expect((await broker.ask('POST', `/v1/connections/${id}/refresh`, {})).status).toBe(409);
    const body = expectError(await exchange(owner), 400, 'interaction_required');
    expect(body).toMatchObject({ reason: 'grant_revoked', connection_id: id });
    await connect(broker, String(body.connect_url));
    expect((await exchange(owner)).body.connection_id).toBe(id);
  });

  test('a revoked connection: connect_url makes a new one', async () => {
    const { owner, id } = await connected();
    expect((await broker.ask('DELETE', `/v1/connections/${id}`)).status).toBe(200);
    const body = expectError(await exchange(owner), 400, 'interaction_required');
    expect(body).toMatchObject({ reason: 'connection_revoked' });
    expect(body).not.toHaveProperty('connection_id');
    await connect(broker, String(body.connect_url));
    expect((await exchange(owner)).body.connection_id).not.toBe(id);
  });

  test('connect_url leads to a form where the provider has no browser flow', async () => {
    const setup = { provider: 'stripe', params: { mode: 'api_key' } };
    expectOk(await broker.ask('PUT', '/v1/integrations/keys', setup), 201);
    const { key } = await admit([{ actions: ['token'], integrations: ['keys'], owners: ['*'] }]);
    const answered = await exchange(newOwner(), { audience: 'keys' }, { authorization: `Bearer ${key}` });
    expect(expectError(answered, 400, 'interaction_required').connect_url).toMatch(/\/connect\/[\w-]{43}$/);
  });
});

describe('client authentication', () => {
  test('invalid_target without permission for the token', async () => {
    const { owner } = await connected();
    const { key } = await admit([{ actions: ['connections:read'], integrations: ['acme'], owners: [owner] }]);
    const body = expectError(await exchange(owner, {}, { authorization: `Bearer ${key}` }), 400, 'invalid_target');
    expect(body.missing).toEqual({ action: 'token', integration: 'acme', owner });
  });

  test('invalid_target where no grant touches the owner, as for an integration that does not exist', async () => {
    const { owner } = await connected();
    const { key } = await admit([{ actions: ['token'], integrations: ['acme', 'no-*'], owners: ['user_9'] }]);
    const answers = [];
    for (const audience of ['acme', 'hidden', 'no-such'])
      answers.push(
        expectError(await exchange(owner, { audience }, { authorization: `Bearer ${key}` }), 400, 'invalid_target'),
      );
    const said = answers.map(({ request_id: _, ...rest }) => rest);
    expect(said).toEqual([said[0], said[0], said[0]]);
  });

  test('invalid_request for two methods at once', async () => {
    const { owner } = await connected();
    const both = { client_id: caller.id, client_secret: caller.key };
    expectError(await exchange(owner, both), 400, 'invalid_request');
    expect((await exchange(owner, both, {})).status).toBe(200);
    expectError(
      await exchange(owner, { client_id: 'clr_other' }, basic(caller.id, caller.key)),
      400,
      'invalid_request',
    );
  });

  test("invalid_client when the client id is not the key's caller", async () => {
    const { owner } = await connected();
    const other = await admit([{ actions: ['*'], integrations: ['*'], owners: ['*'] }]);
    expect((await exchange(owner, {}, basic(caller.id, caller.key))).status).toBe(200);
    for (const headers of [basic(other.id, caller.key), basic(caller.id, 'x'.repeat(40)), basic(caller.id, ''), {}]) {
      const answered = await exchange(owner, {}, headers as Record<string, string>);
      expectError(answered, 401, 'invalid_client');
      const scheme = 'authorization' in headers ? /^Basic / : /^Bearer /;
      expect(answered.headers.get('www-authenticate')).toMatch(scheme);
    }
  });

  test('a workload token, as Bearer or client assertion', async () => {
    const { owner } = await connected();
    const grants = [{ actions: ['token'], integrations: ['acme'], owners: ['*'] }];
    const workloads = [{ issuer: idp.url, audience: 'valetkey', claims: { sub: 'service-1' } }];
    expectOk(await broker.ask('POST', '/v1/callers', { name: 'a service', grants, workloads }), 201);
    const client_assertion = await idp.sign({ sub: 'service-1' });
    expect((await exchange(owner, {}, { authorization: `Bearer ${client_assertion}` })).status).toBe(200);
    const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
    expect((await exchange(owner, { client_assertion, client_assertion_type }, {})).status).toBe(200);
    expectError(await exchange(owner, { client_assertion }, {}), 400, 'invalid_request');
  });

  test('429 with Retry-After above the rate limit', async () => {
    const { owner } = await connected();
    const grants = [{ actions: ['token'], integrations: ['acme'], owners: ['*'] }];
    const { key } = await admit(grants, { rate_limit: { requests: 1, window: 60 } });
    const headers = { authorization: `Bearer ${key}` };
    expect((await exchange(owner, {}, headers)).headers.get('ratelimit')).toBe('"caller";r=0;t=60');
    const over = await exchange(owner, {}, headers);
    expectError(over, 429, 'temporarily_unavailable');
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('introspection', () => {
  test('the claims of a JWT for the broker, an audience of its issuer, or the audience in the request', async () => {
    for (const aud of [broker.url, 'intranet']) {
      const { status, body } = await introspect(await idp.sign({ sub: 'user_1', aud, scope: 'a b', client_id: 'app' }));
      expect(status).toBe(200);
      IntrospectionAnswer.parse(body);
      const told = { active: true, iss: idp.url, sub: 'user_1', aud, scope: 'a b', client_id: 'app' };
      expect(body).toEqual({ ...told, iat: expect.any(Number), exp: expect.any(Number) });
    }
    const other = await idp.sign({ aud: 'billing' });
    expect((await introspect(other)).body).toEqual({ active: false });
    expect((await introspect(other, { audience: 'billing', token_type_hint: 'access_token' })).body.active).toBe(true);
  });

  test('no reason for a token that is not active', async () => {
    const stale = await idp.sign({ aud: broker.url, exp: 1 });
    for (const token of [stale, await foreign.sign({ aud: broker.url }), 'opaque', `${stale}x`])
      expect((await introspect(token)).body).toEqual({ active: false });
  });

  test('a claim named active does not make a token active', async () => {
    const { body } = await introspect(await idp.sign({ aud: broker.url, active: false }));
    expect(body.active).toBe(true);
  });

  test('insufficient_scope without jwt:verify', async () => {
    const { key } = await admit([{ actions: ['token'], integrations: ['*'], owners: ['*'] }]);
    expectError(await introspect('x', {}, { authorization: `Bearer ${key}` }), 403, 'insufficient_scope');
    expectError(await introspect('x', {}, {}), 401, 'invalid_client');
    expectError(await post('/oauth2/introspect', {}), 400, 'invalid_request');
  });
});

describe('the audit entry of a token exchange', () => {
  test('has a subject in quotes that could pass for another party', async () => {
    const forged = 'ada of https://idp.example; actor: subject root';
    for (const [sub, shown] of [
      [forged, JSON.stringify(forged)],
      ['a"b', '"a\\"b"'],
      ['ada@acme.example', 'ada@acme.example'],
    ] as const) {
      await exchange(sub);
      const { data } = expectOk(await broker.ask('GET', '/v1/audit?action=token.exchange&limit=1'));
      expect(data).toMatchObject([{ detail: `subject ${shown} of ${idp.url}` }]);
    }
  });
});

describe('token exchange for an agent session', () => {
  const RESOURCE = 'urn:ietf:params:oauth:token-type:jwt';
  const asked = (more: Json = {}): Json => ({ audience: undefined, resource: broker.url, scope: 'acme', ...more });

  test('of the user, for the agent, at the integrations of scope, in the form of RFC 8693', async () => {
    const { owner, token } = await connected();
    const agents = await admit([{ actions: ['token', 'proxy', 'sessions'], integrations: ['acme'], owners: ['*'] }]);
    const as = { authorization: `Bearer ${agents.key}` };
    const actor = 'spiffe://acme.example/agents/summary';
    const actor_token = await idp.sign({ sub: actor, aud: broker.url });
    const wanted = {
      requested_token_type: ACCESS_TOKEN,
      actor_token,
      actor_token_type: RESOURCE,
      actions: 'token',
      purpose: 'sum up',
    };
    const { status, body, headers } = await exchange(owner, asked({ ...wanted, ttl: '60' }), as);
    expect(status, JSON.stringify(body)).toBe(200);
    ExchangeAnswer.strict().parse(body);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({ issued_token_type: ACCESS_TOKEN, token_type: 'Bearer', scope: 'acme' });
    expect([body.access_token, body.session_id]).toEqual([
      expect.stringMatching(/^vs_/),
      expect.stringMatching(/^ses_/),
    ]);
    expect(Number(body.expires_in)).toBeGreaterThan(50);
    const read = await broker.ask(
      'GET',
      `/v1/token?integration=acme&owner=${owner}`,
      undefined,
      String(body.access_token),
    );
    expect(expectOk(read).access_token).toBe(token);
    expect(expectOk(await broker.ask('GET', `/v1/sessions/${body.session_id}`))).toMatchObject({
      ...{ owner, integrations: ['acme'], actions: ['token'], purpose: 'sum up', actor: { id: actor } },
      caller_id: agents.id,
    });
    const plain = await exchange(owner, asked({ resource: `${broker.url}/` }), as);
    expect(expectOk(plain).scope).toBe('acme');
  });

  test('tells agents of two issuers apart by their issuer, and from those that callers name', async () => {
    const { owner } = await connected();
    const grants = [{ actions: ['proxy', 'sessions', 'jwt:verify'], integrations: ['acme'], owners: ['*'] }];
    const { key } = await admit(grants);
    const as = { authorization: `Bearer ${key}` };
    for (const issuer of [idp, platform]) {
      const actor_token = await issuer.sign({ sub: 'agent', aud: broker.url });
      const wanted = { actor_token, actor_token_type: RESOURCE, actions: 'proxy sessions' };
      const { access_token, session_id } = expectOk(await exchange(owner, asked(wanted), as));
      const actor = { id: 'agent', name: null, issuer: issuer.url };
      expect(expectOk(await broker.ask('GET', `/v1/sessions/${session_id}`)).actor).toEqual(actor);
      const me = expectOk(await broker.ask('GET', '/v1/whoami', undefined, String(access_token)));
      expect(me.authenticated_by).toMatchObject({ actor });
      const told = expectOk(await introspect(String(access_token), {}, as));
      expect(told.act).toEqual({ iss: issuer.url, sub: 'agent' });
      const { data } = expectOk(await broker.ask('GET', `/v1/audit?session=${session_id}&action=session.created`));
      expect(data).toMatchObject([
        { agent: { id: 'agent', name: null }, detail: `${session_id} proxy sessions; agent of ${issuer.url}` },
      ]);
      // What it makes is of the same agent, unless it says another.
      const narrower = { owner, integrations: ['acme'], actions: ['proxy'], purpose: 'less' };
      const below = (more: Json = {}) =>
        broker.ask('POST', '/v1/sessions', { ...narrower, ...more }, String(access_token));
      expect(expectOk(await below(), 201).actor).toEqual(actor);
      expect(expectOk(await below({ actor: { id: 'agent' } }), 201).actor).toEqual({ ...actor, issuer: null });
    }
  });

  test('is refused for an actor whose sub could not be named as an agent', async () => {
    const agents = await admit([{ actions: ['proxy', 'sessions'], integrations: ['acme'], owners: ['*'] }]);
    for (const sub of ['x'.repeat(256), 'an\nagent', 'an agent\0', 'an \ud800', ' ']) {
      const actor_token = await idp.sign({ sub, aud: broker.url });
      const wanted = asked({ actor_token, actor_token_type: RESOURCE });
      const answer = await exchange(newOwner(), wanted, { authorization: `Bearer ${agents.key}` });
      expect(expectError(answer, 400, 'invalid_grant').reason).toBe('claim_mismatch');
    }
  });

  test('is refused without the grants, without scope, and with tokens that are not accepted', async () => {
    const owner = newOwner();
    expectError(await exchange(owner, asked()), 403, 'insufficient_scope');
    for (const scope of [undefined, '', 'Not An Id'])
      expectError(await exchange(owner, asked({ scope })), 400, 'invalid_scope');
    expectError(await exchange(owner, asked({ actions: 'admin' })), 400, 'invalid_request');
    expectError(await exchange(owner, asked({ audience: 'acme' })), 400, 'invalid_request');
    expectError(await exchange(owner, asked({ ttl: '0' })), 400, 'invalid_request');
    const actor_token = await foreign.sign({ sub: 'agent', aud: broker.url });
    expectError(await exchange(owner, asked({ actor_token, actor_token_type: RESOURCE })), 400, 'invalid_grant');
    const subject_token = await idp.sign({ sub: owner, aud: 'elsewhere' });
    expectError(await exchange(owner, asked({ subject_token })), 400, 'invalid_grant');
  });
});

describe('a JWT-SVID as client assertion', () => {
  const SPIFFE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';
  const spiffeId = 'spiffe://acme.example/service-2';

  test('authenticates the caller that is bound to it, named by its SPIFFE ID, its caller id, or not at all', async () => {
    const { owner } = await connected();
    const workload = (sub: string) => ({ workloads: [{ issuer: idp.url, audience: 'valetkey', claims: { sub } }] });
    const grants = [{ actions: ['token'], integrations: ['acme'], owners: ['*'] }];
    const { id } = await admit(grants, workload(spiffeId));
    await admit(grants, workload('service-3'));
    const assertion = async (sub: string, client_id?: string) => ({
      client_assertion: await idp.sign({ sub }),
      client_assertion_type: SPIFFE,
      client_id,
    });
    for (const client_id of [undefined, spiffeId, id])
      expect((await exchange(owner, await assertion(spiffeId, client_id), {})).status).toBe(200);
    expectError(await exchange(owner, await assertion(spiffeId, `${spiffeId}0`), {}), 401, 'invalid_client');
    // A JWT whose subject is no SPIFFE ID is no JWT-SVID.
    expectError(await exchange(owner, await assertion('service-3'), {}), 401, 'invalid_client');
  });
});

describe('server metadata', () => {
  const WELL_KNOWN = '/.well-known/oauth-authorization-server';

  test('the endpoints, at the path of RFC 8414', async () => {
    const response = await fetch(new URL(WELL_KNOWN, broker.url));
    expect(response.headers.get('content-type')).toMatch(/^application\/json\b/);
    const body = ServerMetadata.strict().parse(await response.json());
    expect(body).toMatchObject({
      issuer: broker.url,
      token_endpoint: `${broker.url}/oauth2/token`,
      introspection_endpoint: `${broker.url}/oauth2/introspect`,
      grant_types_supported: [EXCHANGE],
    });
  });

  test('a public URL with a path', async () => {
    const behind = await startTestBroker({
      VALETKEY_PUBLIC_URL: 'https://broker.example/valet',
      VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
    });
    try {
      const response = await fetch(new URL(`${WELL_KNOWN}/valet`, behind.url));
      expect(await response.json()).toMatchObject({
        issuer: 'https://broker.example/valet',
        token_endpoint: 'https://broker.example/valet/oauth2/token',
      });
    } finally {
      await behind.stop();
    }
  });
});
