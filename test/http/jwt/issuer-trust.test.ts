// What an issuer is trusted for, attacked over HTTP: by whoever can sign in at the issuer of an OpenID integration, and by a
// listed issuer that speaks for more than it is listed for.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { type Issuer, startIssuer } from '../../support/issuer.ts';
import { exchangeToken, introspectToken } from '../../support/oauth-requests.ts';

/** Of OpenID integrations only: anyone can sign up there. */
let social: Issuer;
/** Listed to name owners, by `sub`. */
let company: Issuer;
/** Listed to name owners: those of one customer, by their e-mail address. */
let customer: Issuer;
/** Listed, but not to name owners; and of an integration. */
let cluster: Issuer;
let folder: string;
let broker: TestBroker;
let replica: TestBroker;
let key: string;
const victim = 'victim';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-issuers-'));
  [social, company, customer, cluster] = await Promise.all([
    startIssuer(),
    startIssuer(),
    startIssuer(),
    startIssuer(),
  ]);
  const env = {
    VALETKEY_DATABASE_URL: `file:${join(folder, 'shared.db')}`,
    VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
    VALETKEY_PUBLIC_URL: 'http://127.0.0.1:9/broker',
  };
  const trusted_issuers = [
    { issuer: company.url, audiences: ['intranet', 'billing'], exchange: true },
    { issuer: customer.url, exchange: true, owner: { claim: 'email', prefix: 'customer:' } },
    { issuer: cluster.url, audiences: ['cluster'] },
  ];
  broker = await startTestBroker(env, { trusted_issuers });
  replica = await startTestBroker(env, { trusted_issuers });
  const params = { authorization_url: 'http://127.0.0.1:9/a', token_url: 'http://127.0.0.1:9/t' };
  const acme = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', acme), 201);
  await integrate('social', social.url, 'social-client');
  await integrate('cluster', cluster.url, 'cluster-client');
  for (const owner of [victim, 'customer:ada@customer.example'])
    expectOk(
      await broker.ask('POST', '/v1/connections', {
        integration: 'acme',
        owner,
        credentials: { access_token: `token of ${owner}`.replaceAll(' ', '-') },
      }),
      201,
    );
  key = await broker.callerKey({ actions: ['token', 'jwt:verify'] });
});
afterAll(async () => {
  await Promise.all([broker.stop(), replica.stop()]);
  await Promise.all([social, company, customer, cluster].map((issuer) => issuer.close()));
  await rm(folder, { recursive: true, force: true });
});

async function integrate(id: string, issuer: string, client_id: string, by = broker): Promise<void> {
  const setup = { provider: 'generic-oidc', client_id, client_secret: 's', params: { issuer } };
  const { status, body } = await by.ask('PUT', `/v1/integrations/${id}`, setup);
  expect([200, 201], JSON.stringify(body)).toContain(status);
}

const PUBLIC_URL = 'http://127.0.0.1:9/broker';
const verify = async (token: string, more: Json = {}, at = broker): Promise<Json> =>
  expectOk(await at.ask('POST', '/v1/jwt/verify', { token, ...more }));
const introspect = async (token: string, more: Json = {}): Promise<Json> =>
  (await introspectToken(broker, key, { token, ...more })).body;
const exchange = (subject_token: string, more: Json = {}): Promise<Answer> =>
  exchangeToken(broker, key, { subject_token, audience: 'acme', ...more });
const refused = (reason: string) => ({ active: false, reason });

function expectInvalidGrant({ status, body }: Answer, reason: string): string {
  expect([status, body.error, body.reason], JSON.stringify(body)).toEqual([400, 'invalid_grant', reason]);
  return String(body.error_description);
}

