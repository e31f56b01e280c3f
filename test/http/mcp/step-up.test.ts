// Scopes of MCP connections: which are asked first, and how a challenge of the server adds to them, a bounded number of
// times.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Json } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { sessionOf, visit } from '../../support/owner-browser.ts';

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
  expect(hostile.inside.received).toEqual([]);
  await hostile.close();
});

const HOUR = 3_600_000;
const asked = () => hostile.as.authorizations.map((query) => query.get('scope')?.split(' ').sort() ?? null);
const document = () => `resource_metadata="${hostile.mcp.site.origin}${hostile.mcp.metadataPath}"`;
const insufficient = (scope: string) => ({
  status: 403,
  www_authenticate: `Bearer error="insufficient_scope", scope="${scope}", ${document()}`,
});

interface Made {
  integration: string;
  owner: string;
  id: string;
}
const connect = async (): Promise<Made> => {
  const integration = await it.integrate(hostile.mcp);
  return { integration, ...(await it.connect(integration)) };
};
const challenged = ({ integration, owner, id }: Made, challenge: Json) =>
  it.session(integration, { owner, connection_id: id, challenge });
const stepUp = async (made: Made, challenge: Json) => {
  const { link, jar, callback } = await it.start(made.integration, {
    owner: made.owner,
    connection_id: made.id,
    challenge,
  });
  expect((await visit(callback, jar)).status).toBe(200);
  expect(await sessionOf(it.broker, link)).toMatchObject({ status: 'completed', connection_id: made.id });
};

describe('the scopes that are asked first', () => {
  const CHALLENGED = () => `Bearer scope="a b", ${document()}`;
  test.each<[string, () => string, string[] | undefined, string[] | undefined, string[] | null]>([
    ['those of the challenge', CHALLENGED, ['c'], undefined, ['a', 'b']],
    ['those of the resource', () => `Bearer ${document()}`, ['c', 'd'], undefined, ['c', 'd']],
    ['none', () => `Bearer ${document()}`, undefined, ['x', 'y'], null],
    ['none of an empty list', () => `Bearer ${document()}`, [], undefined, null],
    [
      'with offline access where it is listed',
      CHALLENGED,
      undefined,
      ['a', 'offline_access'],
      ['a', 'b', 'offline_access'],
    ],
    ['without it where it is not', CHALLENGED, undefined, ['a', 'b'], ['a', 'b']],
  ])('are %s', async (_, challenge, ofResource, ofServer, expected) => {
    const { mcp, as } = hostile;
    mcp.challenge = challenge;
    mcp.metadata = { scopes_supported: ofResource };
    as.metadata = { scopes_supported: ofServer };
    await it.connect(await it.integrate(mcp));
    expect(asked()).toEqual([expected]);
  });

  test('are none where there are too many for a URL, and what is stored stays small', async () => {
    const { mcp, as } = hostile;
    const many = Array.from({ length: 2_000 }, (_, i) => `scope-${i}`);
    mcp.metadata = { scopes_supported: many };
    as.metadata = { scopes_supported: [...many, 'offline_access'], token_endpoint_auth_methods_supported: many };
    const { id } = await it.connect(await it.integrate(mcp));
    expect(asked()).toEqual([['offline_access']]);
    const named = many.slice(0, 600).join(' ');
    mcp.challenge = () => `Bearer scope="${named}", ${document()}`;
    await it.connect(await it.integrate(mcp));
    expect(asked().at(-1)).toEqual(['offline_access']);
    const { integration, owner } = (await it.broker.ask('GET', `/v1/connections/${id}`)).body;
    const challenge = insufficient(many.slice(0, 500).join(' '));
    const wanted = { owner, connection_id: id, challenge };
    expectIssues(await it.session(String(integration), wanted), 'challenge.www_authenticate');
  });

  test.each(['a\\"b', 'a\u0000b', 'ä', 'a\tb'])(
    'with a character that no scope has (%j) are not sent on',
    async (scope) => {
      hostile.mcp.metadata = { scopes_supported: ['good', scope] };
      const answer = await it.session(await it.integrate(hostile.mcp));
      if (answer.status !== 201) return void expectProblem(answer, 502, 'integration_misconfigured');
      await it.connect(await it.integrate(hostile.mcp));
      for (const scopes of asked()) expect(scopes).not.toContain(scope);
    },
  );
});

