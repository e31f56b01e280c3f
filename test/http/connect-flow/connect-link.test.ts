// Connect URLs: for one browser, one use and ten minutes; and several of them in one browser.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import {
  browseToCallback,
  type ConnectLink,
  connect,
  connectionOf,
  connectionsOf,
  createConnectSession,
  expectErrorPage,
  formOf,
  newOwner,
  openLink,
  putIntegration,
  putIntegrationAt,
  queryDatabase,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

let broker: TestBroker;
let provider: LocalProvider;

beforeAll(async () => {
  [broker, provider] = await Promise.all([startTestBroker(), startProvider()]);
  await putIntegrationAt(broker, 'acme', provider, { return_origins: ['https://app.example'] });
});
afterAll(() => Promise.all([broker.stop(), provider.close()]));

const pageOf = ({ id }: ConnectLink) => `/connect/sessions/${id}`;

describe('a connect URL', () => {
  test('can be opened again by the same browser while the session is pending, and either tab can finish', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const first = await browseToCallback(broker, invited.url, jar);
    expect((await openLink(invited.url, jar)).status).toBe(303);
    expect((await visit(first, jar)).status).toBe(200);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'completed' });
  });

  test('is refused in another browser, and still works in the first', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const callback = await browseToCallback(broker, invited.url, jar);
    expectErrorPage(await visit(invited.url), 403, 'other_browser', invited.url);
    const stranger = createCookieJar();
    await openLink((await createConnectSession(broker)).url, stranger);
    expectErrorPage(await visit(invited.url, stranger), 403, 'other_browser', invited.url);
    expect((await visit(callback, jar)).status).toBe(200);
  });

  test('opened by two browsers at the same time works in one of them', async () => {
    // Discovery of a new provider comes first: both have passed the first check of the session by then.
    const unknown: ScriptedServer = await startScriptedServer(() => ({
      body: {
        issuer: unknown.url,
        authorization_endpoint: `${unknown.url}/auth`,
        token_endpoint: `${unknown.url}/token`,
      },
    }));
    await putIntegration(broker, 'unknown', {
      provider: 'generic-oidc',
      client_id: 'client',
      params: { issuer: unknown.url },
    });
    const { url } = await createConnectSession(broker, { integration: 'unknown' });
    const pages = await Promise.all([openLink(url), openLink(url)]);
    expect(pages.map((page) => page.status).sort()).toEqual([303, 403]);
    expect(unknown.received).toHaveLength(1);
    await unknown.close();
  });

  test('is used up by the connection: its own browser is shown the end, others are refused', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const form = formOf(await visit(invited.url, jar));
    await connect(broker, invited.url, { jar });
    for (const posted of [undefined, { form }]) {
      const again = await visit(invited.url, jar, posted);
      expect([again.status, again.location]).toEqual([posted ? 200 : 302, posted ? null : pageOf(invited)]);
    }
    expect((await visit(new URL(pageOf(invited), broker.url), jar)).text).toContain('is connected');
    const stranger = createCookieJar();
    await openLink((await createConnectSession(broker)).url, stranger);
    for (const other of [createCookieJar(), stranger])
      for (const posted of [undefined, { form }])
        expectErrorPage(await visit(invited.url, other, posted), 410, 'invitation_used', invited.url);
  });

  test('of a flow that was cancelled shows that to its own browser only', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    await connect(broker, invited.url, { jar, cancel: true });
    expectErrorPage(await visit(invited.url, jar), 403, 'access_denied', invited.url);
    expectErrorPage(await visit(invited.url), 410, 'invitation_used', invited.url);
  });

  test('expires before it is opened', async () => {
    const invited = await createConnectSession(broker);
    queryDatabase(broker, 'update connect_sessions set expires_at = ? where id = ?', Date.now() - 1, invited.id);
    expectErrorPage(await visit(invited.url), 410, 'invitation_expired', invited.url);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'expired' });
  });

  test('expires while the owner is at the provider', async () => {
    const jar = createCookieJar();
    const owner = newOwner();
    const invited = await createConnectSession(broker, { owner, return_url: 'https://app.example/' });
    const callback = await browseToCallback(broker, invited.url, jar);
    queryDatabase(broker, 'update connect_sessions set expires_at = ? where id = ?', Date.now() - 1, invited.id);
    expect((await visit(callback, jar)).location).toBe(
      `https://app.example/?status=error&connect_session_id=${invited.id}&error=invitation_expired`,
    );
    expect(await connectionsOf(broker, owner)).toEqual([]);
  });

  test('is valid for ten minutes after it was first opened', async () => {
    const invited = await createConnectSession(broker);
    queryDatabase(broker, 'update connect_sessions set expires_at = ? where id = ?', Date.now() + 5_000, invited.id);
    const jar = createCookieJar();
    await openLink(invited.url, jar);
    const end = Date.parse(String((await sessionOf(broker, invited)).expires_at));
    expect(end - Date.now()).toBeGreaterThan(9 * 60_000);
    expect(end - Date.now()).toBeLessThanOrEqual(10 * 60_000);
    queryDatabase(broker, 'update connect_sessions set expires_at = ? where id = ?', Date.now() + 5_000, invited.id);
    await openLink(invited.url, jar);
    expect(Date.parse(String((await sessionOf(broker, invited)).expires_at)) - Date.now()).toBeLessThanOrEqual(5_000);
  });

  test('is not enough when the flow has expired: invalid_state', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const callback = await browseToCallback(broker, invited.url, jar);
    queryDatabase(broker, 'update flows set expires_at = ? where session_id = ?', Date.now() - 1, invited.id);
    expectErrorPage(await visit(callback, jar), 400, 'invalid_state', callback);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'pending' });
  });

  test.each(['', 'x', 'a%00b', '..%2f..%2fetc', '%3Cscript%3E'])(
    'with an invalid secret (%j) is not found',
    async (secret) => {
      const page = await visit(`${broker.url}/connect/${secret}`);
      expect(page.status).toBe(404);
      expect(page.headers.get('set-cookie')).toBeNull();
      expect(page.text).not.toContain('<script>');
    },
  );

  test('with an unknown secret shows a page', async () => {
    const url = `${broker.url}/connect/${'A'.repeat(43)}`;
    expectErrorPage(await visit(url), 404, 'not_found', url);
  });
});

