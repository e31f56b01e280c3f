// Connecting a protected resource: its authorization server is found, the broker is a client there, and tokens are for the
// resource alone.
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { createMovingClock } from '../../support/moving-clock.ts';
import { newOwner } from '../../support/owner-browser.ts';
import { connectResource, type ResourceServer, startResourceServer, walk } from '../../support/resource-server.ts';

let broker: TestBroker;
let resource: ResourceServer;
let before: Pick<ResourceServer, 'challenge' | 'documents'>;
const clock = createMovingClock();

beforeAll(async () => {
  [broker, resource] = await Promise.all([
    startTestBroker({}, undefined, { clock, outboxEveryMs: 20, refreshAhead: false }),
    startResourceServer(),
  ]);
  before = { challenge: resource.challenge, documents: resource.documents };
});
afterAll(async () => {
  await broker.stop();
  await resource.close();
});
afterEach(() => {
  const { as } = resource;
  Object.assign(resource, before, { intercept: () => undefined });
  Object.assign(as, { metadata: {}, registered: {}, respond: () => undefined, intercept: () => undefined });
});

let integrations = 0;
/** A new integration, so that nothing is known of the resource and the client. */
async function integrate(params: object = { server_url: resource.url }, more: object = {}): Promise<string> {
  const id = `docs-${++integrations}`;
  expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, { provider: 'mcp', params, ...more }), 201);
  return id;
}
const token = (id: string) => broker.ask('GET', `/v1/connections/${id}/token`);
const refresh = (id: string, body: object = {}) => broker.ask('POST', `/v1/connections/${id}/refresh`, body);
const sessionFor = (integration: string, more: object = {}) =>
  broker.ask('POST', '/v1/connect-sessions', { integration, owner: newOwner(), ...more });
const PRM = '/.well-known/oauth-protected-resource';
/** The metadata of the resource, changed. */
const describeResource = (more: object, path = `${PRM}/mcp`) => {
  const body = { resource: resource.url, authorization_servers: [resource.as.issuer], ...more };
  resource.documents = { ...resource.documents, [path]: { body } };
};
const hashOf = (issuer: string) => createHash('sha256').update(issuer).digest('hex').slice(0, 16);

