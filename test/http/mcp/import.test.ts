// An import onto the connection of an MCP server: what was granted for that server goes to no other one.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectOk } from '../../support/contract.ts';
import { startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';

let it: McpBroker;
beforeAll(async () => {
  it = await startMcpBroker();
});
afterAll(() => it.stop());

const HOUR = 3_600_000;

test('that names another server keeps no refresh token, and the other server gets no token of the first', async () => {
  const [honest, evil] = await Promise.all([startHostileMcp(), startHostileMcp()]);
  const hosts = [honest, evil].map(({ mcp }) => new URL(mcp.url).host).join(',');
  const integration = await it.integrate(null, { params: { servers: hosts } });
  const { id, owner } = await it.connect(integration, { params: { server_url: honest.mcp.url } });
  const grants = [{ actions: ['connections:write', 'proxy'], integrations: [integration], owners: [owner] }];
  const { key } = expectOk(await it.broker.ask('POST', '/v1/callers', { name: 'no token', grants }), 201);
  const body = {
    ...{ integration, owner, connection_id: id, params: { server_url: evil.mcp.url } },
    credentials: { access_token: 'an old one', expires_in: 60 },
  };
  expectOk(await it.broker.ask('POST', '/v1/connections', body, String(key)), 201);
  it.advance(HOUR);
  const call = await fetch(`${it.broker.url}/v1/connections/${id}/proxy`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  });
  expect([call.status, ((await call.json()) as { code: string }).code]).toEqual([409, 'reauthorization_required']);
  expect(evil.mcp.site.received).toEqual([]);
  expect(honest.as.spent('refresh_token')).toEqual([]);

  // With the same server, it is kept.
  const kept = await it.connect(integration, { params: { server_url: honest.mcp.url } });
  const again = { ...body, owner: kept.owner, connection_id: kept.id, params: { server_url: honest.mcp.url } };
  expectOk(await it.broker.ask('POST', '/v1/connections', again), 201);
  it.advance(HOUR);
  const { access_token } = await it.token(kept.id);
  expect((await honest.mcp.call('tools/list', String(access_token))).status).toBe(200);
  await Promise.all([honest.close(), evil.close()]);
});
