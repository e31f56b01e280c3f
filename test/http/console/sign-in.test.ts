// Signing in to the console: by a link, with an OpenID Provider, and what ends it.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { CONSOLE_IDLE_MS, CONSOLE_LINK_TTL_MS, CONSOLE_SESSION_TTL_MS } from '../../../src/domain/time-limits.ts';
import { systemClock } from '../../../src/runtime/system-clock.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { consoleBrowser, openLink } from '../../support/console-browser.ts';

const ROLES = {
  admin: { claim: 'groups', values: ['ops'] },
  operator: { claim: 'https://acme.example/groups', values: ['desk'] },
  viewer: { claim: 'email', values: ['vera@example.com'] },
};

describe('console: sign-in', () => {
  let broker: TestBroker;
  let provider: LocalProvider;
  let late = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + late };

  beforeAll(async () => {
    provider = await startProvider({
      clients: [],
      configuration: {
        conformIdTokenClaims: false,
        claims: {
          openid: ['sub', 'groups', 'https://acme.example/groups', 'sid'],
          profile: ['name'],
          email: ['email', 'email_verified'],
        },
        findAccount: (_, id) => ({
          accountId: id,
          claims: async (use) => ({
            sub: id,
            name: `<b>${id}</b>`,
            email: `${id}@example.com`,
            email_verified: true,
            ...(id === 'ute' && use === 'id_token'
              ? {}
              : { groups: /^(ada|ute)$/.test(id) ? ['all', 'ops'] : 'ops-not' }),
            'https://acme.example/groups': id === 'olga' || id === 'ada' ? ['desk'] : [],
          }),
        }),
      },
    });
    broker = await startTestBroker({}, { console: { integration: 'staff', roles: ROLES } }, { clock });
    const client = await provider.addClient([`${broker.url}/console/callback`]);
    const params = { issuer: provider.issuer };
    const setup = { provider: 'generic-oidc', client_id: client.clientId, client_secret: client.clientSecret, params };
    expect((await broker.ask('PUT', '/v1/integrations/staff', setup)).status).toBe(201);
  });
  afterAll(async () => {
    await broker?.stop();
    await provider?.close();
  });

  const link = async (role?: string) => (await broker.ask('POST', '/v1/console-links', role ? { role } : {})).body;
  async function signIn(user: string, browser = consoleBrowser(broker.url), to = '/console') {
    const entrance = await browser.get(to);
    expect(entrance.text).toContain('Sign in with');
    const start = /href="([^"]*sign-in\/start[^"]*)"/.exec(entrance.html)![1]!.replaceAll('&amp;', '&');
    const page = await browser.get(start);
    return { browser, page: await throughProvider(browser, page, user) };
  }
  /** Signs in and consents at the provider. */
  async function throughProvider(
    browser: ReturnType<typeof consoleBrowser>,
    page: Awaited<ReturnType<typeof browser.get>>,
    user: string,
  ) {
    let at = page;
    for (let n = 0; n < 3 && at.url.origin === provider.issuer; n++)
      at = await browser.post(at.url.href, { login: user, decision: 'allow' });
    return at;
  }

  it('a link signs in once, with its role, and shows a page before it does', async () => {
    const { url, id, role } = await link('viewer');
    expect([role, String(id).slice(0, 4)]).toEqual(['viewer', 'cse_']);
    const browser = consoleBrowser(broker.url);
    const home = await openLink(browser, url);
    expect([home.status, home.url.pathname]).toEqual([200, '/console']);
    expect(home.text).toContain('viewer');
    expect((await consoleBrowser(broker.url).get(new URL(String(url)).pathname)).text).toContain('opened before');
    const again = await consoleBrowser(broker.url).post(new URL(String(url)).pathname);
    expect(again.text).toContain('opened before');
  });

  it('a link of another site, or of a scanner, opens nothing', async () => {
    const { pathname } = new URL(String((await link()).url));
    const scanner = await fetch(new URL(pathname, broker.url), { method: 'HEAD' });
    expect(await scanner.text()).toBe('');
    const elsewhere = await consoleBrowser(broker.url).post(pathname, {}, { 'sec-fetch-site': 'cross-site' });
    expect(elsewhere.url.pathname).toBe('/console/sign-in');
    expect((await openLink(consoleBrowser(broker.url), `http://x${pathname}`)).status).toBe(200);
  });

  it('a caller makes links only of what it may do itself', async () => {
    const key = await broker.callerKey({ actions: ['admin', 'connections:read', 'audit:read'] });
    expect((await broker.ask('POST', '/v1/console-links', { role: 'viewer' }, key)).status).toBe(201);
    expect((await broker.ask('POST', '/v1/console-links', { role: 'operator' }, key)).status).toBe(403);
    expect((await broker.ask('POST', '/v1/console-links', {}, key)).status).toBe(403);
    const other = await broker.callerKey({ actions: ['token'] });
    expect((await broker.ask('POST', '/v1/console-links', { role: 'viewer' }, other)).status).toBe(403);
    expect((await broker.ask('GET', '/v1/console-sessions', undefined, other)).status).toBe(403);
  });

  it('a link and its session end with the caller that made it, and when it may no longer do what the role may', async () => {
    const full = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
    const { id, key } = (await broker.ask('POST', '/v1/callers', { name: 'leaver', grants: full })).body;
    const made = async () => (await broker.ask('POST', '/v1/console-links', {}, String(key))).body.url;
    const [browser, late] = [consoleBrowser(broker.url), new URL(String(await made())).pathname];
    await openLink(browser, await made());
    expect((await browser.get('/console')).url.pathname).toBe('/console');
    const change = (grants: object[]) => broker.ask('PUT', `/v1/callers/${id}`, { name: 'leaver', grants });
    expect((await change([{ ...full[0], actions: ['admin'] }])).status).toBe(200);
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');
    expect((await consoleBrowser(broker.url).get(late)).url.pathname).toBe('/console/sign-in');
    await change(full);
    expect((await browser.get('/console')).url.pathname).toBe('/console');
    await broker.ask('DELETE', `/v1/callers/${id}`);
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');
    expect((await consoleBrowser(broker.url).post(late)).url.pathname).toBe('/console/sign-in');
  });

  it('people sign in with the provider, with the highest role that a claim gives them', async () => {
    const { page } = await signIn('ada', undefined, '/console/nowhere?x=1');
    expect([page.status, page.url.pathname, page.url.search]).toEqual([404, '/console/nowhere', '?x=1']);
    expect(page.text).toContain('&lt;b&gt;ada&lt;/b&gt; admin');
    for (const [user, role] of [
      ['olga', 'operator'],
      ['vera', 'viewer'],
      // Her groups are in the userinfo response alone.
      ['ute', 'admin'],
    ] as const) {
      const { page: home } = await signIn(user);
      expect([home.status, home.text.includes(`&lt;/b&gt; ${role}`)]).toEqual([200, true]);
    }
    const { page: refused, browser } = await signIn('mallory');
    expect(refused.text).toContain('no role of the console is yours');
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');
    const { body } = await broker.ask('GET', '/v1/audit?limit=50');
    const entries = body.data as { action: string; actor: string; detail: string }[];
    expect(
      entries.some(
        ({ action, actor }) => action === 'console_session.opened' && actor === `user:ada@${provider.issuer}`,
      ),
    ).toBe(true);
    expect(
      entries.some(({ action, detail }) => action === 'console_session.refused' && detail.includes('user:mallory@')),
    ).toBe(true);
  });

  it('a response without the cookie of its flow, a second time, or too late signs no one in', async () => {
    const browser = consoleBrowser(broker.url);
    const forged = await browser.get('/console/callback?code=x&state=y');
    expect(forged.text).toContain('took too long, or began in another browser');
    const start = await fetch(new URL('/console/sign-in/start', broker.url), { redirect: 'manual' });
    const state = new URL(start.headers.get('location')!).searchParams.get('state')!;
    const stolen = await browser.get(`/console/callback?code=x&state=${state}`);
    expect(stolen.text).toContain('took too long, or began in another browser');
    expect(browser.cookies.size).toBe(0);
  });

  it('never leads to another site after the sign-in', async () => {
    for (const to of ['//evil.example/', '/\\evil.example', 'https://evil.example/', 'javascript:alert(1)']) {
      const page = await consoleBrowser(broker.url).get(`/console/sign-in?${new URLSearchParams({ to })}`);
      expect(page.html).not.toContain('evil');
      expect(page.html).not.toContain('alert');
    }
    // What no header can have would end the sign-in with an error page.
    const { page } = await signIn('vera', undefined, `/console/sign-in?${new URLSearchParams({ to: '/x\r\ny: z' })}`);
    expect([page.status, page.url.pathname]).toEqual([200, '/console']);
  });

  it('a sign-in gives the browser another secret, and ends the session before', async () => {
    const browser = consoleBrowser(broker.url);
    await openLink(browser, (await link()).url);
    const before = browser.cookies.get('valetkey-console')!;
    await openLink(browser, (await link()).url);
    expect(browser.cookies.get('valetkey-console')).not.toBe(before);
    const fixed = consoleBrowser(broker.url);
    fixed.cookies.set('valetkey-console', before);
    expect((await fixed.get('/console')).url.pathname).toBe('/console/sign-in');
  });

  it('sessions are listed and ended, end by sign-out, when idle, and after eight hours', async () => {
    const browser = consoleBrowser(broker.url);
    const { id, url } = await link();
    await openLink(browser, url);
    const listed = (await broker.ask('GET', '/v1/console-sessions')).body.data as { id: string }[];
    expect(listed.map((one) => one.id)).toContain(id);
    expect((await broker.ask('DELETE', `/v1/console-sessions/${id}`)).status).toBe(204);
    expect((await broker.ask('DELETE', `/v1/console-sessions/${id}`)).status).toBe(404);
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');

    await openLink(browser, (await link()).url);
    expect((await browser.post('/console/sign-out')).text).toContain('You are signed out.');
    expect(browser.cookies.size).toBe(0);

    await openLink(browser, (await link()).url);
    for (let ms = 0; ms < CONSOLE_SESSION_TTL_MS - CONSOLE_IDLE_MS; ms += CONSOLE_IDLE_MS - 1_000) {
      late += CONSOLE_IDLE_MS - 1_000;
      expect((await browser.get('/console')).url.pathname).toBe('/console');
    }
    late += CONSOLE_IDLE_MS - 1_000;
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');
    await openLink(browser, (await link()).url);
    late += CONSOLE_IDLE_MS;
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');
    // A page that looks again by itself is no one who is there.
    await openLink(browser, (await link()).url);
    const script = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' };
    for (let n = 0; n < 2; n++) {
      late += CONSOLE_IDLE_MS / 2 - 1_000;
      expect((await browser.get('/console', { headers: script })).url.pathname).toBe('/console');
    }
    late += 2_000;
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');
    const old = await link();
    late += CONSOLE_LINK_TTL_MS;
    expect((await browser.get(new URL(String(old.url)).pathname)).text).toContain('ten minutes are over');
  });

  it('a form without its token, with that of another session, or from another site changes nothing', async () => {
    const [mine, other] = [consoleBrowser(broker.url), consoleBrowser(broker.url)];
    await openLink(mine, (await link()).url);
    const page = await openLink(other, (await link()).url);
    const theirs = /name="form_token" value="([^"]+)"/.exec(page.html)![1]!;
    for (const [fields, headers] of [
      [{ form_token: '' }, {}],
      [{ form_token: theirs }, {}],
      [{ form_token: 'é'.repeat(theirs.length) }, {}],
      [{}, { 'sec-fetch-site': 'cross-site' }],
      [{}, { 'sec-fetch-site': 'same-site' }],
      [{}, { 'content-type': 'text/plain' }],
      [{ much: 'x'.repeat(300_000) }, { connection: 'close' }],
    ] as [Record<string, string>, Record<string, string>][]) {
      const refused = await mine.post('/console/sign-out', fields, headers);
      expect([refused.status, refused.text.includes('not valid any more')]).toEqual([403, true]);
    }
    expect((await mine.get('/console')).url.pathname).toBe('/console');
  });

  it('who is asked to sign in again has to be the same, and comes back to where they were', async () => {
    late = 0;
    const { browser } = await signIn('ada');
    const before = browser.cookies.get('valetkey-console');
    browser.forget(provider.issuer);
    const asked = await browser.get('/console/sign-in/again?to=/connections');
    expect(asked.url.origin).toBe(provider.issuer);
    const other = await throughProvider(browser, asked, 'olga');
    expect(other.text).toContain('someone else than who is signed in here');
    expect(other.url.searchParams.get('to')).toBe('/connections');
    expect(browser.cookies.get('valetkey-console')).toBe(before);
    browser.forget(provider.issuer);
    const again = await throughProvider(browser, await browser.get('/console/sign-in/again?to=/nowhere'), 'ada');
    expect(again.url.pathname).toBe('/console/nowhere');
    expect(browser.cookies.get('valetkey-console')).not.toBe(before);
  });

  it('who came by a link is asked for another link, not for a sign-in that cannot be theirs', async () => {
    const browser = consoleBrowser(broker.url);
    await openLink(browser, (await link()).url);
    const asked = await browser.get('/console/sign-in/again?to=/connections');
    expect([asked.url.pathname, asked.text.includes('You came with a link: make another one')]).toEqual([
      '/console/sign-in',
      true,
    ]);
    expect((await browser.get('/console')).url.pathname).toBe('/console');
  });

  it('a sign-in that is cancelled at the provider can be tried again, and leads to where it was to lead', async () => {
    const browser = consoleBrowser(broker.url);
    let page = await browser.get('/console/sign-in/start?to=/audit');
    for (let n = 0; n < 3 && page.url.origin === provider.issuer; n++)
      page = await browser.post(page.url.href, { login: 'ada', decision: 'cancel' });
    expect(page.text).toContain('cancelled at the provider');
    expect(page.html).toContain('/console/sign-in/start?to=%2Faudit');
  });

  it.each([
    ['temporarily_unavailable', 'does not answer now'],
    ['unauthorized_client', 'cannot be accepted'],
  ])('a provider that answers a sign-in with %s has not been cancelled at', async (error, said) => {
    const browser = consoleBrowser(broker.url);
    const start = await fetch(new URL('/console/sign-in/start', broker.url), { redirect: 'manual' });
    const [cookie = ''] = start.headers.getSetCookie()[0]!.split(';');
    const state = new URL(start.headers.get('location')!).searchParams.get('state')!;
    const response = new URLSearchParams({ state, error, iss: provider.issuer });
    const page = await browser.get(`/console/callback?${response}`, { headers: { cookie } });
    expect(page.text).toContain(said);
  });

  it('sign-ins that are begun in any number leave a few cookies, and the newest one works', async () => {
    const browser = consoleBrowser(broker.url);
    const started = () => [...browser.cookies.keys()].filter((name) => name.startsWith('valetkey-sign-in-')).length;
    for (let n = 0; n < 12; n++) await browser.get('/console/sign-in/start');
    expect(started()).toBe(6);
    const page = await throughProvider(browser, await browser.get('/console/sign-in/start?to=/audit'), 'ada');
    expect([page.url.pathname, started()]).toEqual(['/console/audit', 5]);
  });

  it('a second click on the button of a link, before the first answer has come, signs in too, and only there', async () => {
    const { pathname } = new URL(String((await link()).url));
    const browser = consoleBrowser(broker.url);
    const { html } = await browser.get(pathname);
    const page = /name="page" value="([\w-]{43})"/.exec(html)![1]!;
    // The browser drops the first answer, with its cookie.
    const clicks = [consoleBrowser(broker.url), consoleBrowser(broker.url), browser];
    const [first, second] = await Promise.all(clicks.slice(0, 2).map((one) => one.post(pathname, { page })));
    const third = await browser.post(pathname, { page });
    expect([first, second, third].map((one) => one!.url.pathname)).toEqual(Array(3).fill('/console'));
    const elsewhere = await consoleBrowser(broker.url).post(pathname, { page: 'A'.repeat(43) });
    expect(elsewhere.text).toContain('opened before');
    await browser.post('/console/sign-out');
    expect((await browser.post(pathname, { page })).text).toContain('opened before');
  });

  it('a session ends when another provider signs in', async () => {
    late = 0;
    const { browser } = await signIn('ada');
    expect((await browser.get('/console')).url.pathname).toBe('/console');
    const setup = (await broker.ask('GET', '/v1/integrations/staff')).body;
    const put = (issuer: string) => {
      const { provider: of, client_id } = setup;
      const body = { provider: of, client_id, client_secret: randomBytes(16).toString('hex'), params: { issuer } };
      return broker.ask('PUT', '/v1/integrations/staff', body);
    };
    const other = await startProvider();
    expect((await put(other.issuer)).status).toBe(200);
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');
    expect((await put(provider.issuer)).status).toBe(200);
    expect((await browser.get('/console')).url.pathname).toBe('/console');
    await other.close();
  });

  it('the pages allow our own script and stylesheet alone, and are not cached or framed', async () => {
    const browser = consoleBrowser(broker.url);
    const { headers } = await openLink(browser, (await link()).url);
    const policy = headers.get('content-security-policy')!;
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      "connect-src 'self'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ])
      expect(policy).toContain(rule);
    expect(headers.get('cache-control')).toBe('no-store');
    for (const [path, type] of [
      ['console.css', 'text/css'],
      ['console.js', 'text/javascript'],
    ])
      expect((await fetch(`${broker.url}/assets/${path}`)).headers.get('content-type')).toContain(type);
  });
});