describe('the issuer of an OpenID integration', () => {
  test.each<[string, () => string | string[]]>([
    ['an audience of someone else', () => 'billing'],
    ["the broker's public URL", () => PUBLIC_URL],
    ['another client of it', () => 'other-client'],
    ['the client of another integration', () => 'cluster-client'],
    ['several of these', () => ['billing', PUBLIC_URL]],
  ])('is not trusted for %s, whatever is asked for', async (_, audience) => {
    const aud = audience();
    const token = await social.sign({ sub: 'mallory', aud });
    for (const one of [aud].flat())
      for (const asked of [one, [one, 'social-client']])
        expect(await verify(token, { audience: asked })).toEqual(refused('audience_mismatch'));
    expect(await verify(token)).toEqual(refused('audience_mismatch'));
    expect(await verify(token, { issuer: social.url, audience: 'billing' })).toEqual(refused('audience_mismatch'));
    const batch = expectOk(
      await broker.ask('POST', '/v1/jwt/verify-batch', { tokens: [{ token }], audience: [aud].flat()[0] }),
    );
    expect(batch.verdicts).toEqual([refused('audience_mismatch')]);
    for (const one of [{}, { audience: [aud].flat()[0] }])
      expect(await introspect(token, one)).toEqual({ active: false });
  });

  test('is trusted for its client id, alone or among others', async () => {
    for (const aud of ['social-client', ['elsewhere', 'social-client']]) {
      const token = await social.sign({ aud });
      for (const more of [{}, { audience: 'social-client' }, { audience: ['x', 'social-client'] }])
        expect(await verify(token, more)).toMatchObject({ active: true, issuer: social.url });
      expect(await introspect(token)).toMatchObject({ active: true });
      expect(await verify(token, { audience: 'elsewhere' })).toEqual(refused('audience_mismatch'));
    }
  });

  test('ID tokens: azp must be the client', async () => {
    const idToken = (azp?: string) => social.sign({ aud: ['social-client', 'x'], azp });
    const profile = 'id_token';
    expect(await verify(await idToken('social-client'), { profile })).toMatchObject({ active: true });
    expect(await verify(await idToken('x'), { profile })).toEqual({ ...refused('claim_mismatch'), claim: 'azp' });
    // `x` does not become an audience of the issuer by being asked for.
    const asked = { profile, audience: ['social-client', 'x'] };
    expect(await verify(await idToken('x'), asked)).toEqual({ ...refused('claim_mismatch'), claim: 'azp' });
    expect(await verify(await idToken(), { profile })).toEqual({ ...refused('missing_claim'), claim: 'azp' });
  });

  test('names no owner, and the refusal says which line is missing', async () => {
    for (const aud of [PUBLIC_URL, 'social-client', 'intranet', [PUBLIC_URL, 'social-client']]) {
      const answer = await exchange(await social.sign({ sub: victim, aud }));
      const said = expectInvalidGrant(answer, 'untrusted_issuer');
      expect(said).toContain(`list {'issuer': '${social.url}', 'exchange': true} in trusted_issuers`);
      expect(said).toContain('VALETKEY_CONFIG');
    }
  });

  test('is the issuer of no workload: not when it is bound, and not of a binding that is stored', async () => {
    const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
    const workloads = [{ issuer: social.url, audience: 'social-client', claims: { sub: 'mallory' } }];
    const answer = await broker.ask('POST', '/v1/callers', { name: 'x', grants, workloads });
    expectIssues(answer, 'workloads.0.issuer');
    const [{ message }] = answer.body.issues as [Json];
    expect(message).toContain(`add {"issuer": "${social.url}"} to trusted_issuers in the file of VALETKEY_CONFIG`);
    const applied = { callers: [{ name: 'x', grants, workloads }] };
    expectIssues(await broker.ask('POST', '/v1/apply', applied), 'callers.0.workloads.0.issuer');
    const theirs = { id: 'theirs', provider: 'generic-oidc', client_id: 'valetkey', params: { issuer: social.url } };
    expectIssues(
      await broker.ask('POST', '/v1/apply', { ...applied, integrations: [theirs] }),
      'callers.0.workloads.0.issuer',
    );
  });

  test('an admin of one integration gets no audience of the deployment by choosing its client id', async () => {
    const evil = await startIssuer();
    try {
      for (const client_id of ['billing', PUBLIC_URL]) {
        await integrate('evil', evil.url, client_id);
        const token = await evil.sign({ sub: victim, aud: client_id });
        expect(await verify(token, { audience: client_id })).toMatchObject({ active: false });
        expect(await verify(token)).toMatchObject({ active: false });
        expect(await introspect(token)).toEqual({ active: false });
        expectInvalidGrant(await exchange(token), 'untrusted_issuer');
      }
      expect((await broker.ask('DELETE', '/v1/integrations/evil')).status).toBe(204);
    } finally {
      await evil.close();
    }
  });

  test('several integrations of one issuer: each client id, until that integration is deleted, on every replica', async () => {
    await integrate('second', social.url, 'second-client');
    const first = await social.sign({ aud: 'social-client' });
    const second = await social.sign({ aud: 'second-client' });
    const both = [broker, replica];
    for (const at of both)
      await expect.poll(async () => (await verify(second, {}, at)).active, { timeout: 30_000 }).toBe(true);
    expect((await broker.ask('DELETE', '/v1/integrations/second')).status).toBe(204);
    expect(await verify(second)).toEqual(refused('audience_mismatch'));
    // The answer waits for the other replicas, for half a second at most.
    await expect.poll(async () => (await verify(second, {}, replica)).active, { timeout: 30_000 }).toBe(false);
    for (const at of both) expect(await verify(first, {}, at)).toMatchObject({ active: true });
  });

  test('the trust ends with a change of the issuer, for verdicts that are cached too', async () => {
    await integrate('moving', social.url, 'moving-client');
    const token = await social.sign({ aud: 'moving-client' });
    expect(await verify(token)).toMatchObject({ active: true });
    await integrate('moving', company.url, 'moving-client');
    expect(await verify(token)).toEqual(refused('audience_mismatch'));
    expect((await broker.ask('DELETE', '/v1/integrations/moving')).status).toBe(204);
  });
});

