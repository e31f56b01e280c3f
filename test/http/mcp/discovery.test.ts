// How the authorization server of an MCP server is found (RFC 9728, RFC 8414), and what is not asked on the way.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { json, notFound } from '../../support/hostile-mcp/site.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';

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

/** A document that leads to a thief, at a path where it must not be looked for. */
const trap = (path: string) =>
  hostile.mcp.site.on(path, json({ resource: hostile.mcp.url, authorization_servers: [hostile.elsewhere.origin] }));
const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const pathsOf = (site: { received: { path: string }[] }, part: string) =>
  site.received.map(({ path }) => path).filter((path) => path.includes(part));

describe('the first message to an MCP server', () => {
  test('is a valid server/discover of 2026-07-28 without credentials', async () => {
    const { mcp } = hostile;
    await it.connect(await it.integrate(mcp));
    const [probe] = mcp.probes();
    expect(probe?.method).toBe('POST');
    expect(mcp.message(probe!)).toMatchObject({
      jsonrpc: '2.0',
      id: expect.anything(),
      method: 'server/discover',
      params: {
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientCapabilities': expect.any(Object),
        },
      },
    });
    expect(probe?.headers).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'server/discover',
      accept: 'application/json, text/event-stream',
      'content-type': expect.stringMatching(/^application\/json/),
    });
    expect(probe?.headers).not.toHaveProperty('authorization');
    expect(probe?.headers).not.toHaveProperty('cookie');
    expect(mcp.probes()).toHaveLength(1);
  });

  test('is repeated as initialize where a server of 2025-11-25 answers 400', async () => {
    const { mcp } = hostile;
    mcp.revision = '2025-11-25';
    const { id } = await it.connect(await it.integrate(mcp));
    expect(mcp.probes().map((probe) => mcp.message(probe))).toMatchObject([
      { method: 'server/discover' },
      {
        jsonrpc: '2.0',
        id: expect.anything(),
        method: 'initialize',
        params: {
          protocolVersion: '2025-11-25',
          capabilities: expect.any(Object),
          clientInfo: { name: expect.any(String), version: expect.any(String) },
        },
      },
    ]);
    expect(mcp.probes()[1]?.headers['mcp-protocol-version']).not.toBe('2026-07-28');
    expect((await mcp.call('tools/list', String((await it.token(id)).access_token))).status).toBe(200);
  });

  test('is not sent by the PUT of the integration, nor when an integration is read', async () => {
    const integration = await it.integrate(hostile.mcp);
    await it.broker.ask('GET', `/v1/integrations/${integration}`);
    expect(hostile.mcp.site.received).toEqual([]);
    expect(hostile.as.site.received).toEqual([]);
  });

  test('may be answered without a token: the well-known document is asked then', async () => {
    hostile.mcp.site.on('/mcp', json({ jsonrpc: '2.0', id: 1, result: { resultType: 'complete' } }));
    await it.connect(await it.integrate(hostile.mcp));
    expect(pathsOf(hostile.mcp.site, WELL_KNOWN)).toEqual([`${WELL_KNOWN}/mcp`]);
  });
});

