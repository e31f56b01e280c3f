// The catalogue and the integrations, as admins use them.
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IntegrationView, ProviderView } from '../../src/api/index.ts';
import type { Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem, RFC3339_UTC, readPages } from '../support/contract.ts';
import { readDatabaseFiles } from '../support/owner-browser.ts';

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());

const put = (id: string, setup: Json, key?: string) =>
  testSetup.broker.ask('PUT', `/v1/integrations/${id}`, setup, key);
const get = (path: string, key?: string) => testSetup.broker.ask('GET', path, undefined, key);
const remove = (id: string, key?: string) => testSetup.broker.ask('DELETE', `/v1/integrations/${id}`, undefined, key);
const privateKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const certificate = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n';
const minimal = () => ({ provider: 'generic-oidc', client_id: 'me', params: { issuer: testSetup.provider.issuer } });

describe('putting an integration', () => {
  test('201, then 200 with a higher version, without the secrets', async () => {
    const setup = {
      ...minimal(),
      client_secret: 'a-secret-that-never-comes-back',
      private_key: privateKey,
      key_id: 'key-1',
      certificate,
      scopes: ['openid', 'email'],
      overrides: { token_url: 'https://id.example/token' },
      return_origins: ['https://app.example'],
      require_finish: true,
    };
    const made = await put('whole', setup);
    const body = expectOk(made, 201);
    expect(IntegrationView.strict().parse(body)).toEqual({
      id: 'whole',
      provider: 'generic-oidc',
      client_id: 'me',
      client_secret_set: true,
      private_key_set: true,
      key_id: 'key-1',
      certificate,
      scopes: ['openid', 'email'],
      params: { issuer: testSetup.provider.issuer },
      overrides: { token_url: 'https://id.example/token' },
      return_origins: ['https://app.example'],
      require_finish: true,
      rate: null,
      theme: null,
      redirect_uri: `${testSetup.broker.url}/oauth2/callback/whole`,
      redirect_uri_pattern: null,
      webhook: null,
      signals: {
        url: `${testSetup.broker.url}/signals/whole`,
        logout_url: `${testSetup.broker.url}/logout/whole`,
        issuer: testSetup.provider.issuer,
        jwks_uri: null,
        audience: null,
        poll_url: null,
        token_set: false,
      },
      version: 1,
      created_at: expect.stringMatching(RFC3339_UTC),
      updated_at: expect.stringMatching(RFC3339_UTC),
    });
    const again = expectOk(await put('whole', { ...setup, scopes: [] }));
    expect(again).toMatchObject({ version: 2, scopes: [], created_at: body.created_at });
    expect(expectOk(await get('/v1/integrations/whole'))).toEqual(again);
    const list = await get('/v1/integrations');
    const disk = await readDatabaseFiles(testSetup.broker);
    const keyText = privateKey.split('\n')[1]!;
    for (const told of [made, again, list].map((answer) => JSON.stringify(answer)))
      for (const secret of ['a-secret-that-never', keyText]) expect(told).not.toContain(secret);
    expect(disk).toContain('https://app.example');
    for (const secret of ['a-secret-that-never', keyText]) expect(disk).not.toContain(secret);
  });

  test('400 without a client id where the provider needs one; none for imported keys', async () => {
    const { client_id: _, ...anonymous } = minimal();
    expectIssues(await put('anonymous', anonymous), 'client_id');
    expect(expectOk(await put('keys', { provider: 'sendgrid' }), 201)).toMatchObject({
      client_id: '',
      client_secret_set: false,
      private_key_set: false,
      key_id: null,
      certificate: null,
    });
  });

  test('400 for a key or certificate that is not PEM, without repeating it', async () => {
    const answer = await put('malformed', { ...minimal(), private_key: 'c2VjcmV0', certificate: privateKey });
    expectIssues(answer, 'private_key', 'certificate');
    expect(JSON.stringify(answer)).not.toContain('c2VjcmV0');
  });

  test("the provider's scopes by default", async () => {
    const { default_scopes } = expectOk(await get('/v1/providers/generic-oidc'));
    expect(default_scopes).toContain('openid');
    expect(expectOk(await put('plain', minimal()), 201)).toMatchObject({
      scopes: default_scopes,
      overrides: {},
      return_origins: [],
      client_secret_set: false,
    });
  });

  test('keeps a secret that is left out, removes one that is null', async () => {
    const { client_secret: _, ...rest } = testSetup.integrationBody;
    expect(expectOk(await put('acme', rest))).toMatchObject({ client_secret_set: true });
    const id = await testSetup.importConnection('kept');
    expectOk(await get(`/v1/connections/${id}/token`));
    expect(expectOk(await put('acme', { ...rest, client_secret: null }))).toMatchObject({ client_secret_set: false });
    expectOk(await put('acme', testSetup.integrationBody));
    expectOk(await testSetup.broker.ask('DELETE', `/v1/connections/${id}`));
  });

  test('400 that names each invalid field', async () => {
    const issuer = { issuer: testSetup.provider.issuer };
    const url = 'https://id.example/x';
    const oauth2 = { provider: 'generic-oauth2', client_id: 'me' };
    expectIssues(await put('bad', { ...minimal(), provider: 'nobody' }), 'provider');
    expectIssues(await put('bad', { ...minimal(), params: {} }), 'params.issuer');
    expectIssues(await put('bad', { ...minimal(), params: { issuer: 'not a url' } }), 'params.issuer');
    expectIssues(await put('bad', { ...minimal(), params: { ...issuer, colour: 'red' } }), 'params.colour');
    expectIssues(await put('bad', { ...minimal(), params: { colour: 'red' } }), 'params.colour', 'params.issuer');
    expectIssues(await put('bad', { ...minimal(), overrides: { token_url: 'nowhere' } }), 'overrides.token_url');
    expectIssues(await put('bad', { ...minimal(), overrides: { logout_url: url } }), 'overrides.logout_url');
    expectIssues(await put('bad', { ...minimal(), colour: 'red' }), 'colour');
    expectIssues(await put('bad', { provider: 'generic-oidc', params: issuer }), 'client_id');
    expectIssues(await put('bad', { ...minimal(), scopes: ['two words'] }), 'scopes.0');
    expectIssues(await put('bad', { ...minimal(), return_origins: ['https://app.example/x'] }), 'return_origins.0');
    expectIssues(await put('Bad', minimal()), 'id');
    expectIssues(await put('bad', { ...oauth2, params: { authorization_url: url } }), 'params.token_url');
    expectProblem(await get('/v1/integrations/bad'), 404, 'not_found');
  });

  test('400 for addresses that outbound requests must not reach', async () => {
    const oauth2 = { provider: 'generic-oauth2', client_id: 'me' };
    const good = 'https://id.example/x';
    for (const url of [
      'http://id.example/x',
      'https://10.0.0.1/x',
      'https://169.254.169.254/x',
      'https://[::ffff:10.0.0.1]/x',
    ]) {
      expectIssues(await put('bad', { ...minimal(), overrides: { token_url: url } }), 'overrides.token_url');
      expectIssues(await put('bad', { ...minimal(), overrides: { api_base_url: url } }), 'overrides.api_base_url');
      const params = { authorization_url: good, token_url: url, revocation_url: url };
      // The same fault is listed once.
      expectIssues(await put('bad', { ...oauth2, params }), 'params.token_url');
    }
    expectIssues(await put('bad', { ...minimal(), params: { issuer: 'https://192.168.1.1' } }), 'params.issuer');
  });
});