describe('a listed issuer', () => {
  test('is trusted for the audience that is asked for; without one, for those listed and the clients of its integrations', async () => {
    const token = (aud: string) => cluster.sign({ aud });
    expect(await verify(await token('anything'), { audience: 'anything' })).toMatchObject({ active: true });
    for (const aud of ['cluster', 'cluster-client'])
      expect(await verify(await token(aud))).toMatchObject({ active: true });
    expect(await verify(await token('anything'))).toEqual(refused('audience_mismatch'));
  });

  test('names no owner without exchange: true, and the refusal says which line is missing', async () => {
    for (const aud of [PUBLIC_URL, 'cluster', 'cluster-client']) {
      const said = expectInvalidGrant(await exchange(await cluster.sign({ sub: victim, aud })), 'exchange_not_allowed');
      expect(said).toContain(`add 'exchange': true to its entry in trusted_issuers of the file of VALETKEY_CONFIG`);
      expect(said).toContain(cluster.url);
    }
    const { data } = expectOk(await broker.ask('GET', '/v1/audit?action=token.exchange&limit=1'));
    expect(data).toMatchObject([
      { outcome: 'denied', detail: `subject token: exchange_not_allowed (of ${cluster.url})` },
    ]);
  });

  test('its name is compared exactly', async () => {
    for (const iss of [`${company.url}/`, company.url.toUpperCase(), `${company.url}#`, ` ${company.url}`])
      expectInvalidGrant(await exchange(await company.sign({ iss, sub: victim, aud: PUBLIC_URL })), 'untrusted_issuer');
    const host = company.url.replace('127.0.0.1', 'localhost');
    expectInvalidGrant(
      await exchange(await company.sign({ iss: host, sub: victim, aud: PUBLIC_URL })),
      'untrusted_issuer',
    );
  });

  test('does not vouch with the keys of another one', async () => {
    const forged = await customer.sign({ iss: company.url, sub: victim, aud: PUBLIC_URL });
    expectInvalidGrant(await exchange(forged), 'invalid_signature');
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = own.publicKey.export({ format: 'jwk' });
    const embedded = await company.sign(
      { sub: victim, aud: PUBLIC_URL },
      { jwk, jku: `${social.url}/jwks` },
      own.privateKey,
    );
    expectInvalidGrant(await exchange(embedded), 'invalid_signature');
  });
});

describe('owner of a subject token', () => {
  test('sub by default, for the public URL or an audience that is listed for its issuer', async () => {
    for (const aud of [PUBLIC_URL, 'intranet', ['x', 'billing']]) {
      const { status, body } = await exchange(await company.sign({ sub: victim, aud }));
      expect([status, body.access_token], JSON.stringify(body)).toEqual([200, 'token-of-victim']);
    }
    expectInvalidGrant(await exchange(await company.sign({ sub: victim, aud: 'cluster' })), 'audience_mismatch');
    // Audiences of one issuer are not those of another.
    expectInvalidGrant(await exchange(await customer.sign({ email: 'a@b.c', aud: 'intranet' })), 'audience_mismatch');
  });

  test("another claim, with a prefix: one customer's issuer names no owner of another", async () => {
    const named = (claims: Json) => customer.sign({ aud: PUBLIC_URL, ...claims });
    const own = await exchange(await named({ sub: victim, email: 'ada@customer.example' }));
    expect([own.status, own.body.access_token]).toEqual([200, 'token-of-customer:ada@customer.example']);
    for (const email of [victim, `../${victim}`, `\u0008${victim}`, ` ${victim}`]) {
      const { status, body } = await exchange(await named({ sub: victim, email }));
      expect(status, email).toBe(400);
      expect(body).not.toHaveProperty('access_token');
    }
  });

  test.each<[string, Json]>([
    ['missing', {}],
    ['null', { email: null }],
    ['empty', { email: '' }],
    ['a number', { email: 7 }],
    ['a boolean', { email: true }],
    ['a list', { email: ['ada@customer.example'] }],
    ['an object', { email: { value: 'ada@customer.example' } }],
    ['a pattern', { email: '*' }],
    ['of control characters', { email: 'ada\u0000' }],
    ['a lone surrogate', { email: 'ada\ud800' }],
    ['too long', { email: 'a'.repeat(250) }],
    ['not verified', { email: 'ada@customer.example', email_verified: false }],
    ['not said to be verified but by a text', { email: 'ada@customer.example', email_verified: 'false' }],
  ])('refused when the claim is %s, by its name', async (_, claims) => {
    const answer = await exchange(await customer.sign({ sub: victim, aud: PUBLIC_URL, ...claims }));
    expect(expectInvalidGrant(answer, 'invalid_owner')).toContain('The claim email must be');
  });

  test('the audit log names issuer and subject', async () => {
    const answer = await exchange(await company.sign({ sub: victim, aud: PUBLIC_URL }));
    expect(answer.status).toBe(200);
    const request = answer.headers.get('x-request-id');
    const { data } = expectOk(await broker.ask('GET', `/v1/audit?action=token.exchange&owner=${victim}&limit=1`));
    expect(data).toMatchObject([
      { outcome: 'ok', integration: 'acme', owner: victim, detail: `subject ${victim} of ${company.url}` },
    ]);
    expect(request).toBeTruthy();
    const mapped = await customer.sign({ sub: 'u-17', email: 'ada@customer.example', aud: PUBLIC_URL });
    expect((await exchange(mapped)).status).toBe(200);
    const read = await broker.ask('GET', '/v1/audit?action=token.exchange&owner=customer:ada@customer.example&limit=1');
    expect(expectOk(read).data).toMatchObject([{ detail: `subject u-17 of ${customer.url}` }]);
    await exchange(await customer.sign({ sub: 'u-18', aud: PUBLIC_URL }));
    const denied = expectOk(await broker.ask('GET', '/v1/audit?action=token.exchange&limit=1'));
    expect(denied.data).toMatchObject([
      { outcome: 'denied', detail: `subject token: invalid_owner (subject u-18 of ${customer.url})` },
    ]);
  });
});