describe('the metadata of the resource', () => {
  test('that the challenge names is the only one that is asked', async () => {
    const { mcp, elsewhere } = hostile;
    mcp.metadataPath = '/custom/metadata.json';
    trap(WELL_KNOWN);
    trap(`${WELL_KNOWN}/mcp`);
    await it.connect(await it.integrate(mcp));
    expect(pathsOf(mcp.site, WELL_KNOWN)).toEqual([]);
    expect(elsewhere.received).toEqual([]);
  });

  test.each([404, 401, 410, 500])(
    'that the challenge names is not replaced by another one when it answers %i',
    async (status) => {
      const { mcp, elsewhere } = hostile;
      mcp.challenge = () => `Bearer resource_metadata="${mcp.site.origin}/gone"`;
      mcp.site.on('/gone', json({ secret: 'BODY' }, status));
      trap(WELL_KNOWN);
      trap(`${WELL_KNOWN}/mcp`);
      const { body, status: answered } = await it.session(await it.integrate(mcp));
      expect([answered, body.code]).toEqual(
        status < 500 ? [502, 'integration_misconfigured'] : [503, 'provider_unavailable'],
      );
      expect(body.detail).toContain(`${mcp.site.origin}/gone`);
      expect(JSON.stringify(body)).not.toContain('BODY');
      expect(pathsOf(mcp.site, WELL_KNOWN)).toEqual([]);
      expect(elsewhere.received).toEqual([]);
    },
  );

  test('is looked for at the path of the server first where no challenge names it', async () => {
    const { mcp, elsewhere } = hostile;
    mcp.challenge = () => undefined;
    trap(WELL_KNOWN);
    await it.connect(await it.integrate(mcp));
    expect(pathsOf(mcp.site, WELL_KNOWN)).toEqual([`${WELL_KNOWN}/mcp`]);
    expect(elsewhere.received).toEqual([]);
  });

  test('is looked for at the root then', async () => {
    const { mcp } = hostile;
    mcp.challenge = () => 'Bearer error="invalid_token"';
    mcp.metadataPath = WELL_KNOWN;
    mcp.metadata = { resource: mcp.site.origin };
    await it.connect(await it.integrate(mcp));
    expect(pathsOf(mcp.site, WELL_KNOWN)).toEqual([`${WELL_KNOWN}/mcp`, WELL_KNOWN]);
  });

  test('that is nowhere is no reason to guess endpoints', async () => {
    const { mcp, as } = hostile;
    mcp.challenge = () => undefined;
    mcp.metadataPath = '/nowhere';
    await it.refused(await it.integrate(mcp), /./);
    const asked = mcp.site.received.map(({ method, path }) => `${method} ${path}`);
    expect(asked).toEqual(['POST /mcp', `GET ${WELL_KNOWN}/mcp`, `GET ${WELL_KNOWN}`]);
    expect(as.site.received).toEqual([]);
  });
});

describe('a challenge', () => {
  const at = () => `${hostile.mcp.site.origin}/custom.json`;
  const stolen = () => `${hostile.elsewhere.origin}/prm`;
  test.each<[string, () => string | string[]]>([
    ['in another case', () => `bEaReR RESOURCE_METADATA="${at()}"`],
    ['after another one', () => `Basic realm="a, b", Bearer error="invalid_token", resource_metadata="${at()}"`],
    ['in a second header', () => ['Basic realm="x"', `Bearer resource_metadata="${at()}"`]],
    ['after a token68', () => `Negotiate YWJj==, Bearer resource_metadata="${at()}"`],
    ['with spaces around it', () => `Bearer  realm = "x" , resource_metadata = "${at()}"`],
    [
      'after a realm that quotes one',
      () => `Basic realm="x, Bearer resource_metadata=${stolen()}", Bearer resource_metadata="${at()}"`,
    ],
    ['whose realm quotes one', () => `Bearer realm="resource_metadata=\\"${stolen()}\\"", resource_metadata="${at()}"`],
    [
      'beside that of another scheme',
      () => `Digest resource_metadata="${stolen()}", Bearer resource_metadata="${at()}"`,
    ],
  ])('%s is understood', async (_, challenge) => {
    const { mcp, elsewhere } = hostile;
    mcp.metadataPath = '/custom.json';
    mcp.challenge = challenge;
    await it.connect(await it.integrate(mcp));
    expect(pathsOf(mcp.site, WELL_KNOWN)).toEqual([]);
    expect(elsewhere.received).toEqual([]);
  });

  test.each<[string, () => string]>([
    ['of another scheme', () => `Digest resource_metadata="${stolen()}"`],
    ['in the value of another member', () => `Bearer realm="x, resource_metadata=${stolen()}"`],
    ['in the realm of another scheme', () => `Digest realm="x, Bearer resource_metadata=${stolen()}"`],
    ['in the realm of another scheme, escaped', () => `Digest realm="\\", Bearer resource_metadata=\\"${stolen()}\\""`],
    ['in the name of another member', () => `Bearer x_resource_metadata="${stolen()}"`],
  ])('%s names no document', async (_, challenge) => {
    hostile.mcp.challenge = challenge;
    await it.connect(await it.integrate(hostile.mcp));
    expect(hostile.elsewhere.received).toEqual([]);
  });
});