describe('deleting an integration', () => {
  test('409 while live connections use it, 204 once they are revoked', async () => {
    const { id } = expectOk(await put('busy', { ...testSetup.integrationBody, overrides: {} }), 201);
    const integration = String(id);
    const credentials = { access_token: 'at' };
    const body = { integration, owner: 'ada', credentials };
    const connection = expectOk(await testSetup.broker.ask('POST', '/v1/connections', body), 201);
    const { connections, pending_revocations } = expectProblem(await remove('busy'), 409, 'integration_in_use');
    expect([connections, pending_revocations]).toEqual([1, 0]);
    const { upstream_revocation } = expectOk(await testSetup.broker.ask('DELETE', `/v1/connections/${connection.id}`));
    expect(upstream_revocation).toBe('done');
    expect(await remove('busy')).toMatchObject({ status: 204, body: {} });
    expectProblem(await remove('busy'), 404, 'not_found');
    expectProblem(await get('/v1/integrations/busy'), 404, 'not_found');
  });
});

describe('list of integrations', () => {
  test('pages by cursor, by id, each once', async () => {
    for (const n of [3, 1, 2]) expectOk(await put(`paged-${n}`, minimal()), 201);
    const all = (expectOk(await get('/v1/integrations')).data as Json[]).map(({ id }) => id);
    expect(all).toEqual([...all].sort());
    expect(all).toEqual(expect.arrayContaining(['paged-1', 'paged-2', 'paged-3']));
    const paged = await readPages(get, '/v1/integrations', 2);
    expect(paged.length).toBe(Math.ceil(all.length / 2));
    expect(paged.flat().map(({ id }) => id)).toEqual(all);
  });

  test('400 for an invalid limit or cursor', async () => {
    for (const path of ['/v1/integrations', '/v1/providers', '/v1/callers', '/v1/connections', '/v1/audit']) {
      for (const limit of ['0', '501', 'x', '-1', '1.5']) expectIssues(await get(`${path}?limit=${limit}`), 'limit');
      for (const cursor of ['!', 'AAAA', '']) {
        expectProblem(await get(`${path}?cursor=${cursor}`), 400, 'invalid_request');
      }
    }
  });
});