describe('a resource', () => {
  it('is connected, and its token refreshed where it came from: no discovery on the way', async () => {
    const id = await connectResource(broker, await integrate(), newOwner());
    const first = expectOk(await token(id));
    expect(first).toMatchObject({ token_type: 'Bearer', expires_in: expect.any(Number) });
    // Dead: discovery would fail, and no one asks.
    resource.documents = {};
    const [requests, asked] = [resource.as.server.received.length, resource.server.received.length];
    const second = expectOk(await refresh(id));
    expect(second.access_token).not.toBe(first.access_token);
    expect(resource.as.server.received.slice(requests).map(({ path }) => path)).toEqual(['/token']);
    expect(resource.server.received.length).toBe(asked);
    const sent = resource.as.tokenRequests.slice(-2);
    expect(sent.map((form) => [form.get('grant_type'), form.getAll('resource')])).toEqual([
      ['authorization_code', [resource.url]],
      ['refresh_token', [resource.url]],
    ]);
    expect(resource.as.lastAuthorization.getAll('resource')).toEqual([resource.url]);
  });

  it('is asked without a token, as the newer revision has it, and on a 400 as the older one', async () => {
    const asked = resource.server.received.length;
    resource.intercept = ({ body }) => (body.includes('server/discover') ? { status: 400 } : undefined);
    expectOk(await sessionFor(await integrate()), 201);
    const [newer, older] = resource.server.received.slice(asked);
    expect(newer?.headers).toMatchObject({
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'server/discover',
    });
    expect(JSON.parse(newer?.body ?? '')).toMatchObject({
      jsonrpc: '2.0',
      params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } },
    });
    expect(JSON.parse(older?.body ?? '')).toMatchObject({
      method: 'initialize',
      params: { protocolVersion: '2025-11-25' },
    });
    expect([newer, older].map((one) => one?.headers.authorization)).toEqual([undefined, undefined]);
  });

  it('without a challenge is described at the well-known URL of its path, then at the root; its identifier is sent as it is', async () => {
    resource.challenge = undefined;
    const asked = () => resource.server.received.filter(({ path }) => path.startsWith(PRM)).map(({ path }) => path);
    const had = asked().length;
    const root = `${resource.server.url}/`;
    resource.documents = {};
    describeResource({ resource: root }, PRM);
    const id = await connectResource(broker, await integrate(), newOwner());
    expect(asked().slice(had)).toEqual([`${PRM}/mcp`, PRM]);
    expect(resource.as.lastAuthorization.get('resource')).toBe(root);
    expectOk(await refresh(id));
    expect(resource.as.tokenRequests.at(-1)?.get('resource')).toBe(root);
  });

  it('is called through the proxy at its own URL', async () => {
    const owner = newOwner();
    const integration = await integrate();
    await connectResource(broker, integration, owner);
    const answer = await fetch(`${broker.url}/v1/proxy/${integration}/`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${broker.adminKey}`,
        'valetkey-owner': owner,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    });
    expect(await answer.json()).toMatchObject({ result: { tools: [] } });
    expect(new URL(resource.server.received.at(-1)?.path ?? '', resource.url).pathname).toMatch(/^\/mcp\/?$/);
  });
});

describe('discovery is refused, with the reason and nothing of what was answered', () => {
  const elsewhere = 'http://10.9.8.7/';
  it.each<[reason: string, make: () => void]>([
    ['resource_mismatch', () => describeResource({ resource: 'https://other.example/mcp' })],
    ['resource_mismatch', () => describeResource({ resource: `${resource.url}/further` })],
    ['resource_mismatch', () => describeResource({ resource: resource.url.slice(0, -1) })],
    ['resource_mismatch', () => describeResource({ resource: `${resource.url}#fragment` })],
    ['resource_mismatch', () => describeResource({ resource: undefined })],
    ['no_authorization_server', () => describeResource({ authorization_servers: [] })],
    ['issuer_mismatch', () => describeResource({ authorization_servers: [`${resource.as.issuer}/`] })],
    ['issuer_mismatch', () => describeResource({ authorization_servers: ['javascript:alert(1)'] })],
    ['issuer_mismatch', () => Object.assign(resource.as, { metadata: { issuer: 'https://as.example' } })],
    [
      'pkce_unsupported',
      () => Object.assign(resource.as, { metadata: { code_challenge_methods_supported: undefined } }),
    ],
    [
      'pkce_unsupported',
      () => Object.assign(resource.as, { metadata: { code_challenge_methods_supported: ['plain'] } }),
    ],
    ['invalid_metadata', () => Object.assign(resource.as, { metadata: { authorization_endpoint: 'javascript:x' } })],
    ['invalid_metadata', () => Object.assign(resource.as, { metadata: { token_endpoint: undefined } })],
    ['outbound_refused', () => describeResource({ authorization_servers: [elsewhere] })],
    ['outbound_refused', () => Object.assign(resource, { challenge: `Bearer resource_metadata="${elsewhere}"` })],
    ['no_server_metadata', () => describeResource({ authorization_servers: [resource.server.url] })],
    [
      'redirect',
      () =>
        Object.assign(resource, {
          documents: { [`${PRM}/mcp`]: { status: 302, headers: { location: `${resource.server.url}/evil` } } },
        }),
    ],
    ['invalid_metadata', () => describeResource({ padding: 'secret-of-theirs'.repeat(10_000) })],
    [
      'invalid_metadata',
      () => Object.assign(resource, { documents: { [`${PRM}/mcp`]: { body: 'secret-of-theirs' } } }),
    ],
    // The one that the challenge names, and no other: a document at the root is a trap.
    [
      'no_resource_metadata',
      () => {
        resource.documents = {};
        describeResource({}, PRM);
      },
    ],
    [
      'not_protected',
      () => Object.assign(resource, { intercept: () => undefined, documents: {}, challenge: undefined }) && open(),
    ],
  ])('%s (%#)', async (reason, make) => {
    make();
    const integration = await integrate();
    const registrations = resource.as.registrations().length;
    const problem = expectProblem(await sessionFor(integration), 502, 'integration_misconfigured');
    expect(problem).toMatchObject({ integration, reason });
    expect(String(problem.detail)).toMatch(/metadata of|request without a token/);
    expect(JSON.stringify(problem)).not.toContain('secret-of-theirs');
    expect(resource.as.registrations().length).toBe(registrations);
  });

  /** The resource answers without a token. */
  function open() {
    resource.intercept = ({ path }) => (path === '/mcp' ? { body: {} } : undefined);
  }

  it('503 while the resource or its authorization server is down, which may pass', async () => {
    resource.intercept = ({ path }) => (path.startsWith(PRM) ? { status: 503 } : undefined);
    const integration = await integrate();
    expectProblem(await sessionFor(integration), 503, 'provider_unavailable');
    resource.intercept = () => undefined;
    expectOk(await sessionFor(integration), 201);
  });

  it('S256 that is not announced is used where the integration says that it may be', async () => {
    resource.as.metadata = { code_challenge_methods_supported: undefined };
    const id = await connectResource(
      broker,
      await integrate({ server_url: resource.url, pkce: 'assumed' }),
      newOwner(),
    );
    expect(resource.as.lastAuthorization.get('code_challenge_method')).toBe('S256');
    expectOk(await token(id));
  });

  it('another issuer than the one of the integration is refused; of several, that one is taken', async () => {
    const { issuer } = resource.as;
    const pinned = { server_url: resource.url, issuer: 'https://id.example.com' };
    const refused = expectProblem(await sessionFor(await integrate(pinned)), 502, 'integration_misconfigured');
    expect(refused.reason).toBe('issuer_mismatch');
    describeResource({ authorization_servers: ['https://id.example.com', issuer] });
    expectOk(await sessionFor(await integrate({ server_url: resource.url, issuer })), 201);
  });
});

