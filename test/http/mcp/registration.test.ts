// As which client the broker comes to an authorization server: pre-registered, by its metadata document, or registered
// (RFC 7591) once for all connections.
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import type { Json } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { json } from '../../support/hostile-mcp/site.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { readDatabaseFiles, visit } from '../../support/owner-browser.ts';

let it: McpBroker;
let hostile: HostileMcp;
beforeAll(async () => {
  it = await startMcpBroker();
});
afterAll(() => it.stop());
beforeEach(async () => {
  hostile = await startHostileMcp();
});
afterEach(async () => {
  expect(hostile.ledger.leaks()).toEqual([]);
  expect(hostile.elsewhere.received).toEqual([]);
  await hostile.close();
});

const HOUR = 3_600_000;
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;
const refresh = (id: string) => it.broker.ask('POST', `/v1/connections/${id}/refresh`, {});
const withDocuments = { client_id_metadata_document_supported: true };
const METADATA_URL = 'https://clients.example/valetkey.json';

describe('a pre-registered client', () => {
  test.each<[string, Json, string]>([
    ['with a secret', { client_secret: 'pre-secret' }, 'client_secret_basic'],
    ['without a secret', {}, 'none'],
  ])('%s is used whatever else the server offers', async (_, secret, method) => {
    const { mcp, as } = hostile;
    as.metadata = withDocuments;
    as.addClient({ id: 'pre', secret: secret.client_secret as string, method });
    const params = { client_metadata_url: METADATA_URL, issuer: as.issuer };
    const { id } = await it.connect(await it.integrate(mcp, { client_id: 'pre', ...secret, params }));
    expect((await refresh(id)).status).toBe(200);
    expect(as.registrations).toEqual([]);
    expect(as.authorizations.map((query) => query.get('client_id'))).toEqual(['pre']);
    expect(as.refused).toEqual([]);
  });

  test('with a secret is sent as the server takes it', async () => {
    const { mcp, as } = hostile;
    as.metadata = { token_endpoint_auth_methods_supported: ['client_secret_post'] };
    as.addClient({ id: 'pre', secret: 's p:e/c+i%al', method: 'client_secret_post' });
    const params = { issuer: as.issuer };
    await it.connect(await it.integrate(mcp, { client_id: 'pre', client_secret: 's p:e/c+i%al', params }));
    expect(as.refused).toEqual([]);
  });
});

describe('a client secret', () => {
  const put = (id: string, body: Json) => it.broker.ask('PUT', `/v1/integrations/${id}`, { provider: 'mcp', ...body });
  const secret = { client_id: 'pre', client_secret: 'pre-secret' };

  test('is refused without the issuer that it is for, in a PUT and in the declarative file, and stays with that one', async () => {
    const { mcp, as, other } = hostile;
    const params = { server_url: mcp.url };
    expectIssues(await put('pinned', { ...secret, params }), 'params.issuer');
    const declared = { id: 'pinned', provider: 'mcp', ...secret, params };
    expectIssues(
      await it.broker.ask('POST', '/v1/apply', { integrations: [declared] }),
      'integrations.0.params.issuer',
    );
    expectOk(await put('pinned', { ...secret, params: { ...params, issuer: as.issuer } }), 201);
    // Neither removed, nor moved by who does not know the secret.
    expectIssues(await put('pinned', { client_id: 'pre', params }), 'params.issuer');
    const moved = { ...params, issuer: other.issuer };
    expectIssues(await put('pinned', { client_id: 'pre', params: moved }), 'client_secret');
    expectOk(await put('pinned', { ...secret, params: moved }));
    // A public client has nothing to lose.
    expectOk(await put('public', { client_id: 'pre', params }), 201);
  });

  test('is not sent to another issuer that the server names, nor to one that granted before', async () => {
    const { mcp, as, other } = hostile;
    as.addClient({ id: 'pre', secret: 'pre-secret', method: 'client_secret_basic' });
    const params = { server_url: mcp.url, issuer: as.issuer };
    const integration = await it.integrate(mcp, { ...secret, params });
    const { id } = await it.connect(integration);
    mcp.authorizationServers = [other];
    it.advance(2 * HOUR);
    expect((await it.refused(integration, 'issuer_mismatch')).detail).not.toContain('pre-secret');
    // The admin moves the integration to another server, with its secret there.
    expectOk(
      await put(integration, {
        ...{ client_id: 'pre', client_secret: 'secret of the other' },
        params: { ...params, issuer: other.issuer },
      }),
    );
    const before = as.site.to('/token').length;
    const refused = expectProblem(await refresh(id), 502, 'integration_misconfigured');
    expect(refused.detail).toContain(`the client secret is for ${other.issuer}`);
    expect([as.site.to('/token').length, other.site.to('/token').length]).toEqual([before, 0]);
    // A mistake is corrected, and nothing was lost.
    expectOk(await put(integration, { ...secret, params }));
    it.advance(10 * 60_000);
    expect((await refresh(id)).status).toBe(200);
  });
});