describe('permissions for integrations', () => {
  test('403 without admin on the integration, to put or delete it; 404 where no grant touches it', async () => {
    const other = await testSetup.broker.callerKey({ actions: ['admin'], integrations: ['paged-*'] });
    expectOk(await put('paged-1', minimal(), other));
    expectProblem(await put('plain', minimal(), other), 404, 'not_found');
    const reader = await testSetup.broker.callerKey({ actions: ['connections:read', 'connections:write', 'token'] });
    const { missing } = expectProblem(await put('plain', minimal(), reader), 403, 'forbidden');
    expect(missing).toEqual({ action: 'admin', integration: 'plain', owner: '*' });
    expectProblem(await remove('plain', reader), 403, 'forbidden');
  });

  test('visible to callers that may read its connections, to no others', async () => {
    const reader = await testSetup.broker.callerKey({ actions: ['connections:read'], integrations: ['plain'] });
    expectOk(await get('/v1/integrations/plain', reader));
    expectProblem(await get('/v1/integrations/acme', reader), 404, 'not_found');
    expect((expectOk(await get('/v1/integrations', reader)).data as Json[]).map(({ id }) => id)).toEqual(['plain']);
    const server = await testSetup.broker.callerKey({ actions: ['token'] });
    expectProblem(await get('/v1/integrations/plain', server), 403, 'forbidden');
    expect(expectOk(await get('/v1/integrations', server)).data).toEqual([]);
  });
});

describe('catalogue', () => {
  test('what each provider needs', async () => {
    const body = expectOk(await get('/v1/providers/generic-oauth2'));
    const { params } = ProviderView.strict().parse(body);
    const required = (name: string) => params[name]?.required;
    expect(['issuer', 'authorization_url', 'token_url', 'revocation_url'].map(required)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(expectOk(await get('/v1/providers/generic-oidc'))).toMatchObject({ params: { issuer: { required: true } } });
  });

  test('listed by id and paged, for every caller', async () => {
    const key = await testSetup.broker.callerKey({ actions: ['token'] });
    const all = expectOk(await get('/v1/providers', key)).data as Json[];
    for (const provider of all) ProviderView.strict().parse(provider);
    const ids = all.map(({ id }) => id);
    expect(ids).toEqual([...ids].sort());
    expect(ids).toEqual(expect.arrayContaining(['generic-oauth2', 'generic-oidc', 'github']));
    expect((await readPages(get, '/v1/providers', 1)).map(([one]) => one?.id)).toEqual(ids.slice(0, 100));
    expectProblem(await get('/v1/providers/nobody', key), 404, 'not_found');
  });
});