describe('scopes', () => {
  const asked = async (integration: string) => {
    await connectResource(broker, integration, newOwner());
    return resource.as.lastAuthorization.get('scope');
  };

  it('are those of the challenge, or else of the resource, or else none; offline_access only where it is listed', async () => {
    expect(await asked(await integrate())).toBeNull();
    describeResource({ scopes_supported: ['files:read', 'files:write'] });
    expect(await asked(await integrate())).toBe('files:read files:write');
    resource.challenge = `${before.challenge}, scope="files:read"`;
    expect(await asked(await integrate())).toBe('files:read');
    resource.as.metadata = { scopes_supported: ['offline_access', 'files:read'] };
    expect(await asked(await integrate())).toBe('files:read offline_access');
    expect(resource.as.lastAuthorization.get('prompt')).toBe('consent');
    expect(await asked(await integrate({ server_url: resource.url }, { scopes: ['only:this'] }))).toBe('only:this');
  });
});

describe('servers that connections name', () => {
  it('are those on the hosts that the integration allows; each issuer has a redirect URI and a client of its own', async () => {
    const { port } = new URL(resource.url);
    const integration = await integrate({ servers: `*.example.com, 127.0.0.1:${port}` });
    for (const server_url of [
      'https://example.com/mcp',
      'https://evil-example.com/mcp',
      'https://mcp.example.com:8443/mcp',
      'https://mcp.example.com@evil.example/mcp',
      'https://evil.example/mcp.example.com',
      'https://evil.example\\.example.com/mcp',
      `http://127.0.0.1:${port}1/mcp`,
    ])
      expectIssues(await sessionFor(integration, { params: { server_url } }), 'params.server_url');
    const id = await connectResource(broker, integration, newOwner(), { params: { server_url: resource.url } });
    expectOk(await refresh(id));
    const place = `${integration}/${hashOf(resource.as.issuer)}`;
    expect(resource.as.lastAuthorization.get('redirect_uri')).toBe(`${broker.url}/oauth2/callback/${place}`);
    expect((await broker.ask('GET', `/oauth2/clients/${place}.json`)).body.redirect_uris).toEqual([
      `${broker.url}/oauth2/callback/${place}`,
    ]);
    for (const other of [integration, `${place}0`, `${integration}/..%2Fx`, `${integration}/0123456789ABCDEF`])
      expectProblem(await broker.ask('GET', `/oauth2/clients/${other}.json`), 404, 'not_found');
    // Left out: it is asked for in the browser.
    const link = expectOk(await sessionFor(integration), 201);
    expect((await walk(String(link.url), { server_url: resource.url })).status).toBe(200);
    expect(expectOk(await broker.ask('GET', `/v1/connect-sessions/${link.id}`)).status).toBe('completed');
  });

  it('a response at the redirect URI of another issuer, or of the integration, is refused, and the code is not spent', async () => {
    const { port } = new URL(resource.url);
    const integration = await integrate({ servers: `127.0.0.1:${port}` });
    for (const place of [integration, `${integration}/${hashOf('https://other.example')}`]) {
      const link = expectOk(await sessionFor(integration, { params: { server_url: resource.url } }), 201);
      const spent = resource.as.tokenRequests.length;
      const page = await walk(String(link.url), {}, undefined, (back) =>
        back.replace(/callback\/[^?]+/, `callback/${place}`),
      );
      expect(page.status).toBe(502);
      expect(resource.as.tokenRequests.length).toBe(spent);
      const { status, error } = expectOk(await broker.ask('GET', `/v1/connect-sessions/${link.id}`));
      expect({ status, error }).toEqual({ status: 'failed', error: 'invalid_answer' });
    }
  });

  it('PUT asks for the server or the hosts, checks the URL only, and takes no client for several issuers', async () => {
    const put = (params: object, more: object = {}) =>
      broker.ask('PUT', '/v1/integrations/none', { provider: 'mcp', params, ...more });
    expectIssues(await put({}), 'params.server_url');
    expectIssues(await put({ server_url: 'ftp://x' }), 'params.server_url');
    expectIssues(await put({ server_url: 'http://10.9.8.7/mcp' }), 'params.server_url');
    expectIssues(await put({ servers: 'https://x' }), 'params.servers');
    expectIssues(await put({ servers: '*' }, { client_id: 'mine', client_secret: 'secret' }), 'client_id');
    // A secret that is kept is not sent to the authorization server of another server.
    const client = { client_id: 'mine', client_secret: 'secret' };
    const { issuer } = resource.as;
    expectOk(await put({ server_url: resource.url, issuer }, client), 201);
    const elsewhere = { server_url: 'https://other.example/mcp', issuer };
    expectIssues(await put(elsewhere, { client_id: 'mine' }), 'client_secret');
    const asked = resource.server.received.length;
    const integration = await integrate();
    expect(resource.server.received.length).toBe(asked);
    expectIssues(await sessionFor(integration, { params: { server_url: resource.url } }), 'params.server_url');
  });
});

