// Mix-up attacks on the callback (RFC 9207, RFC 9700 4.4): which authorization server an answer is from is checked before
// anything of it is used.
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { expectIssues } from '../../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { newOwner, sessionOf, visit, withQuery } from '../../support/owner-browser.ts';

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
  await hostile.close();
});

const codesSpent = () => [...hostile.as.spent('authorization_code'), ...hostile.other.spent('authorization_code')];
const connectionsOf = async (owner: string) =>
  (await it.broker.ask('GET', `/v1/connections?owner=${encodeURIComponent(owner)}`)).body.data;

/** Expects that the answer is refused: no code is spent, no connection is made, and nothing of it is shown. */
async function expectRefused(
  { link, jar, callback, owner }: Awaited<ReturnType<McpBroker['start']>>,
  ...hidden: string[]
) {
  const page = await visit(callback, jar);
  expect(page.status, page.text).toBeGreaterThanOrEqual(400);
  for (const text of hidden) expect(page.text).not.toContain(text);
  expect(codesSpent()).toEqual([]);
  expect(await connectionsOf(owner)).toEqual([]);
  const session = await sessionOf(it.broker, link);
  expect(session.status).not.toBe('completed');
  for (const text of hidden) expect(JSON.stringify(session)).not.toContain(text);
}

describe('the issuer of an authorization response', () => {
  const advertised = { authorization_response_iss_parameter_supported: true };
  const silent = { authorization_response_iss_parameter_supported: undefined };
  const WRONG: [string, object, () => string | null][] = [
    ['missing though advertised', advertised, () => null],
    ['empty', advertised, () => ''],
    ['another one', advertised, () => 'https://evil.example'],
    ['that of another server', advertised, () => hostile.other.issuer],
    ['one with a slash more', advertised, () => `${hostile.as.issuer}/`],
    ['one in another case', advertised, () => hostile.as.issuer.replace('http', 'HTTP')],
    ['one with a longer path', advertised, () => `${hostile.as.issuer}/x`],
    ['another name of the same host', advertised, () => hostile.as.issuer.replace('127.0.0.1', 'localhost')],
    ['another one though not advertised', silent, () => hostile.other.issuer],
    ['empty though not advertised', silent, () => ''],
    ['one with a slash more, not advertised', silent, () => `${hostile.as.issuer}/`],
  ];

  test.each(WRONG)('that is %s is refused, and the code is not spent', async (_, metadata, iss) => {
    hostile.as.metadata = { ...metadata };
    hostile.as.response = { iss: iss() };
    await expectRefused(await it.start(await it.integrate(hostile.mcp)));
  });

  test.each(WRONG)('that is %s hides the error beside it', async (_, metadata, iss) => {
    hostile.as.metadata = { ...metadata };
    hostile.as.response = { iss: iss(), error: 'access_denied', error_description: 'DESCRIPTION' };
    await expectRefused(await it.start(await it.integrate(hostile.mcp)), 'access_denied', 'DESCRIPTION');
  });

  test.each(['before', 'after'])('twice, with a wrong one %s, is refused', async (order) => {
    const started = await it.start(await it.integrate(hostile.mcp));
    const wrong = new URLSearchParams({ iss: 'https://evil.example' });
    const query = started.callback.searchParams;
    const both = order === 'before' ? `${wrong}&${query}` : `${query}&${wrong}`;
    await expectRefused({
      ...started,
      callback: new URL(`${started.callback.origin}${started.callback.pathname}?${both}`),
    });
  });

  test('that is right lets an error through', async () => {
    hostile.as.response = { error: 'access_denied' };
    const { link, jar, callback } = await it.start(await it.integrate(hostile.mcp));
    expect((await visit(callback, jar)).status).toBeGreaterThanOrEqual(400);
    expect(await sessionOf(it.broker, link)).toMatchObject({ status: 'failed', error: 'access_denied' });
  });

  test('may be missing where none is advertised', async () => {
    hostile.as.metadata = silent;
    hostile.as.response = { iss: null };
    await it.connect(await it.integrate(hostile.mcp));
    expect(hostile.as.spent('authorization_code')).toHaveLength(1);
  });

  test('may be there where none is advertised', async () => {
    hostile.as.metadata = silent;
    await it.connect(await it.integrate(hostile.mcp));
  });
});