describe('configuration', () => {
  const start = (...trusted_issuers: Json[]) => startTestBroker({}, { trusted_issuers });

  test.each<[string, Json[], RegExp]>([
    ['a template of tenants', [{ issuer: 'https://login.example/{tenantid}/v2.0' }], /0\.issuer: is a template/],
    [
      'an owner claim that names no user',
      [{ issuer: 'https://a.example', owner: { claim: 'iss' } }],
      /0\.owner\.claim/,
    ],
    ['an owner without a claim', [{ issuer: 'https://a.example', owner: { prefix: 'a:' } }], /0\.owner\.claim/],
    ['a prefix with *', [{ issuer: 'https://a.example', owner: { claim: 'sub', prefix: '*' } }], /0\.owner\.prefix/],
    [
      'an issuer twice, once with exchange',
      [{ issuer: 'https://a.example' }, { issuer: 'https://a.example', exchange: true }],
      /1\.issuer: is in another entry/,
    ],
  ])('refused at the start: %s', async (_, entries, fault) => {
    await expect(start(...entries)).rejects.toThrow(fault);
  });
});

test('an integration whose secret cannot be decrypted does not end the trust in others', async () => {
  const [one, two] = await Promise.all([startIssuer(), startIssuer()]);
  const path = join(folder, 'lost.db');
  const env = (kid: string) => ({
    VALETKEY_DATABASE_URL: `file:${path}`,
    VALETKEY_KEYS: `${kid}:${randomBytes(32).toString('base64url')}`,
  });
  const first = await startTestBroker(env('k1'));
  try {
    await integrate('one', one.url, 'one-client', first);
    await integrate('two', two.url, 'two-client', first);
    const { default: Database } = await import('better-sqlite3');
    const rows = new Database(path);
    rows.prepare("update integrations set client_secret = 'v1.k1.AAAA.AAAA' where id = 'one'").run();
    rows.close();
    await integrate('third', two.url, 'third-client', first);
    await integrate('moved', two.url, 'moved-client', first);
    const written = new Database(path);
    written.prepare("update integrations set params = ? where id = 'moved'").run(JSON.stringify({ issuer: one.url }));
    written.close();
    await integrate('fourth', two.url, 'fourth-client', first);
    // A row that something else than a broker has written vouches for no one.
    expect(await verify(await one.sign({ aud: 'moved-client' }), {}, first)).toEqual(refused('audience_mismatch'));
    expect(await verify(await two.sign({ aud: 'two-client' }), {}, first)).toMatchObject({ active: true });
    expect(await verify(await one.sign({ aud: 'one-client' }), {}, first)).toMatchObject({ active: true });
  } finally {
    await Promise.all([first.stop(), one.close(), two.close()]);
  }
});

test('a caller that verifies for a named issuer gets no other', async () => {
  const token = await company.sign({ aud: 'billing' });
  expect(await verify(token, { issuer: cluster.url, audience: 'billing' })).toEqual(refused('untrusted_issuer'));
  expectProblem(await broker.ask('POST', '/v1/jwt/verify', { token }, 'vk_wrong'), 401, 'unauthenticated');
});