describe('a challenge for more', () => {
  test('asks for what was asked before and for what it names, and the connection stays', async () => {
    const { mcp, as } = hostile;
    mcp.challenge = () => `Bearer scope="list", ${document()}`;
    mcp.metadata = { scopes_supported: ['unrelated'] };
    mcp.scopes = { 'tools/list': ['list'], 'tools/call': ['call'] };
    const made = await connect();
    const before = await it.token(made.id);
    expect((await mcp.call('tools/list', String(before.access_token))).status).toBe(200);
    const { status, wwwAuthenticate } = await mcp.call('tools/call', String(before.access_token));
    expect(status).toBe(403);
    await stepUp(made, { status, www_authenticate: wwwAuthenticate });
    expect(asked()).toEqual([['list'], ['call', 'list']]);
    const after = await it.token(made.id);
    for (const method of ['tools/list', 'tools/call'])
      expect((await mcp.call(method, String(after.access_token))).status).toBe(200);
    expect(as.registrations).toHaveLength(1);
    expect(as.refused).toEqual([]);
  });

  test('keeps the old token served until it is answered', async () => {
    const made = await connect();
    const before = await it.token(made.id);
    expectOk(await challenged(made, insufficient('more')), 201);
    expect((await it.token(made.id)).access_token).toBe(before.access_token);
  });

  test('is answered three times an hour in all, and then no more', async () => {
    const made = await connect();
    await stepUp(made, insufficient('one'));
    await stepUp(made, insufficient('two'));
    const problem = expectProblem(await challenged(made, insufficient('three')), 409, 'step_up_exhausted');
    expect(JSON.stringify(problem)).not.toContain('www_authenticate');
    expect(asked()).toHaveLength(3);
    // Nor when they come at the same time, or in other words.
    const answers = await Promise.all(['a', 'b', 'c'].map((scope) => challenged(made, insufficient(scope))));
    expect(answers.map(({ status }) => status)).toEqual([409, 409, 409]);
    expect(await it.token(made.id)).toMatchObject({ connection_id: made.id });
    it.advance(HOUR + 60_000);
    await stepUp(made, insufficient('three'));
    expect(asked().at(-1)).toEqual(['one', 'three', 'two']);
  });

  test('is counted for each connection', async () => {
    const integration = await it.integrate(hostile.mcp);
    const first = { integration, ...(await it.connect(integration)) };
    const second = { integration, ...(await it.connect(integration)) };
    for (const scope of ['one', 'two']) await stepUp(first, insufficient(scope));
    await stepUp(second, insufficient('one'));
    expectProblem(await challenged(first, insufficient('three')), 409, 'step_up_exhausted');
    expect(asked().at(-1)).toEqual(['one']);
  });

  test('that leads to another issuer asks that issuer for nothing', async () => {
    const made = await connect();
    hostile.mcp.authorizationServers = [hostile.other];
    const problem = expectProblem(await challenged(made, insufficient('more')), 409, 'reauthorization_required');
    expect(problem.reason).toBe('authorization_server_changed');
    expect(hostile.other.authorizations).toEqual([]);
    expect([...hostile.as.spent('refresh_token'), ...hostile.other.spent('refresh_token')]).toEqual([]);
  });

  test.each<[string, Json]>([
    ['without a status', { www_authenticate: 'Bearer scope="x"' }],
    ['of a success', { status: 200, www_authenticate: 'Bearer scope="x"' }],
    ['that is no text', { status: 403, www_authenticate: ['Bearer'] }],
    ['that is too long', { status: 403, www_authenticate: `Bearer scope="${'a '.repeat(50_000)}"` }],
    ['with a member too many', { status: 403, www_authenticate: 'Bearer', scopes: ['x'] }],
  ])('%s is refused', async (_, challenge) => {
    expectProblem(await challenged(await connect(), challenge), 400, 'invalid_request');
    expect(asked()).toHaveLength(1);
  });

  test('at a connection of someone else tells none of its scopes', async () => {
    hostile.mcp.challenge = () => `Bearer scope="one", ${document()}`;
    const { id, integration } = await connect();
    const grants = [
      { actions: ['connections:write'], integrations: [integration], owners: ['mallory'], scopes: ['x'] },
    ];
    const { key } = expectOk(await it.broker.ask('POST', '/v1/callers', { name: 'another app', grants }), 201);
    const wanted = { integration, owner: 'mallory', scopes: ['x'], connection_id: id, challenge: insufficient('x') };
    const answer = await it.broker.ask('POST', '/v1/connect-sessions', wanted, String(key));
    expectProblem(answer, 404, 'not_found');
    expect(JSON.stringify(answer.body)).not.toContain('one"');
  });

  test('without the connection is refused', async () => {
    const integration = await it.integrate(hostile.mcp);
    expectProblem(await it.session(integration, { challenge: insufficient('x') }), 400, 'invalid_request');
    expect(asked()).toEqual([]);
  });

  test('of a private address asks nothing there', async () => {
    const made = await connect();
    const www_authenticate = `Bearer error="insufficient_scope", scope="x", resource_metadata="${hostile.inside.origin}/prm"`;
    const { status } = await challenged(made, { status: 403, www_authenticate });
    expect([201, 400, 502]).toContain(status);
  });
});
