// Which verified JWTs may be used as a credential, and which may not: bound to a key, of a login, or for ever.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import { type Answer, type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import { createMovingClock } from '../support/moving-clock.ts';
import { exchangeToken, introspectToken, JWT_TYPE } from '../support/oauth-requests.ts';
import { connect, createConnectSession } from '../support/owner-browser.ts';
import { startProviderProxy } from '../support/provider-proxy.ts';

const DAY = 24 * 60 * 60;
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const clock = createMovingClock();
const seconds = () => Math.floor(clock.now() / 1_000);
let issuer: Issuer;
/** With `max_age: 600`. */
let brief: Issuer;
/** Lists a year: for platforms whose tokens live so long. */
let lasting: Issuer;
let provider: LocalProvider;
let folder: string;
let start: () => Promise<TestBroker>;
let broker: TestBroker;
let key: string;
const owner = 'user_1';

beforeAll(async () => {
  [issuer, brief, lasting, provider] = await Promise.all([
    startIssuer(clock.now),
    startIssuer(clock.now),
    startIssuer(clock.now),
    startProvider(),
  ]);
  const trusted_issuers = [
    { issuer: issuer.url, audiences: ['broker'], exchange: true },
    { issuer: brief.url, audiences: ['broker'], exchange: true, max_age: 600 },
    { issuer: lasting.url, max_age: 366 * DAY },
    { issuer: provider.issuer },
  ];
  folder = await mkdtemp(join(tmpdir(), 'valetkey-workloads-'));
  const keys = `k1:${randomBytes(32).toString('base64url')}`;
  const env = { VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}`, VALETKEY_KEYS: keys };
  start = () => startTestBroker(env, { trusted_issuers }, { clock, refreshAhead: false });
  broker = await start();
  const params = { authorization_url: 'http://127.0.0.1:9/a', token_url: 'http://127.0.0.1:9/t' };
  const acme = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', acme), 201);
  const credentials = { access_token: 'at' };
  expectOk(await broker.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials }), 201);
  key = await broker.callerKey({ actions: ['token', 'jwt:verify'] });
  await bind({ claims: { sub: 'service' } });
  await bind({ claims: { sub: 'short' }, max_age: 300 });
  await bind({ claims: { sub: 'service' }, issuer: brief.url });
  await bind({ claims: { sub: 'patient' }, issuer: brief.url, max_age: 3_600 });
  await bind({ claims: { sub: 'service' }, issuer: lasting.url });
});
afterAll(async () => {
  await Promise.all([broker.stop(), issuer.close(), brief.close(), lasting.close(), provider.close()]);
  await rm(folder, { recursive: true, force: true });
});

const grants = [{ actions: ['token'], integrations: ['*'], owners: ['*'] }];
async function bind(workload: Json): Promise<Json> {
  const workloads = [{ issuer: issuer.url, audience: 'valetkey', ...workload }];
  return expectOk(await broker.ask('POST', '/v1/callers', { name: 'a service', grants, workloads }), 201);
}
const whoami = (token: string) => broker.ask('GET', '/v1/whoami', undefined, token);
/** On every path that takes a workload's token. */
async function expectRefused(token: string, reason: string): Promise<void> {
  expect(expectProblem(await whoami(token), 401, 'unauthenticated').reason).toBe(reason);
  const form = { subject_token: await issuer.sign({ sub: owner, aud: 'broker' }), audience: 'acme' };
  for (const [as, more] of [
    [token, {}],
    ['', { client_assertion: token, client_assertion_type: ASSERTION_TYPE }],
  ] as const) {
    const headers: Record<string, string> = as === '' ? {} : { authorization: `Bearer ${as}` };
    const grant = { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token_type: JWT_TYPE };
    const body = new URLSearchParams({ ...grant, ...form, ...more });
    const answer = await fetch(new URL('/oauth2/token', broker.url), { method: 'POST', headers, body });
    const { error, reason: told } = (await answer.json()) as Json;
    expect([answer.status, error, told]).toEqual([401, 'invalid_client', reason]);
  }
}
const exchange = (subject_token: string, more: Json = {}): Promise<Answer> =>
  exchangeToken(broker, key, { subject_token, audience: 'acme', ...more });
function expectInvalidGrant({ status, body }: Answer, reason: string): string {
  expect([status, body.error, body.reason], JSON.stringify(body)).toEqual([400, 'invalid_grant', reason]);
  return String(body.error_description);
}
/** Failed authentications are limited by address and minute, in each process: the next tests begin with none. */
async function restart(): Promise<void> {
  await broker.stop();
  broker = await start();
}

describe('a token that is bound to a key', () => {
  const confirmations: [string, unknown][] = [
    ['a DPoP key', { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' }],
    ['a certificate', { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' }],
    ['a key itself', { jwk: { kty: 'EC', crv: 'P-256', x: 'a', y: 'b' } }],
    ['a method that is not known', { tbh: 'x' }],
    ['nothing', {}],
    ['null', null],
    ['a text', 'x'],
  ];

  test.each(confirmations.slice(0, 4))('%s: 401 as a bearer token', async (_, cnf) => {
    await expectRefused(await issuer.sign({ sub: 'service', cnf }), 'sender_constrained');
  });

  test.each(confirmations)('%s: no subject token, no actor token', async (_, cnf) => {
    const bound = await issuer.sign({ sub: owner, aud: 'broker', cnf });
    expect(expectInvalidGrant(await exchange(bound), 'sender_constrained')).toContain('cnf');
    const plain = await issuer.sign({ sub: owner, aud: 'broker' });
    expectInvalidGrant(await exchange(plain, { actor_token: bound, actor_token_type: JWT_TYPE }), 'sender_constrained');
  });

  test.each(confirmations)('%s: verification and introspection report it', async (_, cnf) => {
    const token = await issuer.sign({ sub: owner, aud: 'broker', cnf });
    const verdict = expectOk(await broker.ask('POST', '/v1/jwt/verify', { token }));
    expect(verdict).toMatchObject({ active: true, cnf, claims: { cnf } });
    const { body } = await introspectToken(broker, key, { token });
    expect(body).toMatchObject({ active: true, cnf });
    const isDpop = typeof cnf === 'object' && cnf !== null && 'jkt' in cnf;
    expect(body.token_type).toBe(isDpop ? 'DPoP' : undefined);
  });
});

describe('the ID token of a login', () => {
  beforeAll(restart);

  test.each<[string, Json, Json?]>([
    ['with a nonce', { nonce: 'n' }],
    ['with the hash of an access token', { at_hash: 'x' }],
    ['with the hash of a code', { c_hash: 'x' }],
    ['that says when a person logged in', { auth_time: 1 }],
    ['that says how a person logged in', { amr: ['pwd'] }],
    ['issued to the client that it is for', { azp: 'valetkey' }],
    ['that calls itself one in its claims', { typ: 'ID' }],
    ['that calls itself one, as Cognito does', { token_use: 'id' }],
  ])('%s: 401', async (_, claims, header) => {
    await expectRefusedOnce(await issuer.sign({ sub: 'service', ...claims }, header), 'id_token');
  });

  test.each<[string, Json, string]>([
    ['a refresh token that is a JWT', { typ: 'Refresh' }, 'id_token'],
    [
      'a security event',
      { events: { 'https://schemas.openid.net/secevent/risc/event-type/account-disabled': {} } },
      'type_mismatch',
    ],
    [
      'a logout token',
      { events: { 'http://schemas.openid.net/event/backchannel-logout': {} }, sid: 'x', jti: 'y' },
      'type_mismatch',
    ],
  ])('%s is none of a workload either', async (_, claims, reason) => {
    await expectRefusedOnce(await issuer.sign({ sub: 'service', ...claims }), reason);
  });

  const expectRefusedOnce = async (token: string, reason: string) =>
    expect(expectProblem(await whoami(token), 401, 'unauthenticated').reason).toBe(reason);

  test('of a real provider, for the client of an integration, bound by mistake', async () => {
    const proxy = await startProviderProxy(provider);
    try {
      const { clientId, clientSecret } = await provider.addClient([`${broker.url}/oauth2/callback/login`]);
      const client = { client_id: clientId, client_secret: clientSecret };
      const params = { issuer: provider.issuer };
      const setup = { provider: 'generic-oidc', ...client, params, overrides: proxy.overrides };
      await bind({ issuer: provider.issuer, audience: clientId, claims: { sub: 'ada' } });
      expectOk(await broker.ask('PUT', '/v1/integrations/login', setup), 201);
      const link = await createConnectSession(broker, { integration: 'login' });
      await connect(broker, link.url, { login: 'ada' });
      const [exchanged] = proxy.forwarded('authorization_code');
      await expectRefusedOnce(String(exchanged?.answer.id_token), 'id_token');
    } finally {
      await proxy.close();
    }
  });
});

describe('tokens of platforms go on working', () => {
  const uid = '104289347612874';
  test.each<[string, string, Json, Json?]>([
    [
      'Kubernetes',
      'system:serviceaccount:prod:mailer',
      { jti: 'a', nbf: 1, 'kubernetes.io': { namespace: 'prod', serviceaccount: { name: 'mailer', uid: 'u' } } },
    ],
    [
      'GitHub Actions',
      'repo:acme/app:ref:refs/heads/main',
      { jti: 'a', repository: 'acme/app', environment: 'prod', actor: 'ada', run_id: '1', ref_type: 'branch' },
      { typ: 'JWT', x5t: 'x' },
    ],
    [
      'GitLab CI',
      'project_path:acme/app:ref_type:branch:ref:main',
      { user_login: 'ada', project_id: '7' },
      { typ: 'JWT' },
    ],
    [
      'a Google service account',
      uid,
      { azp: uid, email: 'mailer@acme.iam.gserviceaccount.com', email_verified: true, google: { compute_engine: {} } },
      { typ: 'JWT' },
    ],
    [
      'an Azure managed identity',
      '5e0f1c7e-oid',
      {
        appid: 'x',
        appidacr: '2',
        idp: 'https://sts.windows.net/t/',
        idtyp: 'app',
        oid: 'o',
        tid: 't',
        ver: '1.0',
        rh: 'r',
      },
      { typ: 'JWT' },
    ],
    [
      'an Entra application',
      'app-oid',
      { azp: 'valetkey', azpacr: '1', oid: 'app-oid', roles: ['x'], ver: '2.0' },
      { typ: 'JWT' },
    ],
    ['AWS', 'arn:aws:iam::123456789012:role/mailer', { 'https://sts.amazonaws.com/': { org_id: 'o' } }],
    [
      'Keycloak',
      'f3c1-service-account',
      { typ: 'Bearer', azp: 'mailer', acr: '1', scope: 'profile', client_id: 'mailer' },
    ],
    ['Auth0', 'mailer@clients', { azp: 'mailer', gty: 'client-credentials', scope: 'read' }],
    ['Okta', 'mailer', { cid: 'mailer', scp: ['read'], ver: 1 }],
    ['an access token of RFC 9068', 'mailer-9068', { client_id: 'mailer', jti: 'a', auth_time: 1 }, { typ: 'at+jwt' }],
  ])('%s', async (_, sub, claims, header) => {
    const { id } = await bind({ claims: { sub } });
    expect(expectOk(await whoami(await issuer.sign({ sub, ...claims }, header))).id).toBe(id);
  });
});

describe('age', () => {
  beforeAll(restart);

  const ISSUED = { sub: 'service' };
  test.each<[string, () => Json, string]>([
    ['ten years ahead', () => ({ exp: seconds() + 3_650 * DAY }), 'lives_too_long'],
    ['at the end of time', () => ({ exp: 8.64e15 }), 'lives_too_long'],
    ['a week ahead, without iat', () => ({ iat: undefined, exp: seconds() + 7 * DAY }), 'lives_too_long'],
    [
      'a year after it was issued, a moment ahead',
      () => ({ iat: seconds() - 365 * DAY, exp: seconds() + 60 }),
      'lives_too_long',
    ],
    ['missing', () => ({ exp: undefined }), 'missing_claim'],
    ['a text', () => ({ exp: '9999999999' }), 'malformed'],
    ['in the future by iat', () => ({ iat: seconds() + 3_600, exp: seconds() + 7_200 }), 'not_yet_valid'],
    ['not to be told: iat is a text', () => ({ iat: 'now' }), 'malformed'],
  ])('401 when the end is %s', async (_, claims, reason) => {
    expect(
      expectProblem(await whoami(await issuer.sign({ ...ISSUED, ...claims() })), 401, 'unauthenticated').reason,
    ).toBe(reason);
  });

  test('the refusal says what to do', async () => {
    const { detail } = expectProblem(
      await whoami(await issuer.sign({ sub: 'service', exp: seconds() + 90 * DAY })),
      401,
      'unauthenticated',
    );
    expect(detail).toContain('set max_age of the binding or of the trusted issuer');
  });

  test('a day is accepted, and as long as max_age says', async () => {
    expectOk(await whoami(await issuer.sign({ sub: 'service', exp: seconds() + DAY })));
    expectOk(await whoami(await issuer.sign({ sub: 'service', iat: undefined, exp: seconds() + DAY })));
    expectOk(await whoami(await lasting.sign({ sub: 'service', exp: seconds() + 365 * DAY })));
  });

  test.each<[string, () => Issuer, string, number]>([
    ['of the issuer', () => brief, 'service', 600],
    ['of the binding', () => issuer, 'short', 300],
    ['of the binding, rather than of the issuer', () => brief, 'patient', 3_600],
  ])('max_age %s: accepted until then, also from memory; then 401', async (_, by, sub, maxAge) => {
    const issue = (age: number) => by().sign({ sub, iat: seconds() - age, exp: seconds() + 2 * 3_600 });
    const token = await issue(maxAge - 20);
    const me = expectOk(await whoami(token));
    expect(Date.parse(String((me.authenticated_by as Json).expires_at)) / 1_000).toBeLessThanOrEqual(seconds() + 21);
    clock.advance(80_000);
    expect(expectProblem(await whoami(token), 401, 'unauthenticated').reason).toBe('too_old');
    expect(expectProblem(await whoami(await issue(maxAge + 60)), 401, 'unauthenticated').reason).toBe('too_old');
    const undated = await by().sign({ sub, iat: undefined });
    expect(expectProblem(await whoami(undated), 401, 'unauthenticated').reason).toBe('missing_claim');
  });

  test('of subject tokens too', async () => {
    const signed = (by: Issuer, claims: Json) => by.sign({ sub: owner, aud: 'broker', ...claims });
    expect((await exchange(await signed(issuer, {}))).status).toBe(200);
    const endless = await signed(issuer, { exp: seconds() + 365 * DAY });
    expect(expectInvalidGrant(await exchange(endless), 'lives_too_long')).toContain(`set max_age of ${issuer.url}`);
    expectInvalidGrant(await exchange(await signed(brief, { iat: seconds() - 700 })), 'too_old');
    expectInvalidGrant(await exchange(await signed(brief, { iat: undefined })), 'missing_claim');
  });
});

describe('may_act', () => {
  const subject = (may_act: unknown, more: Json = {}) => issuer.sign({ sub: owner, aud: 'broker', may_act, ...more });
  const as = async (claims: Json, by = issuer): Promise<Json> => ({
    actor_token: await by.sign({ aud: 'broker', ...claims }),
    actor_token_type: JWT_TYPE,
  });

  test('honoured: the actor that it names, and no other', async () => {
    const token = await subject({ sub: 'agent' });
    const ok = await exchange(token, await as({ sub: 'agent' }));
    expect([ok.status, ok.body.access_token], JSON.stringify(ok.body)).toEqual([200, 'at']);
    const { data } = expectOk(await broker.ask('GET', '/v1/audit?action=token.exchange&limit=1'));
    expect(data).toMatchObject([
      { outcome: 'ok', detail: `subject ${owner} of ${issuer.url}; actor: subject agent of ${issuer.url}` },
    ]);
    expectInvalidGrant(await exchange(token, await as({ sub: 'other' })), 'actor_not_allowed');
    expectInvalidGrant(await exchange(token, await as({ sub: ['agent'] })), 'actor_not_allowed');
    // The same name at another issuer is another party.
    expectInvalidGrant(await exchange(token, await as({ sub: 'agent' }, brief)), 'actor_not_allowed');
    expect(
      (await exchange(await subject({ iss: brief.url, sub: 'agent' }), await as({ sub: 'agent' }, brief))).status,
    ).toBe(200);
  });

  test('without an actor token: refused, unless it names the caller', async () => {
    expect(expectInvalidGrant(await exchange(await subject({ sub: 'agent' })), 'actor_not_allowed')).toContain(
      'actor_token',
    );
    const me = expectOk(await broker.ask('GET', '/v1/whoami', undefined, key));
    for (const may_act of [{ sub: me.id }, { client_id: me.id }, { iss: broker.url, sub: me.id }])
      expect((await exchange(await subject(may_act))).status).toBe(200);
    expectInvalidGrant(await exchange(await subject({ iss: issuer.url, sub: me.id })), 'actor_not_allowed');
    const workload = await issuer.sign({ sub: 'service' });
    const exchangeAs = async (may_act: Json) =>
      exchangeToken(broker, workload, { subject_token: await subject(may_act), audience: 'acme' });
    expect((await exchangeAs({ sub: 'service' })).status).toBe(200);
    expectInvalidGrant(await exchangeAs({ sub: 'agent' }), 'actor_not_allowed');
    expectInvalidGrant(await exchangeAs({ iss: brief.url, sub: 'service' }), 'actor_not_allowed');
  });

  test.each<[string, unknown]>([
    ['empty', {}],
    ['null', null],
    ['a text', 'agent'],
    ['a list', [{ sub: 'agent' }]],
    ['an issuer alone', { iss: 'x' }],
    ['a list of subjects', { sub: ['agent'] }],
    ['more than the actor is', { sub: 'agent', client_id: 'x' }],
    ['inherited', { sub: 'agent', constructor: 'x' }],
  ])('names no one when it is %s', async (_, may_act) => {
    expectInvalidGrant(await exchange(await subject(may_act), await as({ sub: 'agent' })), 'actor_not_allowed');
  });

  test('an actor token is verified like a subject token', async () => {
    const token = await subject(undefined);
    expect((await exchange(token, await as({ sub: 'agent' }))).status).toBe(200);
    expectInvalidGrant(await exchange(token, await as({ sub: 'agent', aud: 'elsewhere' })), 'audience_mismatch');
    expectInvalidGrant(await exchange(token, await as({ sub: 'agent', exp: 1 })), 'expired');
    expectInvalidGrant(await exchange(token, await as({ iss: 'https://op.example' })), 'untrusted_issuer');
    expectInvalidGrant(await exchange(token, { actor_token: 'opaque', actor_token_type: JWT_TYPE }), 'malformed');
    for (const more of [{ actor_token: 'x' }, { actor_token_type: JWT_TYPE }])
      expect((await exchange(token, more)).body.error).toBe('invalid_request');
  });
});
