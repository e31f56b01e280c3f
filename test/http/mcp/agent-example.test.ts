// The agent of docs/agents.md, as it stands there: with nothing but a session, at an API and at MCP servers of both revisions.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Json } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { json, notFound, type Site, startSite } from '../../support/hostile-mcp/site.ts';
import { serveStateful } from '../../support/hostile-mcp/stateful.ts';
import { ROOT } from '../../support/image.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { callFirstTool } from '../../support/mcp-client.ts';
import { createTerminal } from '../../support/terminal.ts';

const page = readFileSync(join(ROOT, 'docs/agents.md'), 'utf8');
const [, agent = ''] = /```js agent\n([\s\S]*?)```/.exec(page) ?? [];
const [, grants = ''] = /callers create --name my-app ([\s\S]*?)```/.exec(page) ?? [];
const [, creation = ''] = /npx valetkey (sessions create [\s\S]*?)```/.exec(page) ?? [];
/** The arguments of a command, as a shell has them. */
const words = (command: string) =>
  [...command.replaceAll('\\\n', ' ').matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');

const OWNERS = { '2026-07-28': 'user_42', '2025-11-25': 'user_43' } as const;
const REVISIONS = Object.keys(OWNERS) as (keyof typeof OWNERS)[];
const SECRET = 'access-token-of-the-vendor';

describe('docs/agents.md:', () => {
  let it: McpBroker;
  let vendor: Site;
  const servers = {} as Record<keyof typeof OWNERS, HostileMcp>;
  mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'node_modules/.cache/agent-example-'));
  let app = { id: '', key: '' };

  beforeAll(async () => {
    it = await startMcpBroker();
    vendor = await startSite((request, response) => {
      if (request.path === '/token')
        return json({ access_token: SECRET, token_type: 'Bearer', expires_in: 3_600 })(request, response);
      const isAuthorized = request.headers.authorization === `Bearer ${SECRET}`;
      if (request.path !== '/api/items' || !isAuthorized) return notFound(request, response);
      return json([{ id: 1 }, { id: 2 }])(request, response);
    });
    for (const id of ['acme', 'other']) {
      const params = { authorization_url: `${vendor.origin}/authorize`, token_url: `${vendor.origin}/token` };
      const client = { client_id: 'c', client_secret: 's', overrides: { api_base_url: `${vendor.origin}/api` } };
      const setup = { provider: 'generic-oauth2', params, ...client };
      expectOk(await it.broker.ask('PUT', `/v1/integrations/${id}`, setup), 201);
      for (const owner of Object.values(OWNERS)) {
        const connection = { integration: id, owner, credentials: { refresh_token: `refresh-${owner}` } };
        expectOk(await it.broker.ask('POST', '/v1/connections', connection), 201);
      }
    }
    for (const revision of REVISIONS) servers[revision] = await startHostileMcp();
    const hosts = Object.values(servers).map(({ mcp }) => new URL(mcp.url).host);
    const chosen = { provider: 'mcp', params: { servers: hosts.join(', ') } };
    expectOk(await it.broker.ask('PUT', '/v1/integrations/docs', chosen), 201);
    for (const revision of REVISIONS)
      await it.connect('docs', { owner: OWNERS[revision], params: { server_url: servers[revision].mcp.url } });
    serveStateful(servers['2025-11-25'].mcp);
    const made = await terminal(it.broker.adminKey)(['callers', 'create', '--name', 'my-app', ...words(grants)]);
    const [id = '', key = ''] = made.out.split('\n');
    app = { id, key };
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await it.stop();
    await Promise.all([vendor.close(), ...Object.values(servers).map((server) => server.close())]);
  });

  const terminal = (key: string) => createTerminal({ VALETKEY_URL: it.broker.url, VALETKEY_KEY: key });
  /** As the page says, for this owner. */
  async function createSession(owner: string): Promise<{ id: string; token: string }> {
    const { code, out, err } = await terminal(app.key)(words(creation.replace('user_42', owner)));
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const [id = '', token = ''] = out.split('\n');
    return { id, token };
  }
  const audit = async (session: string) =>
    expectOk(await it.broker.ask('GET', `/v1/audit?session=${session}`)).data as Json[];
  const call = (token: string, target: string, owner: string, method = 'GET') =>
    fetch(`${it.broker.url}/v1/proxy/${target}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'valetkey-owner': owner },
    });

  test('the agent has at most 30 lines', () => {
    expect(agent.trimEnd().split('\n').length).toBeLessThanOrEqual(30);
  });

  test.each(REVISIONS)('it calls an API, lists the tools of a server of %s, and sees no token', async (revision) => {
    const session = await createSession(OWNERS[revision]);
    vi.stubEnv('VALETKEY_URL', it.broker.url);
    vi.stubEnv('VALETKEY_SESSION', session.token);
    const printed: string[] = [];
    vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
    const { fetch } = globalThis;
    const seen: string[] = [];
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const response = await fetch(input, init);
      if (String(input).startsWith(it.broker.url))
        seen.push(await response.clone().text(), JSON.stringify([...response.headers]));
      return response;
    });
    const file = join(folder, `${revision}.mjs`);
    writeFileSync(file, agent);
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    vi.restoreAllMocks();
    expect(printed).toEqual(['summarise the week: 2 items; tools: test-tool']);
    expect(seen.length).toBeGreaterThan(6);
    expect(seen.join('\n')).not.toMatch(/at-as-|access-token-of/);
    expect(servers[revision].ledger.leaks()).toEqual([]);

    // It has ended its session.
    const after = await it.broker.ask('GET', '/v1/whoami', undefined, session.token);
    expect(expectProblem(after, 401, 'unauthenticated')).toMatchObject({ reason: 'ended' });
    await expect.poll(async () => (await audit(session.id)).length).toBe(4);
    const entries = await audit(session.id);
    for (const entry of entries)
      expect(entry).toMatchObject({
        actor: app.id,
        owner: OWNERS[revision],
        agent: { id: 'weekly-report' },
        purpose: 'summarise the week',
        session: session.id,
      });
    expect(entries.map(({ action, integration }) => `${action} ${integration}`).sort()).toEqual([
      ...['proxy.called acme', 'proxy.called docs', 'session.created *', 'session.ended *'],
    ]);
  });

  test('the token is of no use for another owner, integration or method, nor after its end', async () => {
    const { id, token } = await createSession('user_42');
    const before = vendor.to('/api/items').length;
    expect((await call(token, 'acme/items', 'user_42')).status).toBe(200);
    expect((await call(token, 'acme/items', 'user_43')).status).toBe(404);
    expect((await call(token, 'other/items', 'user_42')).status).toBe(404);
    expect((await call(token, 'acme/items', 'user_42', 'POST')).status).toBe(403);
    const read = await it.broker.ask('GET', '/v1/token?integration=acme&owner=user_42', undefined, token);
    expectProblem(read, 403, 'forbidden');
    expectOk(await it.broker.ask('DELETE', `/v1/sessions/${id}`, undefined, app.key));
    expect((await call(token, 'acme/items', 'user_42')).status).toBe(401);
    expect(vendor.to('/api/items').length - before).toBe(1);
    await expect
      .poll(async () => (await audit(id)).map(({ action }) => action).sort())
      .toEqual([...Array(4).fill('access.denied'), 'proxy.called', 'session.created', 'session.ended']);
  });

  test.each(REVISIONS)('an MCP library works with the URL of the proxy and two headers at %s', async (revision) => {
    const { token } = await createSession(OWNERS[revision]);
    const url = `${it.broker.url}/v1/proxy/docs`;
    const called = await callFirstTool(url, revision, token, { 'valetkey-owner': OWNERS[revision] });
    expect(called).toMatchObject({ ok: true, tools: ['test-tool'] });
  });
});