describe('an authorization server that sends browsers to another one', () => {
  test('does not get the code of that one, which names itself', async () => {
    const { mcp, as, other } = hostile;
    as.metadata = { authorization_endpoint: other.url('authorize') };
    // The attacker has registered a client at the honest server, with the redirect URI of the broker.
    as.registered = { client_id: 'attacker', client_secret: undefined, token_endpoint_auth_method: 'none' };
    other.addClient({ id: 'attacker' });
    await expectRefused(await it.start(await it.integrate(mcp)));
    expect(other.authorizations).toHaveLength(1);
  });
});

describe('an integration whose connections name their server', () => {
  const both = async () => {
    const second = await startHostileMcp();
    const integration = await it.integrate(null, {
      params: { servers: [hostile.mcp.url, second.mcp.url].map((url) => new URL(url).host).join(',') },
    });
    return { integration, second };
  };

  test('has a redirect URI, a client and a registration for each issuer', async () => {
    const { integration, second } = await both();
    const first = await it.start(integration, { params: { server_url: hostile.mcp.url } });
    const other = await it.start(integration, { params: { server_url: second.mcp.url } });
    const uri = (issuer: string) =>
      `/oauth2/callback/${integration}/${createHash('sha256').update(issuer).digest('hex').slice(0, 16)}`;
    expect(first.callback.pathname).toBe(uri(hostile.as.issuer));
    expect(other.callback.pathname).toBe(uri(second.as.issuer));
    expect(hostile.as.registrations).toHaveLength(1);
    expect(second.as.registrations).toHaveLength(1);
    expect(hostile.as.authorizations[0]?.get('client_id')).not.toBe(second.as.authorizations[0]?.get('client_id'));
    expect(hostile.as.registrations[0]?.redirect_uris).toEqual([`${it.broker.url}${uri(hostile.as.issuer)}`]);
    for (const { callback, jar } of [first, other]) {
      const page = await visit(callback, jar);
      expect(page.status, page.text).toBe(200);
    }
    expect([...hostile.as.refused, ...second.as.refused, ...second.ledger.leaks()]).toEqual([]);
    await second.close();
  });

  test('takes a posted answer at the redirect URI of its issuer, and carries it nowhere else', async () => {
    const { integration, second } = await both();
    const { link, jar, callback } = await it.start(integration, { params: { server_url: hostile.mcp.url } });
    const other = await it.start(integration, { params: { server_url: second.mcp.url } });
    const form = Object.fromEntries(callback.searchParams);
    const redirectUri = `${callback.origin}${callback.pathname}`;
    // The browser sends no SameSite=Lax cookie with a cross-site post.
    const posted = await visit(redirectUri, createCookieJar(), { form });
    expect(posted.status, posted.text).toBe(303);
    for (const secret of [form.code, form.state]) expect(posted.location).not.toContain(secret);
    const to = new URL(posted.location ?? '', it.broker.url);
    expect(to.pathname).toBe(callback.pathname);
    for (const pathname of [other.callback.pathname, `/oauth2/callback/${integration}`]) {
      const moved = new URL(to);
      moved.pathname = pathname;
      expect((await visit(moved, jar)).status, pathname).toBe(400);
    }
    expect((await visit(to)).status).toBe(403);
    expect(codesSpent()).toEqual([]);
    expect((await visit(to, jar)).status).toBe(200);
    expect(await sessionOf(it.broker, link)).toMatchObject({ status: 'completed' });
    expect(hostile.as.refused).toEqual([]);
    await second.close();
  });

  test('takes no answer at the redirect URI of another issuer', async () => {
    const { integration, second } = await both();
    // An issuer that sends no `iss`: its redirect URI is all that tells.
    for (const { as } of [hostile, second]) {
      as.metadata = { authorization_response_iss_parameter_supported: undefined };
      as.response = { iss: null };
    }
    const victim = await it.start(integration, { params: { server_url: hostile.mcp.url } });
    const attacker = await it.start(integration, { params: { server_url: second.mcp.url } });
    for (const pathname of [
      attacker.callback.pathname,
      `/oauth2/callback/${integration}`,
      `${victim.callback.pathname}0`,
    ]) {
      const moved = new URL(victim.callback);
      moved.pathname = pathname;
      await expectRefused({ ...victim, callback: moved });
    }
    // Nor is the code of one sent to the other, when it comes with the other's state.
    const mixed = withQuery(attacker.callback, { code: victim.callback.searchParams.get('code') });
    expect((await visit(mixed, attacker.jar)).status).toBeGreaterThanOrEqual(400);
    expect(second.as.spent('refresh_token')).toEqual([]);
    await second.close();
  });

  test.each<[string, () => string]>([
    ['another port', () => `${hostile.elsewhere.origin}/mcp`],
    ['another host', () => hostile.mcp.url.replace('127.0.0.1', 'localhost')],
    ['a host that ends alike', () => 'https://evil-mcp.example/mcp'],
    ['a host that starts alike', () => 'https://mcp.example.evil.example/mcp'],
    ['the domain without a name below it', () => 'https://example/mcp'],
    ['user info that looks alike', () => `http://${new URL(hostile.mcp.url).host}@evil.example/mcp`],
    ['a pattern', () => 'https://*.mcp.example/mcp'],
    ['a script', () => 'javascript:alert(1)'],
    ['no URL', () => 'mcp'],
    ['empty', () => ''],
    ['private', () => `${hostile.inside.origin}/mcp`],
  ])('refuses a server that is %s, and asks nothing', async (_, url) => {
    const { host } = new URL(hostile.mcp.url);
    const integration = await it.integrate(null, { params: { servers: `${host},*.mcp.example` } });
    const answer = await it.session(integration, { params: { server_url: url() } });
    expectIssues(answer, 'params.server_url');
    expect([...hostile.mcp.site.received, ...hostile.elsewhere.received, ...hostile.inside.received]).toEqual([]);
  });

  test('is not set up where no server is named and none is allowed', async () => {
    const body = { provider: 'mcp', params: {} };
    expectIssues(await it.broker.ask('PUT', '/v1/integrations/open', body), 'params.server_url');
  });

  test('takes no patterns that are none', async () => {
    for (const pattern of ['*.com:*', '*x.example', 'https://x.example', 'x.example/path', '', ' , ']) {
      const body = { provider: 'mcp', params: { servers: pattern } };
      expect((await it.broker.ask('PUT', '/v1/integrations/open-2', body)).status, pattern).toBe(400);
    }
  });
});

describe('a callback', () => {
  test('of an unknown issuer is refused', async () => {
    const integration = await it.integrate(hostile.mcp);
    for (const rest of ['/0000000000000000', '/..', '/%2e%2e', '/x', '/0000000000000000/x']) {
      const page = await visit(
        `${it.broker.url}/oauth2/callback/${integration}${rest}?code=x&state=y`,
        createCookieJar(),
      );
      expect(page.status, rest).toBeGreaterThanOrEqual(400);
      expect(page.status, rest).toBeLessThan(500);
    }
  });

  test('that comes twice spends its code once', async () => {
    const { jar, callback, owner } = await it.start(await it.integrate(hostile.mcp), { owner: newOwner() });
    const pages = await Promise.all([1, 2, 3].map(() => visit(callback, jar)));
    expect(pages.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(codesSpent()).toHaveLength(1);
    expect(await connectionsOf(owner)).toHaveLength(1);
  });
});