describe('two phases, and imports', () => {
  it('a grant that waits for its finish is refreshed where it came from; given up, it is revoked there', async () => {
    const integration = await integrate();
    const [owner, return_url] = [newOwner(), `${broker.url}/done`];
    const begin = async () => {
      const made = expectOk(await sessionFor(integration, { owner, finish: true, return_url }), 201);
      const back = await walk(String(made.url));
      return { id: made.id, code: new URL(back.location ?? '').searchParams.get('finish_code') };
    };
    const first = await begin();
    const finished = await broker.ask('POST', `/v1/connect-sessions/${first.id}/finish`, {
      finish_code: first.code,
      owner,
    });
    const id = String(expectOk(finished).connection_id);
    expectOk(await refresh(id));
    const second = await begin();
    const revoked = () => resource.as.server.received.filter(({ path }) => path === '/revoke').length;
    const had = revoked();
    expectOk(await broker.ask('DELETE', `/v1/connect-sessions/${second.id}`));
    await expect.poll(revoked).toBeGreaterThan(had);
    expectOk(await refresh(id));
  });

  it('no refresh token is imported: where it came from is not known', async () => {
    const body = { integration: await integrate(), owner: newOwner(), credentials: { refresh_token: 'rt' } };
    expectIssues(await broker.ask('POST', '/v1/connections', body), 'credentials.refresh_token');
  });
});

describe('the authorization response', () => {
  const spent = () => resource.as.tokenRequests.length;

  it.each<[what: string, change: (response: URLSearchParams) => void]>([
    ['has no iss, which the server announces', (response) => response.delete('iss')],
    ['has the iss of another server', (response) => response.set('iss', 'https://other.example')],
    [
      'has the iss of another server and an error of its own',
      (response) => {
        response.set('iss', 'https://other.example');
        response.set('error', 'access_denied');
        response.set('error_description', 'call +1 555 0100');
      },
    ],
  ])('is refused when it %s: no code is spent, no error shown', async (_, change) => {
    resource.as.respond = change;
    const link = expectOk(await sessionFor(await integrate()), 201);
    const had = spent();
    const page = await walk(String(link.url));
    expect(page.status).toBe(502);
    expect(page.text).not.toContain('+1 555 0100');
    expect(spent()).toBe(had);
    const { status, error } = expectOk(await broker.ask('GET', `/v1/connect-sessions/${link.id}`));
    expect({ status, error }).toEqual({ status: 'failed', error: 'issuer_mismatch' });
  });

  it('is taken without iss from a server that does not announce it', async () => {
    resource.as.metadata = { authorization_response_iss_parameter_supported: undefined };
    resource.as.respond = (response) => response.delete('iss');
    expectOk(await token(await connectResource(broker, await integrate(), newOwner())));
  });
});
