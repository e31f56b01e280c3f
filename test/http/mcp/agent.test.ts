// An agent with the official MCP client and nothing but a token of the broker, at servers of both revisions.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { callFirstTool } from '../../support/mcp-client.ts';
import { visit } from '../../support/owner-browser.ts';

let it: McpBroker;
beforeAll(async () => {
  it = await startMcpBroker();
});
afterAll(() => it.stop());

test.each(['2026-07-28', '2025-11-25'] as const)(
  'lists and calls tools at %s, and again after a step-up',
  async (revision) => {
    const hostile = await startHostileMcp();
    const { mcp, as } = hostile;
    mcp.revision = revision;
    mcp.challenge = () => `Bearer scope="list", resource_metadata="${mcp.site.origin}${mcp.metadataPath}"`;
    mcp.scopes = { 'tools/list': ['list'], 'tools/call': ['call'] };
    const integration = await it.integrate(mcp);
    const { id, owner } = await it.connect(integration);
    const token = async () => String((await it.token(id)).access_token);
    const first = await callFirstTool(mcp.url, revision, await token());
    if (first.ok) throw new Error('it was not challenged');
    expect(first.challenge.status).toBe(403);
    const { jar, callback } = await it.start(integration, { owner, connection_id: id, challenge: first.challenge });
    expect((await visit(callback, jar)).status).toBe(200);
    expect(await callFirstTool(mcp.url, revision, await token())).toMatchObject({ ok: true, tools: ['test-tool'] });
    expect([...as.refused, ...hostile.ledger.leaks()]).toEqual([]);
    await hostile.close();
  },
);