describe('two connect URLs in two tabs of one browser', () => {
  test.each([
    ['in order', [0, 1]],
    ['in the other order', [1, 0]],
  ] as const)('both succeed, %s', async (_, order) => {
    const jar = createCookieJar();
    const tabs = [await createConnectSession(broker), await createConnectSession(broker)];
    const callbacks: URL[] = [];
    for (const { url } of tabs) callbacks.push(await browseToCallback(broker, url, jar));
    for (const at of order) expect((await visit(callbacks[at]!, jar)).status).toBe(200);
    const [a, b] = [await connectionOf(broker, tabs[0]!), await connectionOf(broker, tabs[1]!)];
    expect(a.id).not.toBe(b.id);
  });

  test('both succeed at the same time', async () => {
    const jar = createCookieJar();
    const tabs = [await createConnectSession(broker), await createConnectSession(broker)];
    await openLink(tabs[0]!.url, jar);
    const callbacks = [
      await browseToCallback(broker, tabs[0]!.url, jar),
      await browseToCallback(broker, tabs[1]!.url, jar),
    ];
    const pages = await Promise.all(callbacks.map((url) => visit(url, jar)));
    expect(pages.map((page) => page.status)).toEqual([200, 200]);
  });

  test('cancelling one does not cancel the other', async () => {
    const jar = createCookieJar();
    const [finished, cancelled] = [await createConnectSession(broker), await createConnectSession(broker)];
    const callback = await browseToCallback(broker, finished.url, jar);
    expect((await connect(broker, cancelled.url, { jar, cancel: true })).status).toBe(403);
    expect((await visit(callback, jar)).status).toBe(200);
  });
});