describe('the resource that the metadata names', () => {
  const origin = () => hostile.mcp.site.origin;
  test.each<[string, () => string]>([
    ['the server itself', () => `${origin()}/a/mcp`],
    ['a path above it', () => `${origin()}/a`],
    ['the same with a slash', () => `${origin()}/a/`],
    ['the root', () => `${origin()}/`],
    ['the origin', origin],
  ])('may be %s, and is sent byte for byte', async (_, resource) => {
    await hostile.close();
    hostile = await startHostileMcp({ path: '/a/mcp' });
    const { mcp, as } = hostile;
    mcp.metadata = { resource: resource() };
    const { id } = await it.connect(await it.integrate(mcp));
    await it.broker.ask('POST', `/v1/connections/${id}/refresh`, {});
    const sent = [...as.authorizations, ...as.spent('authorization_code'), ...as.spent('refresh_token')];
    expect(sent.map((parameters) => parameters.getAll('resource'))).toEqual([[resource()], [resource()], [resource()]]);
    expect(as.refused).toEqual([]);
  });

  test.each<[string, () => unknown]>([
    ['a longer segment', () => `${origin()}/mcp2`],
    ['a shorter segment', () => `${origin()}/mc`],
    ['a path below', () => `${origin()}/mcp/deeper`],
    ['another path', () => `${origin()}/other`],
    ['another case of the path', () => `${origin()}/MCP`],
    ['another origin', () => `${hostile.elsewhere.origin}/mcp`],
    ['another scheme', () => hostile.mcp.url.replace('http:', 'https:')],
    ['a host that starts alike', () => hostile.mcp.url.replace('127.0.0.1', '127.0.0.1.evil.example')],
    ['user info before another host', () => hostile.mcp.url.replace('//', '//127.0.0.1@evil.example/')],
    ['user info before its host', () => hostile.mcp.url.replace('//', '//evil@')],
    ['a fragment', () => `${hostile.mcp.url}#x`],
    ['relative', () => '/mcp'],
    ['empty', () => ''],
    ['a number', () => 7],
    ['a list', () => [hostile.mcp.url]],
    ['null', () => null],
    ['missing', () => undefined],
  ])('is refused when it is %s', async (_, resource) => {
    const { mcp, as, elsewhere } = hostile;
    mcp.metadata = { resource: resource() };
    const refusal = await it.refused(await it.integrate(mcp), 'resource_mismatch');
    expect(refusal.detail).toContain(`${mcp.site.origin}${mcp.metadataPath}`);
    expect(as.site.received).toEqual([]);
    expect(elsewhere.received).toEqual([]);
  });
});

describe('the authorization servers of a resource', () => {
  test.each<[string, () => unknown]>([
    ['none', () => []],
    ['missing', () => undefined],
    ['a string', () => hostile.as.issuer],
    ['a number', () => [7]],
    ['null', () => [null]],
    ['no URL', () => ['as']],
    ['an empty string', () => ['']],
    ['an issuer with a query', () => [`${hostile.as.issuer}?x=1`]],
    ['an issuer with a fragment', () => [`${hostile.as.issuer}#x`]],
    ['an object', () => [{ issuer: hostile.as.issuer }]],
  ])('are refused when they are %s', async (_, authorization_servers) => {
    hostile.mcp.metadata = { authorization_servers: authorization_servers() };
    await it.refused(await it.integrate(hostile.mcp), /./);
    expect(hostile.as.authorizations).toEqual([]);
    expect(hostile.as.registrations).toEqual([]);
  });
});

test('an authorization server with a very long name is refused: it would be stored with each client and grant', async () => {
  await hostile.close();
  hostile = await startHostileMcp({ issuerPath: `/${'a'.repeat(3_000)}` });
  await it.refused(await it.integrate(hostile.mcp), 'issuer_mismatch');
  expect(hostile.as.registrations).toEqual([]);
});

