// What browsers do besides following one link once: previews, reloads, Stop, the back button, several links, other sites' forms.
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type CookieJar, createCookieJar } from '../../../demo/browser.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import {
  callbackWithConsent,
  connectionOf,
  createConnectSession,
  expectErrorPage,
  formOf,
  newOwner,
  openLink,
  putIntegration,
  queryDatabase,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const RETURN_URL = 'https://app.example/done';

let broker: TestBroker;
let provider: ScriptedServer;
/** Whether the token endpoint answers yet. */
let gate: Promise<void> = Promise.resolve();
let issued = 0;

beforeAll(async () => {
  provider = await startScriptedServer(async () => {
    await gate;
    return {
      body: { access_token: `at-${++issued}`, token_type: 'Bearer', refresh_token: `rt-${issued}`, expires_in: 3_600 },
    };
  });
  broker = await startTestBroker({ VALETKEY_APP_NAME: 'Blue & Co' });
  for (const id of ['acme', 'other'])
    await putIntegration(broker, id, {
      provider: 'generic-oauth2',
      client_id: 'client',
      client_secret: 'client-secret',
      params: { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` },
      return_origins: ['https://app.example'],
    });
});
afterAll(() => Promise.all([broker.stop(), provider.close()]));

/** As a browser sends it: `fetch` of Node would add headers of its own. */
async function send(
  url: string,
  headers: Record<string, string>,
  method: 'GET' | 'HEAD' | 'POST' = 'GET',
  form?: Record<string, string>,
) {
  const type = form && { 'content-type': 'application/x-www-form-urlencoded' };
  const body = form && new URLSearchParams(form).toString();
  const answer = await request(url, { method, headers: { ...headers, ...type }, ...(body !== undefined && { body }) });
  await answer.body.text();
  return { status: answer.statusCode, cookie: answer.headers['set-cookie'], location: answer.headers.location };
}
const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'cross-site' };

const isBound = (id: string): boolean =>
  queryDatabase<{ browser_digest: string | null }>(
    broker,
    'select browser_digest from connect_sessions where id = ?',
    id,
  )[0]?.browser_digest !== null;

test.each([
  ['server_error', 503, 'Wait a few minutes'],
  ['temporarily_unavailable', 503, 'Wait a few minutes'],
  ['unauthorized_client', 502, 'You may not have the necessary permissions'],
])(
  'a provider that answers %s: the page says whether to wait, and the session has the code',
  async (code, status, advice) => {
    const { url, id } = await createConnectSession(broker);
    const jar = createCookieJar();
    const state = new URL((await openLink(url, jar)).location ?? '').searchParams.get('state')!;
    const callback = `${broker.url}/oauth2/callback/acme?${new URLSearchParams({ state, error: code })}`;
    const page = await visit(callback, jar);
    expect([page.status, page.text.includes(advice)]).toEqual([status, true]);
    expect(await sessionOf(broker, { id, url })).toMatchObject({ status: 'failed', error: code });
  },
);

const NO_COOKIE = 'Allow cookies for this site';

test.each([
  ['a link', {}, {}],
  [
    'a link with a choice',
    { integration: undefined, integrations: ['acme', 'other'] },
    { 'chosen-integration': 'acme' },
  ],
])('a browser that keeps no cookies is told so by %s, which still works', async (_, wanted, choice) => {
  const { url, id } = await createConnectSession(broker, wanted);
  const first = await visit(url);
  expect(first.text).not.toContain(NO_COOKIE);
  const again = await visit(url, createCookieJar(), { form: { ...formOf(first), ...choice } });
  expect([again.status, again.text.includes(NO_COOKIE), isBound(id)]).toEqual([400, true, false]);
  // A form of another site has no cookie either: nothing is wrong with the browser.
  const elsewhere = await visit(url, createCookieJar(), { form: formOf(first), headers: NAVIGATION });
  expect([elsewhere.status, elsewhere.text.includes(NO_COOKIE)]).toEqual([400, false]);
  const jar = createCookieJar();
  expect((await visit(url, jar, { form: { ...formOf(await visit(url, jar)), ...choice } })).status).toBe(303);
});

/** Confirms the link's page, consents, and returns the callback's URL. */
async function consent(url: string, jar: CookieJar): Promise<string> {
  const page = await openLink(url, jar);
  expect(page.location, page.text).toMatch(`${provider.url}/authorize`);
  return callbackWithConsent(page.location);
}

describe('the page of a connect link', () => {
  test('says which app asks, for whom and where, and never the owner id', async () => {
    const owner = newOwner();
    const { url } = await createConnectSession(broker, { owner, display_owner: 'Ada <Lovelace>' });
    const page = await visit(url);
    expect([page.status, page.location]).toEqual([200, null]);
    for (const text of ['Blue &amp; Co', 'Ada &lt;Lovelace&gt;', 'If someone sent you this link'])
      expect(page.text).toContain(text);
    expect(page.text).not.toContain(owner);
    expect(page.text.match(/<form/g)).toHaveLength(1);
    expect(page.text).not.toContain('<script');
  });

  test('is left out for a two-phase session, and opening that binds no browser', async () => {
    const { id, url } = await createConnectSession(broker, { finish: true, return_url: RETURN_URL });
    for (const headers of [{}, NAVIGATION]) {
      const answer = await send(url, headers);
      expect(answer.status).toBe(302);
      expect(answer.location).toMatch(`${provider.url}/authorize`);
      expect(isBound(id)).toBe(false);
    }
    const [first, second] = [createCookieJar(), createCookieJar()];
    const callback = callbackWithConsent((await visit(url, first)).location);
    const late = callbackWithConsent((await visit(url, second)).location);
    expect((await visit(callback, first)).status).toBe(303);
    expect(isBound(id)).toBe(true);
    expect((await visit(late, second)).status).toBeGreaterThanOrEqual(400);
  });

  test.each([
    ['another site posts its form', (_: Record<string, string>) => ({})],
    ['a token is made up', () => ({ 'form-token': 'a'.repeat(64) })],
    ['the token is of a page that another browser was shown', (shown: Record<string, string>) => shown],
  ])('when %s: nothing is bound, and the page is shown', async (_, forge) => {
    const { id, url } = await createConnectSession(broker);
    const attacker = formOf(await visit(url));
    const victim = createCookieJar();
    await visit(url, victim);
    for (const jar of [createCookieJar(), victim]) {
      const page = await visit(url, jar, { form: forge(attacker) });
      expect([page.status, page.location]).toEqual([400, null]);
      expect(page.text).toContain('If someone sent you this link');
    }
    expect(isBound(id)).toBe(false);
  });

  test('when another page of the same site posts its form: nothing is bound', async () => {
    const { id, url } = await createConnectSession(broker);
    const jar = createCookieJar();
    const form = formOf(await visit(url, jar));
    const headers = { ...NAVIGATION, cookie: jar.header(new URL(url)) ?? '' };
    const post = (more: Record<string, string>) => send(url, { ...headers, ...more }, 'POST', form);
    for (const site of ['same-site', 'cross-site']) expect((await post({ 'sec-fetch-site': site })).status).toBe(400);
    expect(isBound(id)).toBe(false);
    expect((await post({ 'sec-fetch-site': 'same-origin' })).status).toBe(303);
  });

  test('its token is good for its own session only', async () => {
    const jar = createCookieJar();
    const [mine, other] = [await createConnectSession(broker), await createConnectSession(broker)];
    const form = formOf(await visit(mine.url, jar));
    await visit(other.url, jar);
    expect((await visit(other.url, jar, { form })).location).toBeNull();
    expect(isBound(other.id)).toBe(false);
  });
});

describe('a link that is opened by something else than a person', () => {
  test.each([
    ['a prefetch', { ...NAVIGATION, 'sec-purpose': 'prefetch' }],
    ['a prerendering', { ...NAVIGATION, 'sec-purpose': 'prefetch;prerender' }],
    ['a prefetch of an old browser', { purpose: 'prefetch' }],
    ['a preview of Safari', { 'x-purpose': 'preview' }],
    ['an image', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image', 'sec-fetch-site': 'cross-site' }],
    ['a frame', { ...NAVIGATION, 'sec-fetch-dest': 'iframe' }],
    ['a script', { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'cross-site' }],
  ])('%s is refused, and gets no cookie', async (_, headers) => {
    for (const finish of [false, true]) {
      const { id, url } = await createConnectSession(broker, { finish, return_url: RETURN_URL });
      const answer = await send(url, headers);
      expect([answer.status, answer.cookie, answer.location]).toEqual([403, undefined, undefined]);
      expect(isBound(id)).toBe(false);
      expect(queryDatabase(broker, 'select 1 from flows where session_id = ?', id)).toEqual([]);
    }
  });

  test.each([
    ['a script', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'same-site' }],
    ['a form in a frame', { ...NAVIGATION, 'sec-fetch-dest': 'iframe', 'sec-fetch-site': 'same-site' }],
  ])('%s that posts the form of a link is refused, and pushes out no cookie', async (_, headers) => {
    const { url } = await createConnectSession(broker);
    const answer = await send(url, headers, 'POST', { 'form-token': 'x' });
    expect([answer.status, answer.cookie]).toEqual([403, undefined]);
  });

  test('a mail scanner, with HEAD and GET: the link still works for its reader', async () => {
    const invited = await createConnectSession(broker);
    for (const method of ['HEAD', 'GET', 'GET'] as const) await send(invited.url, { 'user-agent': 'scanner' }, method);
    expect(isBound(invited.id)).toBe(false);
    const jar = createCookieJar();
    expect((await visit(await consent(invited.url, jar), jar)).status).toBe(200);
  });

  test('a prefetch of the callback spends nothing', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const callback = await consent(invited.url, jar);
    const cookie = jar.header(new URL(callback)) ?? '';
    expect((await send(callback, { ...NAVIGATION, 'sec-purpose': 'prefetch', cookie })).status).toBe(403);
    expect((await send(callback, { cookie }, 'HEAD')).status).toBe(200);
    expect((await visit(callback, jar)).status).toBe(200);
  });
});

describe('several links', () => {
  test('opened at once in a new browser all succeed', async () => {
    const jar = createCookieJar();
    const invited = await Promise.all([1, 2, 3].map(() => createConnectSession(broker)));
    const pages = await Promise.all(invited.map(({ url }) => visit(url, jar)));
    const begun = await Promise.all(invited.map(({ url }, i) => visit(url, jar, { form: formOf(pages[i]!) })));
    const ends = await Promise.all(begun.map(({ location }) => visit(callbackWithConsent(location), jar)));
    expect(ends.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  test('the same two-phase link opened twice at once in a new browser: either tab comes back', async () => {
    const { url } = await createConnectSession(broker, { finish: true, return_url: RETURN_URL });
    const jar = createCookieJar();
    const tabs = await Promise.all([visit(url, jar), visit(url, jar)]);
    expect((await visit(callbackWithConsent(tabs[0]!.location), jar)).status).toBe(303);
  });

  test('leave few cookies, and the newest ones work', async () => {
    const jar = createCookieJar();
    for (let i = 0; i < 20; i++) await visit((await createConnectSession(broker)).url, jar);
    const invited = await createConnectSession(broker);
    const callback = await consent(invited.url, jar);
    expect(jar.header(new URL(callback))?.split('; ').length).toBeLessThanOrEqual(12);
    expect((await visit(callback, jar)).status).toBe(200);
  });
});

describe('Stop, and a second click', () => {
  test('on the link or its button do not burn it', async () => {
    const invited = await createConnectSession(broker);
    // Answers of stopped requests are never read: no cookie of theirs is kept.
    await visit(invited.url, createCookieJar());
    const jar = createCookieJar();
    const form = formOf(await visit(invited.url, jar));
    const cookie = jar.header(new URL(invited.url)) ?? '';
    const clicks = await Promise.all(
      [1, 2].map(() => visit(invited.url, createCookieJar(), { form, headers: { cookie } })),
    );
    expect(clicks.map(({ status }) => status)).toEqual([303, 303]);
    expect((await visit(callbackWithConsent((await openLink(invited.url, jar)).location), jar)).status).toBe(200);
  });

  test.each([
    ['of a session without return_url', undefined],
    ['of one with a return_url', RETURN_URL],
  ])('while the code is exchanged, %s: the reload shows the outcome', async (_, return_url) => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker, { ...(return_url && { return_url }) });
    const callback = await consent(invited.url, jar);
    let open = () => {};
    gate = new Promise((opened) => {
      open = opened;
    });
    const before = provider.received.length;
    const stop = new AbortController();
    const headers = { cookie: jar.header(new URL(callback)) ?? '' };
    const stopped = fetch(callback, { headers, signal: stop.signal, redirect: 'manual' }).catch(() => undefined);
    await vi.waitUntil(() => provider.received.length > before, { timeout: 30_000 });
    stop.abort();
    await stopped;
    const reloaded = visit(callback, jar);
    open();
    const page = await reloaded;
    const { id } = await connectionOf(broker, invited);
    if (return_url) {
      const end = { status: 'success', connect_session_id: invited.id, connection_id: id };
      expect(Object.fromEntries(new URL(page.location ?? '').searchParams)).toEqual(end);
    } else expect([page.status, page.text.includes('is connected')]).toEqual([200, true]);
    expect(provider.received.length).toBe(before + 1);
  });
});

describe('the end of the flow', () => {
  async function finished(wanted: Record<string, unknown> = {}) {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker, wanted);
    const callback = await consent(invited.url, jar);
    const answer = await send(callback, { cookie: jar.header(new URL(callback)) ?? '' });
    return { jar, invited, callback, answer, page: new URL(String(answer.location), callback).href };
  }

  test('is a page of its own: code and state leave the address bar', async () => {
    const { answer, page, jar } = await finished();
    expect(answer.status).toBe(303);
    expect(new URL(page).search).toBe('');
    for (const _ of ['first', 'reloaded', 'restored']) {
      const shown = await visit(page, jar);
      expect([shown.status, shown.text.includes('is connected')]).toEqual([200, true]);
    }
  });

  test('is shown to its own browser only', async () => {
    const { page } = await finished();
    const stranger = createCookieJar();
    await visit((await createConnectSession(broker)).url, stranger);
    for (const jar of [createCookieJar(), stranger])
      expectErrorPage(await visit(page, jar), 410, 'invitation_used', page);
    const unknown = `${broker.url}/connect/sessions/cs_unknown`;
    expectErrorPage(await visit(unknown), 410, 'invitation_used', unknown);
  });

  test('is found again by the link: at return_url, as it was', async () => {
    const { invited, jar } = await finished({ return_url: RETURN_URL });
    expect((await visit(invited.url, jar)).location).toMatch(
      /\?status=success&connect_session_id=cs_\w+&connection_id=con_/,
    );
    const other = new URL((await visit(invited.url)).location ?? '');
    expect(Object.fromEntries(other.searchParams)).toEqual({
      status: 'error',
      connect_session_id: invited.id,
      error: 'invitation_used',
    });
  });

  test('of an expired link is at return_url', async () => {
    const invited = await createConnectSession(broker, { return_url: RETURN_URL });
    queryDatabase(broker, 'update connect_sessions set expires_at = ? where id = ?', Date.now() - 1, invited.id);
    for (const form of [undefined, { 'form-token': 'x' }])
      expect((await visit(invited.url, createCookieJar(), form && { form })).location).toBe(
        `${RETURN_URL}?status=error&connect_session_id=${invited.id}&error=invitation_expired`,
      );
  });

  test('after a refusal has an error status, and moves on to its page', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const callback = (await consent(invited.url, jar)).replace('code=c0de', 'error=access_denied');
    const page = await visit(callback, jar);
    expectErrorPage(page, 403, 'access_denied', callback);
    expect(page.headers.get('refresh')).toBe(`0; url=/connect/sessions/${invited.id}`);
    for (const url of [`${broker.url}/connect/sessions/${invited.id}`, callback])
      expectErrorPage(await visit(url, jar), 403, 'access_denied', url);
  });
});

describe("vendors' own words", () => {
  test.each(['user_cancelled_login', 'user_cancelled_authorize', 'user_denied', 'User-Cancelled'])(
    '(%s) for cancelling are a cancellation',
    async (error) => {
      const jar = createCookieJar();
      const invited = await createConnectSession(broker);
      const callback = (await consent(invited.url, jar)).replace('code=c0de', `error=${error}`);
      expectErrorPage(await visit(callback, jar), 403, 'access_denied', callback);
      expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'access_denied' });
    },
  );

  test('an error without state is counted', async () => {
    const url = `${broker.url}/oauth2/callback/acme?error=unauthorized_client&error_description=no`;
    expectErrorPage(await visit(url), 400, 'invalid_state', url);
    await visit(`${broker.url}/oauth2/callback/nobody?error=unauthorized_client`);
    const metrics = await (await fetch(`${broker.url}/metrics`)).text();
    expect(metrics).toMatch(/valetkey_connect\w*\{[^}]*integration="acme"[^}]*outcome="error_without_flow"[^}]*\} 1/);
    expect(metrics).not.toContain('nobody');
  });
});

describe('an authorization response that is posted (form_post)', () => {
  async function posted(integration = 'acme') {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const callback = new URL(await consent(invited.url, jar));
    const form = Object.fromEntries(callback.searchParams);
    // The browser sends no SameSite=Lax cookie with a cross-site post.
    const answer = await visit(`${broker.url}/oauth2/callback/${integration}`, createCookieJar(), { form });
    return { jar, invited, form, answer };
  }

  test('connects; the code is in no URL', async () => {
    const { jar, invited, form, answer } = await posted();
    expect(answer.status).toBe(303);
    for (const secret of [form.code, form.state]) expect(answer.location).not.toContain(secret);
    const to = new URL(answer.location ?? '', broker.url);
    for (const _ of ['first', 'reloaded']) expect((await visit(to, jar)).status).toBe(200);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'completed' });
  });

  test('is refused in another browser, at another integration, and when it was changed', async () => {
    const { jar, invited, answer } = await posted();
    const to = new URL(answer.location ?? '', broker.url);
    expectErrorPage(await visit(to), 403, 'other_browser', to);
    const elsewhere = new URL(to.href.replace('/acme', '/other'));
    expectErrorPage(await visit(elsewhere, jar), 400, 'invalid_state', elsewhere);
    const changed = new URL(to);
    changed.searchParams.set('form_post', `${to.searchParams.get('form_post')?.slice(0, -4)}AAAA`);
    expectErrorPage(await visit(changed, jar), 400, 'invalid_state', changed);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'pending' });
    expect((await visit(to, jar)).status).toBe(200);
  });

  test.each([
    ['as JSON', 'application/json', '{"state":"x"}', 400],
    ['much too long', 'application/x-www-form-urlencoded', `state=x&code=${'a'.repeat(20_000)}`, 400],
    ['without state', 'application/x-www-form-urlencoded', 'code=x', 400],
    ['of a forged state', 'application/x-www-form-urlencoded', 'code=x&state=y', 303],
  ])('%s: status %s', async (_, type, body, status) => {
    const page = await visit(`${broker.url}/oauth2/callback/acme`, createCookieJar(), {
      headers: { 'content-type': type },
      body,
    });
    expect(page.status).toBe(status);
    if (page.location) expect((await visit(new URL(page.location, broker.url))).status).toBeGreaterThanOrEqual(400);
  });
});
