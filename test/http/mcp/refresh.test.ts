// Where a refresh token of an MCP server's connection goes: to the token endpoint that issued it, whatever the servers say
// later. Challenges that callers report are read again, and never move a refresh token.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { DISCOVERY_DEADLINE_MS } from '../../../src/domain/time-limits.ts';
import type { Answer, Json } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { drop, hang, json, notFound } from '../../support/hostile-mcp/site.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { visit } from '../../support/owner-browser.ts';

let it: McpBroker;
let hostile: HostileMcp;
let deadlineMs = DISCOVERY_DEADLINE_MS;
beforeAll(async () => {
  it = await startMcpBroker({}, { discoveryDeadlineMs: () => deadlineMs });
});
afterAll(() => it.stop());
beforeEach(async () => {
  hostile = await startHostileMcp();
});
afterEach(async () => {
  expect(hostile.ledger.leaks()).toEqual([]);
  expect(hostile.inside.received).toEqual([]);
  await hostile.close();
});

const HOUR = 3_600_000;
const connect = async (more?: Json) => {
  const integration = await it.integrate(hostile.mcp, more);
  return { integration, ...(await it.connect(integration)) };
};
const forget = () => {
  for (const site of [hostile.mcp.site, hostile.as.site, hostile.other.site, hostile.elsewhere])
    site.received.length = 0;
};
const challengeOf = (wwwAuthenticate: string, status = 401) => ({ status, www_authenticate: wwwAuthenticate });
const refresh = (id: string, body: Json = {}): Promise<Answer> =>
  it.broker.ask('POST', `/v1/connections/${id}/refresh`, body);
/** The token of the connection is rejected with this challenge. */
const rejected = async (id: string, wwwAuthenticate: string, status = 401) =>
  refresh(id, {
    rejected_token: (await it.token(id)).access_token,
    challenge: challengeOf(wwwAuthenticate, status),
  });
const statusOf = async (id: string) => (await it.broker.ask('GET', `/v1/connections/${id}`)).body;
const named = () =>
  `Bearer error="invalid_token", resource_metadata="${hostile.mcp.site.origin}${hostile.mcp.metadataPath}"`;