describe('the metadata of an authorization server', () => {
  const OF_PATH = [
    '/.well-known/oauth-authorization-server/tenant',
    '/.well-known/openid-configuration/tenant',
    '/tenant/.well-known/openid-configuration',
  ];
  const OF_ROOT = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'];
  const asked = () => pathsOf(hostile.as.site, '/.well-known/');

  test.each([0, 1, 2])(
    'of an issuer with a path is found at the place %i of three, and the root is not asked',
    async (place) => {
      await hostile.close();
      hostile = await startHostileMcp({ issuerPath: '/tenant' });
      const { mcp, as } = hostile;
      as.metadataPath = OF_PATH[place]!;
      for (const path of OF_ROOT)
        as.site.on(path, json({ issuer: as.issuer, token_endpoint: hostile.elsewhere.origin }));
      await it.connect(await it.integrate(mcp));
      expect(asked()).toEqual(OF_PATH.slice(0, place + 1));
    },
  );

  test.each([0, 1])('of an issuer without a path is found at the place %i of two', async (place) => {
    hostile.as.metadataPath = OF_ROOT[place]!;
    await it.connect(await it.integrate(hostile.mcp));
    expect(asked()).toEqual(OF_ROOT.slice(0, place + 1));
  });

  test('that is nowhere is no reason to guess endpoints', async () => {
    const { mcp, as } = hostile;
    as.metadataPath = '/nowhere';
    await it.refused(await it.integrate(mcp), /./);
    expect(as.site.received.map(({ path }) => path)).toEqual(OF_ROOT);
    expect(mcp.site.to('/token')).toEqual([]);
  });

  test.each<[string, (issuer: string) => unknown]>([
    ['a slash more', (issuer) => `${issuer}/`],
    ['another case of the scheme', (issuer) => issuer.replace('http', 'HTTP')],
    ['another host', () => 'https://id.example'],
    ['another name of the host', (issuer) => issuer.replace('127.0.0.1', 'localhost')],
    ['another path', (issuer) => `${issuer}/x`],
    ['a list', (issuer) => [issuer]],
    ['nothing', () => undefined],
    ['null', () => null],
  ])('is refused when its issuer differs by %s', async (_, issuer) => {
    const { mcp, as } = hostile;
    as.metadata = { issuer: issuer(as.issuer) };
    const refusal = await it.refused(await it.integrate(mcp), 'issuer_mismatch');
    expect(refusal.detail).toContain(as.site.origin);
    expect(as.registrations).toEqual([]);
  });

  test('is taken when the entry itself has a slash', async () => {
    const { mcp, as } = hostile;
    as.issuer = `${as.issuer}/`;
    await it.connect(await it.integrate(mcp));
    expect(as.authorizations).toHaveLength(1);
  });

  test.each<[string, unknown]>([
    ['missing', undefined],
    ['empty', []],
    ['plain', ['plain']],
    ['in another case', ['s256']],
    ['a string', 'S256'],
  ])('is refused when its code challenge methods are %s, unless they are assumed', async (_, methods) => {
    const { mcp, as } = hostile;
    as.metadata = { code_challenge_methods_supported: methods };
    await it.refused(await it.integrate(mcp), Array.isArray(methods ?? []) ? 'pkce_unsupported' : 'invalid_metadata');
    expect(as.registrations).toEqual([]);
    if (methods !== undefined) return;
    await it.connect(await it.integrate(mcp, { params: { pkce: 'assumed' } }));
    expect(as.authorizations[0]?.get('code_challenge_method')).toBe('S256');
    expect(as.refused).toEqual([]);
  });

  test.each<[string, () => object]>([
    ['no token endpoint', () => ({ token_endpoint: undefined })],
    ['no authorization endpoint', () => ({ authorization_endpoint: undefined })],
    ['a token endpoint that is no URL', () => ({ token_endpoint: '/token' })],
    ['a number as token endpoint', () => ({ token_endpoint: 7 })],
    ['a script as authorization endpoint', () => ({ authorization_endpoint: 'javascript:alert(1)' })],
    ['data as authorization endpoint', () => ({ authorization_endpoint: 'data:text/html,x' })],
    ['a file as token endpoint', () => ({ token_endpoint: 'file:///etc/passwd' })],
    ['a list as authorization endpoint', () => ({ authorization_endpoint: [hostile.as.url('authorize')] })],
  ])('with %s is refused', async (_, change) => {
    hostile.as.metadata = change() as Record<string, unknown>;
    await it.refused(await it.integrate(hostile.mcp), /./);
    expect(hostile.as.authorizations).toEqual([]);
  });

  test('without a redirect is found by the second place only when the first has none', async () => {
    const { mcp, as, elsewhere } = hostile;
    as.site.on(OF_ROOT[0]!, notFound);
    as.metadataPath = OF_ROOT[1]!;
    await it.connect(await it.integrate(mcp));
    expect(elsewhere.received).toEqual([]);
  });
});
