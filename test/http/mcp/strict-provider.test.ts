// A certified authorization server behind an MCP server: client id metadata documents, dynamic registration and resource
// indicators, all of them strict.
import { randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { type Configuration, errors } from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar, walkThrough } from '../../../demo/browser.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { expectOk } from '../../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { newOwner, openLink, sessionOf, visit } from '../../support/owner-browser.ts';

type Fetch = NonNullable<Configuration['fetch']>;

const PUBLIC = 'https://broker.example';
const HOUR = 3_600_000;

let hostile: HostileMcp;
/** At its own loopback address, and at a public one. */
let local: McpBroker;
let open: McpBroker;
let provider: LocalProvider;
/** Takes no public clients. */
let demanding: LocalProvider;
/** The client id metadata documents that the provider has fetched. */
const fetched: string[] = [];

beforeAll(async () => {
  hostile = await startHostileMcp();
  const { mcp } = hostile;
  [local, open] = await Promise.all([
    startMcpBroker(),
    startMcpBroker({ VALETKEY_PUBLIC_URL: PUBLIC, VALETKEY_KEYS: generateKey() }),
  ]);
  const getResourceServerInfo = (_: unknown, resource: string) => {
    if (resource !== mcp.url) throw new errors.InvalidTarget();
    return {
      scope: 'calendar.read calendar.write',
      audience: resource,
      accessTokenFormat: 'jwt' as const,
      accessTokenTTL: 3_600,
      jwt: { sign: { alg: 'RS256' as const } },
    };
  };
  const ownClient = async (_: unknown, client: { clientId: string }, token: { clientId?: string | undefined }) =>
    token.clientId === client.clientId;
  const fetchThere: Fetch = (url, options) => {
    fetched.push(String(url));
    const { method, headers, redirect, signal } = options ?? {};
    return fetch(reachable(String(url)), { method, headers, redirect, signal } as RequestInit);
  };
  const configuration = (fetch: Fetch) => ({
    audience: mcp.url,
    configuration: {
      fetch,
      features: {
        devInteractions: { enabled: false },
        registration: { enabled: true },
        clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
        revocation: { enabled: true, allowedPolicy: ownClient },
        rpInitiatedLogout: { enabled: false },
        resourceIndicators: { enabled: true, useGrantedResource: () => false, getResourceServerInfo },
      },
    },
  });
  const usual = configuration(fetchThere);
  const clientAuthMethods = ['client_secret_basic' as const, 'private_key_jwt' as const];
  [provider, demanding] = await Promise.all([
    startProvider(usual),
    // It reads one method of each client.
    startProvider({ ...usual, configuration: { ...usual.configuration, clientAuthMethods } }),
  ]);
  mcp.metadata = { authorization_servers: [provider.issuer], scopes_supported: ['calendar.read'] };
});
afterAll(async () => {
  await Promise.all([local?.stop(), open?.stop(), provider?.close(), demanding?.close()]);
  await hostile?.close();
});

/** What the links and callbacks of a broker at a public address are here. */
const reachable = (url: string | URL) => String(url).replace(PUBLIC, open.broker.url);

/** The whole flow, with sign-in and consent; returns the id of the connection. */
async function connect({ broker, session }: McpBroker, integration: string, at = provider): Promise<string> {
  const owner = newOwner();
  const { id, url } = expectOk(await session(integration, { owner }), 201);
  const jar = createCookieJar();
  const sent = await openLink(reachable(String(url)), jar);
  expect(sent.location, sent.text).toMatch(at.issuer);
  const callback = /\/oauth2\/callback\//;
  const origin = broker === open.broker ? PUBLIC : broker.url;
  const walked = await walkThrough(String(sent.location), { login: 'ada', stopAt: `${origin}/oauth2/callback/` });
  expect(walked.url.href, walked.text).toMatch(callback);
  const page = await visit(reachable(walked.url), jar);
  // Behind the public address, the last page is at that address too.
  expect([200, 303], page.text).toContain(page.status);
  const made = await sessionOf(broker, { id: String(id), url: String(url) });
  expect(made).toMatchObject({ status: 'completed' });
  return String(made.connection_id);
}

test('a broker that proves itself by its keys connects, refreshes and revokes', async () => {
  const { mcp } = hostile;
  const usual = mcp.metadata;
  mcp.metadata = { ...usual, authorization_servers: [demanding.issuer] };
  const integration = await open.integrate(mcp);
  const id = await connect(open, integration, demanding);
  mcp.metadata = usual;
  const client_id = `${PUBLIC}/oauth2/clients/${integration}.private_key_jwt.json`;
  expect(decodeJwt(String((await open.token(id)).access_token))).toMatchObject({ aud: mcp.url, client_id });
  const refreshed = expectOk(await open.broker.ask('POST', `/v1/connections/${id}/refresh`, {}));
  expect(decodeJwt(String(refreshed.access_token))).toMatchObject({ iss: demanding.issuer, client_id });
  expect(fetched).toContain(`${PUBLIC}/oauth2/jwks`);
  expectOk(await open.broker.ask('DELETE', `/v1/connections/${id}`));
  const actions = async () => (await open.broker.ask('GET', `/v1/audit?connection=${id}&limit=50`)).body.data;
  await expect
    .poll(actions)
    .toContainEqual(expect.objectContaining({ action: 'connection.revoked_upstream', detail: 'done' }));
});

describe.each<[string, () => McpBroker, RegExp]>([
  ['registered', () => local, /^[\w-]+$/],
  ['known by its document', () => open, /^https:\/\/broker\.example\/oauth2\/clients\/mcp-\d+\.json$/],
])('a broker that is %s', (_, choose, clientId) => {
  test('connects, refreshes and revokes, with tokens for the MCP server alone', async () => {
    const it = choose();
    const integration = await it.integrate(hostile.mcp);
    const id = await connect(it, integration);
    const first = decodeJwt(String((await it.token(id)).access_token));
    expect(first).toMatchObject({ iss: provider.issuer, aud: hostile.mcp.url, scope: 'calendar.read' });
    expect(first.client_id).toMatch(clientId);

    it.advance(2 * HOUR);
    const served = await it.token(id);
    expect(decodeJwt(String(served.access_token))).toMatchObject({ aud: hostile.mcp.url, client_id: first.client_id });
    expect(served.scopes).toContain('calendar.read');

    const { body } = await it.broker.ask('DELETE', `/v1/connections/${id}`);
    expect(['done', 'pending']).toContain(body.upstream_revocation);
    await expect
      .poll(async () => (await it.broker.ask('GET', `/v1/audit?connection=${id}&limit=50`)).body.data)
      .toContainEqual(expect.objectContaining({ action: expect.stringMatching(/revo/) }));
  });

  test('is one client for two connections', async () => {
    const it = choose();
    const integration = await it.integrate(hostile.mcp);
    const clients = [];
    for (const id of [await connect(it, integration), await connect(it, integration)])
      clients.push(decodeJwt(String((await it.token(id)).access_token)).client_id);
    expect(clients[0]).toBe(clients[1]);
  });
});

test('a document is fetched by the authorization server, and no other client is made', () => {
  expect(fetched.length).toBeGreaterThan(0);
  expect(new Set(fetched.map((url) => new URL(url).origin))).toEqual(new Set([PUBLIC]));
});

test('another resource of the same server is not asked for', async () => {
  const integration = await local.integrate(hostile.mcp);
  hostile.mcp.metadata = {
    ...hostile.mcp.metadata,
    resource: `${hostile.mcp.site.origin}/${randomBytes(4).toString('hex')}`,
  };
  await local.refused(integration, 'resource_mismatch');
});