describe('a client id metadata document', () => {
  test('that is hosted elsewhere is the client id, and the broker does not fetch it', async () => {
    const { mcp, as } = hostile;
    as.metadata = withDocuments;
    as.addClient({ id: METADATA_URL });
    const { id } = await it.connect(await it.integrate(mcp, { params: { client_metadata_url: METADATA_URL } }));
    expect((await refresh(id)).status).toBe(200);
    expect(as.registrations).toEqual([]);
    const sent = [...as.authorizations, ...as.spent('authorization_code'), ...as.spent('refresh_token')];
    expect(sent.map((form) => form.get('client_id'))).toEqual([METADATA_URL, METADATA_URL, METADATA_URL]);
    expect(sent.some((form) => form.has('client_secret'))).toBe(false);
    expect(as.refused).toEqual([]);
  });

  describe('where the server takes no public clients', () => {
    const methods = ['client_secret_basic', 'private_key_jwt'];
    /** The client of the document, whose keys are those of the broker. */
    const strict = async (metadata: Json = {}) => {
      const { mcp, as } = hostile;
      as.metadata = { ...withDocuments, token_endpoint_auth_methods_supported: methods, ...metadata };
      as.now = () => new Date(it.now());
      as.addClient({ id: METADATA_URL, method: 'private_key_jwt', jwksUri: `${it.broker.url}/oauth2/jwks` });
      return it.integrate(mcp, { params: { client_metadata_url: METADATA_URL } });
    };
    const assertions = () =>
      [...hostile.as.site.to('/token'), ...hostile.as.site.to('/revoke')].map(({ form }) =>
        String(form.get('client_assertion')),
      );

    test('the broker proves itself by its keys at the exchange, the refresh and the revocation', async () => {
      const { as } = hostile;
      const { id } = await it.connect(
        await strict({ token_endpoint_auth_signing_alg_values_supported: ['RS256', 'ES256'] }),
      );
      // What the server offers now is no matter of the stored grant.
      as.metadata = withDocuments;
      it.advance(2 * HOUR);
      expect((await refresh(id)).status).toBe(200);
      // The next key is published before it signs.
      expectOk(await it.broker.ask('POST', '/v1/signing-keys/rotate', {}));
      it.advance(2 * HOUR);
      expect((await refresh(id)).status).toBe(200);
      expectOk(await it.broker.ask('DELETE', `/v1/connections/${id}`));
      await expect.poll(() => as.site.to('/revoke').length).toBeGreaterThan(0);
      expect(as.refused).toEqual([]);
      expect(as.registrations).toEqual([]);
      expect(assertions().length).toBeGreaterThanOrEqual(4);
      expect(new Set(assertions()).size).toBe(assertions().length);
    });

    test('its assertions are for this issuer alone, and no credentials at the broker', async () => {
      await it.connect(await strict());
      const [assertion = ''] = assertions();
      expect(decodeProtectedHeader(assertion)).toMatchObject({ typ: 'client-authentication+jwt', alg: 'ES256' });
      const { iss, sub, aud, jti, iat = 0, exp = 0 } = decodeJwt(assertion);
      expect([iss, sub, aud, typeof jti]).toEqual([METADATA_URL, METADATA_URL, hostile.as.issuer, 'string']);
      expect(exp - iat).toBeLessThanOrEqual(300);
      const answer = await it.broker.ask('GET', '/v1/connections', undefined, assertion);
      expectProblem(answer, 401, 'unauthenticated');
    });

    test('an algorithm that the broker does not sign with is refused at the session, unless it can be registered', async () => {
      const others = { token_endpoint_auth_signing_alg_values_supported: ['PS256', 'RS256'] };
      const only = { ...others, token_endpoint_auth_methods_supported: ['private_key_jwt'] };
      const integration = await strict(only);
      const { detail } = await it.refused(integration, 'signing_alg_unsupported');
      expect(detail).toMatch(/ES256.*PS256, RS256/);
      expect(hostile.as.registrations).toEqual([]);
      // It could be registered with a secret instead.
      await it.connect(await strict(others));
      expect(hostile.as.registrations).toHaveLength(1);
      expect(hostile.as.refused).toEqual([]);
    });

    test('an assertion that is refused leaves the connection as it is', async () => {
      const { as } = hostile;
      const { id } = await it.connect(await strict());
      as.clients.get(METADATA_URL)!.jwksUri = `${as.site.origin}/no-keys`;
      as.site.on('/no-keys', json({ keys: [] }));
      it.advance(2 * HOUR);
      expect((await refresh(id)).status).toBe(502);
      expect((await it.broker.ask('GET', `/v1/connections/${id}`)).body).toMatchObject({ status: 'active' });
    });
  });

  test.each([false, undefined])('is not used where the server says %s', async (supported) => {
    const { mcp, as } = hostile;
    as.metadata = { client_id_metadata_document_supported: supported };
    await it.connect(await it.integrate(mcp, { params: { client_metadata_url: METADATA_URL } }));
    expect(as.registrations).toHaveLength(1);
  });

  test.each(['true', 1])('is not used where the server says %j, which is no boolean', async (supported) => {
    hostile.as.metadata = { client_id_metadata_document_supported: supported };
    await it.refused(await it.integrate(hostile.mcp, { params: { client_metadata_url: METADATA_URL } }), /./);
  });

  test.each([
    'http://clients.example/x',
    'https://clients.example',
    'https://clients.example/x#y',
    'javascript:1',
    'x',
  ])('at %s is refused by the PUT', async (url) => {
    const params = { server_url: hostile.mcp.url, client_metadata_url: url };
    const answer = await it.broker.ask('PUT', '/v1/integrations/doc', { provider: 'mcp', params });
    expectProblem(answer, 400, 'invalid_request');
  });
});