describe('a refresh', () => {
  test('asks the stored token endpoint and nothing else', async () => {
    const { id } = await connect();
    const before = await it.token(id);
    forget();
    it.advance(2 * HOUR);
    const after = await it.token(id);
    expect(after.access_token).not.toBe(before.access_token);
    expect(hostile.as.site.received.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /token']);
    expect(hostile.mcp.site.received).toEqual([]);
    expect(hostile.as.spent('refresh_token')[0]?.get('resource')).toBe(hostile.mcp.url);
    expect((await hostile.mcp.call('tools/list', String(after.access_token))).status).toBe(200);
  });

  test('works while nothing can be discovered', async () => {
    const { id } = await connect();
    for (const path of ['/mcp', hostile.mcp.metadataPath]) hostile.mcp.site.on(path, drop);
    hostile.as.site.on(hostile.as.metadataPath, notFound);
    hostile.as.site.on('/.well-known/openid-configuration', notFound);
    it.advance(2 * HOUR);
    expect((await it.token(id)).access_token).toBeDefined();
    expect(hostile.as.spent('refresh_token')).toHaveLength(1);
  });

  test('that fails sends the refresh token nowhere else', async () => {
    const { id } = await connect();
    forget();
    hostile.as.site.on('/token', notFound);
    it.advance(2 * HOUR);
    expect([502, 503]).toContain((await refresh(id)).status);
    expect(hostile.mcp.site.received.map(({ path }) => path)).not.toContain('/token');
    expect([...hostile.other.site.received, ...hostile.elsewhere.received]).toEqual([]);
    expect(await statusOf(id)).toMatchObject({ status: 'active' });
  });

  test('stays at the stored endpoint when a later discovery finds another one', async () => {
    const { integration, id } = await connect();
    // The server's own metadata, under the same issuer: a new connection is of the new endpoint.
    hostile.as.metadata = { token_endpoint: `${hostile.elsewhere.origin}/token` };
    it.advance(2 * HOUR);
    await it.session(integration);
    expectOk(await refresh(id));
    expect(hostile.as.spent('refresh_token')).toHaveLength(1);
    expect(hostile.elsewhere.received).toEqual([]);
  });

  test('has the scope and the method of the connection', async () => {
    hostile.as.registered = { token_endpoint_auth_method: 'client_secret_post' };
    const { id } = await connect();
    // What the server offers now is no matter of the stored grant.
    hostile.as.metadata = { token_endpoint_auth_methods_supported: ['client_secret_basic'] };
    it.advance(2 * HOUR);
    expectOk(await refresh(id));
    expect(hostile.as.refused).toEqual([]);
  });

  test('of a grant that has ended needs its owner', async () => {
    const { id } = await connect();
    hostile.as.site.on('/token', json({ error: 'invalid_grant' }, 400));
    it.advance(2 * HOUR);
    expectProblem(await refresh(id), 409, 'reauthorization_required');
    expect(hostile.as.registrations).toHaveLength(1);
  });

  test('of a connection that was revoked is not made, and its tokens end at the server that issued them', async () => {
    const { id } = await connect();
    forget();
    expectOk(await it.broker.ask('DELETE', `/v1/connections/${id}`));
    await expect.poll(() => hostile.as.site.to('/revoke').length).toBeGreaterThan(0);
    expect(hostile.as.site.received.every(({ path }) => path === '/revoke')).toBe(true);
    expect(hostile.mcp.site.received).toEqual([]);
  });
});

describe('a challenge that leads to the same issuer', () => {
  test('reads the metadata of the resource once more, and refreshes', async () => {
    const { id } = await connect();
    forget();
    const before = await it.token(id);
    const after = expectOk(await rejected(id, named()));
    expect(after.access_token).not.toBe(before.access_token);
    expect(hostile.mcp.site.received.map(({ path }) => path)).toContain(hostile.mcp.metadataPath);
    expect(hostile.as.spent('refresh_token')).toHaveLength(1);
  });

  test('does not hold the refresh up for ever when the metadata does not come', async () => {
    const { id } = await connect();
    hostile.mcp.site.on(hostile.mcp.metadataPath, hang);
    deadlineMs = 300;
    const { status } = await rejected(id, named());
    deadlineMs = DISCOVERY_DEADLINE_MS;
    expect([200, 502, 503]).toContain(status);
    expect(await statusOf(id)).toMatchObject({ status: 'active' });
  });
});

describe('a challenge that leads to another issuer', () => {
  const move = () => {
    hostile.mcp.authorizationServers = [hostile.other];
  };

  test('needs the owner, and no refresh token goes anywhere', async () => {
    const { id } = await connect();
    move();
    forget();
    const problem = expectProblem(await rejected(id, named()), 409, 'reauthorization_required');
    expect(problem.reason).toBe('authorization_server_changed');
    expect(await statusOf(id)).toMatchObject({ status: 'needs_reauth', reason: 'authorization_server_changed' });
    expect(hostile.as.spent('refresh_token')).toEqual([]);
    expect(hostile.other.spent('refresh_token')).toEqual([]);
    it.advance(2 * HOUR);
    expectProblem(await refresh(id), 409, 'reauthorization_required');
    expect([...hostile.as.spent('refresh_token'), ...hostile.other.spent('refresh_token')]).toEqual([]);
  });

  test('is followed by a plain renewal at the new issuer, as another client', async () => {
    const { id, integration, owner } = await connect();
    const old = hostile.as.authorizations[0]?.get('client_id');
    move();
    await rejected(id, named());
    const { link, jar, callback } = await it.start(integration, { owner, connection_id: id });
    expect((await visit(callback, jar)).status).toBe(200);
    expect(link.id).toBeDefined();
    expect(await statusOf(id)).toMatchObject({ status: 'active', reason: null });
    const [query] = hostile.other.authorizations;
    expect(query?.get('client_id')).not.toBe(old);
    expect(hostile.other.registrations).toHaveLength(1);
    const { access_token } = await it.token(id);
    expect((await hostile.mcp.call('tools/list', String(access_token))).status).toBe(200);
    it.advance(2 * HOUR);
    expectOk(await refresh(id));
    expect(hostile.other.spent('refresh_token')).toHaveLength(1);
    expect(hostile.as.spent('refresh_token')).toEqual([]);
    expect(hostile.other.refused).toEqual([]);
  });

  test('in the browser of a callback that was on its way changes nothing of it', async () => {
    const integration = await it.integrate(hostile.mcp);
    const { jar, callback } = await it.start(integration);
    move();
    expect((await visit(callback, jar)).status).toBe(200);
    expect(hostile.as.spent('authorization_code')).toHaveLength(1);
    expect((await visit(callback, createCookieJar())).status).toBe(403);
  });
});

describe('a challenge that a caller invents', () => {
  test('of a document at another origin ends no connection', async () => {
    const { id } = await connect();
    const evil = { resource: hostile.mcp.url, authorization_servers: [hostile.other.issuer] };
    hostile.elsewhere.on('/prm', json(evil));
    await rejected(id, `Bearer resource_metadata="${hostile.elsewhere.origin}/prm"`);
    expect(await statusOf(id)).toMatchObject({ status: 'active' });
    expect(hostile.other.site.received).toEqual([]);
  });

  test('of a document of someone else at the same host ends no connection', async () => {
    hostile.mcp.metadataPath = '/metadata';
    const { id } = await connect();
    const evil = json({ resource: hostile.mcp.url, authorization_servers: [hostile.other.issuer] });
    for (const path of ['/files/prm', '/.well-known/oauth-protected-resource']) hostile.mcp.site.on(path, evil);
    for (const invented of [`Bearer resource_metadata="${hostile.mcp.site.origin}/files/prm"`, 'Bearer']) {
      expectOk(await rejected(id, invented));
      expect(await statusOf(id)).toMatchObject({ status: 'active' });
    }
    expect(hostile.other.spent('refresh_token')).toEqual([]);
  });

  test('of a private address asks nothing there', async () => {
    const { id } = await connect();
    const { status } = await rejected(id, `Bearer resource_metadata="${hostile.inside.origin}/prm"`);
    expect([200, 400, 502]).toContain(status);
    expect(await statusOf(id)).toMatchObject({ status: 'active' });
  });

  test.each<[string, Json]>([
    ['without a status', { www_authenticate: 'Bearer' }],
    ['of a success', { status: 200, www_authenticate: 'Bearer' }],
    ['that is too long', { status: 401, www_authenticate: `Bearer realm="${'a'.repeat(100_000)}"` }],
    ['that is no text', { status: 401, www_authenticate: 7 }],
    ['with a member too many', { status: 401, www_authenticate: 'Bearer', issuer: 'https://evil.example' }],
  ])('%s is refused', async (_, challenge) => {
    const { id } = await connect();
    const { access_token } = await it.token(id);
    expectProblem(await refresh(id, { rejected_token: access_token, challenge }), 400, 'invalid_request');
    expect(hostile.as.spent('refresh_token')).toEqual([]);
  });

  test('about a token that is not the stored one asks nothing', async () => {
    const { id } = await connect();
    hostile.mcp.authorizationServers = [hostile.other];
    forget();
    const answer = await refresh(id, { rejected_token: 'an older one', challenge: challengeOf(named()) });
    expectOk(answer);
    expect([...hostile.mcp.site.received, ...hostile.as.site.received]).toEqual([]);
    expect(await statusOf(id)).toMatchObject({ status: 'active' });
  });

  test('at a connection of another provider is refused', async () => {
    const params = { authorization_url: hostile.as.url('authorize'), token_url: hostile.as.url('token') };
    const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
    await it.broker.ask('PUT', '/v1/integrations/plain', setup);
    const credentials = { access_token: 'at', refresh_token: 'rt' };
    const body = { integration: 'plain', owner: 'ada', credentials };
    const { id } = expectOk(await it.broker.ask('POST', '/v1/connections', body), 201);
    const { status } = await refresh(String(id), { rejected_token: 'at', challenge: challengeOf(named()) });
    expect([400, 502, 503]).toContain(status);
    expect(hostile.mcp.site.received).toEqual([]);
  });
});