describe('the document of a broker at a public address', () => {
  const PUBLIC = 'https://broker.example';
  let open: McpBroker;
  beforeAll(async () => {
    open = await startMcpBroker({
      VALETKEY_PUBLIC_URL: PUBLIC,
      VALETKEY_KEYS: generateKey(),
    });
  });
  afterAll(() => open?.stop());

  test('says what the broker does as a client, and is its client id', async () => {
    const { mcp, as } = hostile;
    as.metadata = withDocuments;
    const integration = await open.integrate(mcp);
    const at = `/oauth2/clients/${integration}.json`;
    expect((await open.session(integration)).status).toBe(201);
    expect(as.registrations).toEqual([]);
    const response = await fetch(`${open.broker.url}${at}`, { redirect: 'manual' });
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(response.headers.get('cache-control')).toContain('max-age=3600');
    expect(text.length).toBeLessThanOrEqual(5_000);
    const document = JSON.parse(text) as Json;
    expect(document).toMatchObject({
      client_id: `${PUBLIC}${at}`,
      client_name: expect.any(String),
      grant_types: expect.arrayContaining(['authorization_code', 'refresh_token']),
      response_types: ['code'],
      application_type: 'web',
      token_endpoint_auth_method: 'none',
      token_endpoint_auth_methods_supported: expect.arrayContaining(['none']),
    });
    // What it signs with is published where it says that it can.
    if ((document.token_endpoint_auth_methods_supported as string[]).includes('private_key_jwt'))
      expect(document.jwks_uri).toBe(`${PUBLIC}/oauth2/jwks`);
    const uris = document.redirect_uris as string[];
    expect(uris.length).toBeGreaterThan(0);
    for (const uri of uris) expect(uri).toMatch(`${PUBLIC}/oauth2/callback/${integration}`);
    expect(text).not.toMatch(/client_secret(?!_)/);
  });

  test('is of MCP integrations alone', async () => {
    for (const id of ['unknown', '..%2fx', '%00', 'x%2Fy'])
      expect((await fetch(`${open.broker.url}/oauth2/clients/${id}.json`)).status, id).toBe(404);
  });
});

describe('a registration', () => {
  test('says what the broker does, and is used by all connections', async () => {
    const { mcp, as } = hostile;
    const integration = await it.integrate(mcp);
    const first = await it.connect(integration);
    const second = await it.connect(integration);
    expect(as.registrations).toEqual([
      expect.objectContaining({
        redirect_uris: [as.authorizations[0]?.get('redirect_uri')],
        grant_types: expect.arrayContaining(['authorization_code', 'refresh_token']),
        response_types: ['code'],
        application_type: 'web',
        client_name: expect.stringMatching(/./),
      }),
    ]);
    expect(as.site.to('/register')[0]?.headers).toMatchObject({
      'content-type': expect.stringMatching(/^application\/json/),
    });
    expect(as.site.to('/register')[0]?.headers).not.toHaveProperty('authorization');
    expect(JSON.stringify(as.registrations)).not.toMatch(/:""|:null|user|owner-/);
    for (const { id } of [first, second]) expect((await refresh(id)).status).toBe(200);
    expect(new Set(as.authorizations.map((query) => query.get('client_id'))).size).toBe(1);
    expect(as.refused).toEqual([]);
  });

  test('happens once for twenty sessions at the same time', async () => {
    const { mcp, as } = hostile;
    const integration = await it.integrate(mcp);
    const answers = await Promise.all(Array.from({ length: 20 }, () => it.session(integration)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(201));
    expect(as.registrations).toHaveLength(1);
  });

  test('is of one integration', async () => {
    const { mcp, as } = hostile;
    for (const integration of [await it.integrate(mcp), await it.integrate(mcp)]) await it.connect(integration);
    expect(as.registrations).toHaveLength(2);
    expect(new Set(as.authorizations.map((query) => query.get('client_id'))).size).toBe(2);
  });

  test('is encrypted where it is stored', async () => {
    const { mcp, as } = hostile;
    as.registered = { token_endpoint_auth_method: 'client_secret_post' };
    const integration = await it.integrate(mcp);
    await it.connect(integration);
    const [client] = as.clients.values();
    expect(as.refused).toEqual([]);
    if (client?.secret === undefined) throw new Error('no secret was issued');
    const files = await readDatabaseFiles(it.broker);
    expect(files).toContain(integration);
    for (const secret of [client.secret, 'rat-as-']) expect(files).not.toContain(secret);
    const shown = await it.broker.ask('GET', `/v1/integrations/${integration}`);
    expect(JSON.stringify(shown.body)).not.toContain(client.secret);
  });

  test.each<[string, Json]>([
    ['public', { client_secret: undefined, token_endpoint_auth_method: 'none', registration_access_token: undefined }],
    ['with an empty secret', { client_secret: '', token_endpoint_auth_method: 'none' }],
    ['with a null secret', { client_secret: null, token_endpoint_auth_method: 'none' }],
    ['with Basic', { client_secret: 'given', token_endpoint_auth_method: 'client_secret_basic' }],
    ['with a form', { client_secret: 'given', token_endpoint_auth_method: 'client_secret_post' }],
  ])('as a client %s is used as it was answered', async (_, registered) => {
    const { mcp, as } = hostile;
    as.registered = registered;
    const { id } = await it.connect(await it.integrate(mcp));
    expect((await refresh(id)).status).toBe(200);
    expect(as.refused).toEqual([]);
    for (const form of [...as.spent('authorization_code'), ...as.spent('refresh_token')])
      expect(form.get('client_secret')).not.toBe('');
  });

  test.each<[string, Json]>([
    ['no client id', { client_id: undefined }],
    ['an empty client id', { client_id: '' }],
    ['a number as client id', { client_id: 7 }],
    ['a list as client id', { client_id: ['x'] }],
  ])('that answers %s is refused', async (_, registered) => {
    const { mcp, as } = hostile;
    as.registered = registered;
    await it.refused(await it.integrate(mcp), /./);
    expect(as.authorizations).toEqual([]);
  });

  test('that is refused says so, without the text of the server', async () => {
    const { mcp, as } = hostile;
    as.site.on('/register', json({ error: 'invalid_redirect_uri', error_description: 'DESCRIPTION' }, 400));
    const refusal = await it.refused(await it.integrate(mcp), /./);
    expect(refusal.detail).toContain(as.url('register'));
    expect(JSON.stringify(refusal)).not.toContain('DESCRIPTION');
  });

  test('that the server does not offer is a client to register by hand, and the redirect URI is told', async () => {
    const { mcp, as } = hostile;
    as.metadata = { registration_endpoint: undefined };
    const integration = await it.integrate(mcp);
    const refusal = await it.refused(integration, /./);
    expect(refusal.detail).toContain(`${it.broker.url}/oauth2/callback/${integration}`);
    expect(as.site.received.map(({ method }) => method)).not.toContain('POST');
    // Where connections name their servers, no redirect URI of one issuer is to be registered by hand.
    const many = await it.integrate(null, { params: { servers: new URL(mcp.url).host } });
    const { detail } = await it.refused(many, 'client_not_registered', { params: { server_url: mcp.url } });
    expect(detail).toContain('for an integration of this server alone');
    expect(detail).not.toContain('/oauth2/callback/');
  });

  test('is made again before its secret expires, and never when the secret does not', async () => {
    const { mcp, as } = hostile;
    as.registered = { token_endpoint_auth_method: 'client_secret_post', client_secret_expires_at: inSeconds(86_400) };
    const expiring = await it.integrate(mcp);
    await it.session(expiring);
    await it.session(expiring);
    expect(as.registrations).toHaveLength(1);
    as.registered = { token_endpoint_auth_method: 'client_secret_post', client_secret_expires_at: 0 };
    const lasting = await it.integrate(mcp);
    await it.session(lasting);
    expect(as.registrations).toHaveLength(2);
    it.advance(24 * HOUR);
    await it.session(lasting);
    expect(as.registrations).toHaveLength(2);
    expect((await it.session(expiring)).status).toBe(201);
    expect(as.registrations).toHaveLength(3);
  });

  test('whose secret has expired already is no reason to register for ever', async () => {
    const { mcp, as } = hostile;
    as.registered = { token_endpoint_auth_method: 'client_secret_post', client_secret_expires_at: inSeconds(-60) };
    const integration = await it.integrate(mcp);
    await Promise.all([it.session(integration), it.session(integration)]);
    await it.session(integration);
    expect(as.registrations.length).toBeLessThanOrEqual(3);
  });
});

describe('a registration that the server has purged', () => {
  test('is made once more for all connections that find out, and they go on', async () => {
    const { mcp, as } = hostile;
    as.bindsRefreshTokens = false;
    const integration = await it.integrate(mcp);
    const connected = [await it.connect(integration), await it.connect(integration), await it.connect(integration)];
    as.clients.clear();
    const answers = await Promise.all(connected.map(({ id }) => refresh(id)));
    // One of them finds out; the others may be told to try again.
    for (const { status } of answers) expect([200, 502, 503]).toContain(status);
    it.advance(5 * 60_000);
    for (const { id } of connected) expect((await refresh(id)).status).toBe(200);
    expect(as.registrations).toHaveLength(2);
  });

  test('is made once more when a code is refused with it, and the next session connects', async () => {
    const { mcp, as } = hostile;
    const integration = await it.integrate(mcp);
    const { jar, callback } = await it.start(integration);
    as.clients.clear();
    await visit(callback, jar);
    expect(as.spent('authorization_code').length).toBeLessThanOrEqual(2);
    await it.connect(integration);
    expect(as.registrations).toHaveLength(2);
  });

  test('and that the server refuses again is made once more only, and no connection is lost', async () => {
    const { mcp, as } = hostile;
    const { id } = await it.connect(await it.integrate(mcp));
    as.site.on('/token', json({ error: 'invalid_client' }, 401));
    for (let tries = 0; tries < 4; tries++) {
      expect([502, 503]).toContain((await refresh(id)).status);
      it.advance(60_000);
    }
    expect(as.registrations).toHaveLength(2);
    const { body } = await it.broker.ask('GET', `/v1/connections/${id}`);
    expect(body.status).toBe('active');
  });

  test('is not made again for a pre-registered client', async () => {
    const { mcp, as } = hostile;
    as.addClient({ id: 'pre', secret: 'pre-secret', method: 'client_secret_basic' });
    const setup = { client_id: 'pre', client_secret: 'pre-secret', params: { issuer: as.issuer } };
    const { id } = await it.connect(await it.integrate(mcp, setup));
    as.clients.clear();
    expect([502, 503]).toContain((await refresh(id)).status);
    expect(as.registrations).toEqual([]);
  });
});
