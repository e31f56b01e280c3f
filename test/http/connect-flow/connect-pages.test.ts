// Connect pages that are the customer's own: languages, themes, the choice of an integration, credentials that are checked before
// they are stored, and the last page of a pop-up.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { codeMode, entry } from '../../support/entries.ts';
import {
  callbackWithConsent,
  connectionsOf,
  createConnectSession,
  expectErrorPage,
  formOf,
  newOwner,
  type Page,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const PNG = `data:image/png;base64,${Buffer.from('\x89PNG\r\n\x1a\nrest', 'latin1').toString('base64')}`;
const RETURN = 'http://127.0.0.1:9/done';

let vendor: ScriptedServer;
let broker: TestBroker;
let folder: string;
/** What the vendor's API answers to a key. */
let api: (key: string) => ScriptedResponse;

beforeAll(async () => {
  vendor = await startScriptedServer(({ path, headers }) =>
    path === '/token'
      ? { body: { access_token: 'at', token_type: 'Bearer', expires_in: 3_600 } }
      : api(String(headers['x-api-key'] ?? headers.authorization)),
  );
  folder = mkdtempSync(join(tmpdir(), 'valetkey-pages-'));
  const acme = entry('acme', {
    name: 'Acme <Cloud>',
    auth: [
      codeMode({ authorization_url: `${vendor.url}/authorize`, token_url: `${vendor.url}/token` }),
      {
        mode: 'api_key',
        send: { in: 'header', name: 'X-Api-Key', prefix: '' },
        help_url: 'https://acme.test/keys',
        credentials: { api_key: { title: 'API key', pattern: 'key_[a-z0-9_]+' } },
        connection_params: { region: { title: 'Region', pattern: '[a-z]{2}', example: 'eu', optional: true } },
      },
      { mode: 'basic' },
    ],
    api_base_url: `${vendor.url}/v1`,
    api: { whoami: [{ path: '/me', account: 'id', only: ['api_key', 'basic'] }] },
  });
  writeFileSync(join(folder, 'acme.json'), JSON.stringify(acme));
  const theme = { name: 'Blue Ltd', accent_light: '#00529b', radius: 4 };
  broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: folder }, { theme }, { refreshAhead: false });
  const client = { client_id: 'c', client_secret: 's' };
  const set = async (id: string, setup: object) =>
    expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, setup), 201);
  await set('acme', { provider: 'acme', ...client });
  await set('keys', { provider: 'acme', params: { mode: 'api_key' } });
  await set('basic', { provider: 'acme', params: { mode: 'basic' } });
});
afterAll(async () => {
  await broker?.stop();
  await vendor.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  vendor.received.length = 0;
  api = (key) => (key === 'key_good' ? { body: { id: 'u1' } } : { status: 401, body: {} });
});

const invite = (wanted: Json) => createConnectSession(broker, { ...wanted });
const refusedSession = (wanted: Json) => broker.ask('POST', '/v1/connect-sessions', { owner: newOwner(), ...wanted });
const languageOf = ({ text }: Pick<Page, 'text'>) => /<html lang="([^"]+)" dir="ltr">/.exec(text)?.[1];

describe('the language of the pages', () => {
  test.each([
    ['de', undefined, 'de', 'Verbinden Sie Ihr'],
    ['xx fr-CA', 'ja', 'fr', 'Connectez votre compte'],
    [undefined, 'pt-PT;q=0.4, es;q=0.9, en;q=0.8', 'es', 'Conecte su cuenta'],
    [undefined, 'pt, en;q=0.5', 'pt-BR', 'Conecte sua conta'],
    [undefined, 'nl, ja-JP;q=0.7, en;q=0', 'ja', 'に連携します'],
    [undefined, 'nl', 'en', 'Connect your'],
  ])('ui_locales %s, Accept-Language %s: %s', async (ui_locales, accept, lang, words) => {
    const { url } = await invite({ integration: 'acme', ...(ui_locales && { ui_locales }) });
    const page = await visit(url, undefined, accept ? { headers: { 'accept-language': accept } } : {});
    expect(languageOf(page)).toBe(lang);
    expect(page.text).toContain(words);
    expect(page.text).not.toMatch(/\{(app|provider|owner)\}/);
  });

  test('holds for the page of an error, and of a link that no one knows', async () => {
    const { id, url } = await invite({ integration: 'acme', ui_locales: 'de' });
    await broker.ask('DELETE', `/v1/connect-sessions/${id}`);
    const over = await visit(url);
    expect(languageOf(over)).toBe('de');
    expectErrorPage(over, 410, 'invitation_cancelled', url);
    const unknown = await visit(`${broker.url}/connect/none`, undefined, { headers: { 'accept-language': 'fr' } });
    expect(languageOf(unknown)).toBe('fr');
  });

  test('ui_locales that are no language tags: 400', async () => {
    expectIssues(await refusedSession({ integration: 'acme', ui_locales: 'de,en' }), 'ui_locales');
  });
});

describe('themes', () => {
  const stylesheetOf = ({ text }: Page) => /href="(\/assets\/theme-[0-9a-f]+\.css)"/.exec(text)?.[1];

  test("that of the deployment: its name, its colours in a stylesheet that can be kept, and the page's policy", async () => {
    const page = await visit((await invite({ integration: 'acme' })).url);
    expect(page.text).toContain('Connect your Acme &lt;Cloud&gt; account to Blue Ltd</h1>');
    expect(page.headers.get('content-security-policy')).toContain("img-src 'self' data:");
    const css = await fetch(new URL(stylesheetOf(page)!, broker.url));
    expect(css.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(css.headers.get('content-type')).toBe('text/css; charset=utf-8');
    expect(await css.text()).toContain('--brand:#00529b;--on-brand:#ffffff');
  });

  test('that of an integration is over it: another stylesheet, with its logo; without it, what was is again', async () => {
    const setup = { provider: 'acme', client_id: 'c', client_secret: 's' };
    const theme = { name: 'Red Ltd', logo: PNG, accent_dark: '#FFB3A7' };
    const saved = expectOk(await broker.ask('PUT', '/v1/integrations/acme', { ...setup, theme }));
    expect(saved.theme).toEqual({ ...theme, accent_dark: '#ffb3a7' });
    const { url } = await invite({ integration: 'acme' });
    const page = await visit(url);
    expect(page.text).toContain('to Red Ltd</h1>');
    expect(page.text).toContain(`<img class="logo" src="${PNG}" alt="">`);
    const css = await (await fetch(new URL(stylesheetOf(page)!, broker.url))).text();
    expect(css).toContain('--radius:4px');
    expect(css).toContain('--brand:#ffb3a7');
    const plain = expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup));
    expect(plain.theme).toBeNull();
    expect((await visit(url)).text).toContain('to Blue Ltd</h1>');
  });

  test('a stylesheet that no theme has: 404', async () => {
    const missing = await fetch(`${broker.url}/assets/theme-00000000000000000000.css`);
    expect(missing.status).toBe(404);
  });

  test.each<[string, Json, string, RegExp]>([
    ['a pale accent', { accent_light: '#ffe000' }, 'theme.accent_light', /1\.\d+:1, .*4\.5:1/],
    ['a dark accent in the dark scheme', { accent_dark: '#0f5a47' }, 'theme.accent_dark', /choose a lighter colour/],
    ['a logo elsewhere', { logo: 'https://acme.test/logo.png' }, 'theme.logo', /data URL/],
    ['a logo that is no PNG', { logo: 'data:image/png;base64,PHN2Zz4=' }, 'theme.logo', /no png/],
    ['a script for a logo', { logo: 'data:text/html;base64,PHN2Zz4=' }, 'theme.logo', /data URL/],
    ['a round corner beyond measure', { radius: 25 }, 'theme.radius', /./],
    ['a name that turns the text', { name: 'Acme\u202eemca' }, 'theme.name', /control/],
  ])('%s: 400, and why', async (_, theme, path, why) => {
    const answer = await broker.ask('PUT', '/v1/integrations/acme', { provider: 'acme', client_id: 'c', theme });
    expectIssues(answer, path);
    expect(JSON.stringify(answer.body.issues)).toMatch(why);
  });
});

describe('a session of several integrations', () => {
  /** `integration`: not the default of the helpers. */
  const several = { integration: undefined, integrations: ['acme', 'keys'] };

  test('shows the choices; the chosen one is what it becomes', async () => {
    const owner = newOwner();
    const jar = createCookieJar();
    const { id, url } = await invite({ ...several, owner, display_owner: 'Ada' });
    expect(await sessionOf(broker, { id, url })).toMatchObject({ integration: null, integrations: ['acme', 'keys'] });
    const page = await visit(url, jar);
    expect(page.status).toBe(200);
    expect(page.text.match(/name="chosen-integration" value="[a-z]+"/g)).toHaveLength(2);
    expect(page.text).toContain('<bdi>Acme &lt;Cloud&gt; (keys)</bdi>');
    expect(page.text).toContain('on behalf of <strong><bdi>Ada</bdi></strong>');
    const chosen = await visit(url, jar, { form: { ...formOf(page), 'chosen-integration': 'acme' } });
    expect(chosen.location).toMatch(new RegExp(`^${vendor.url}/authorize`));
    expect(await sessionOf(broker, { id, url })).toMatchObject({ integration: 'acme', status: 'pending' });
    const done = await visit(callbackWithConsent(chosen.location), jar);
    expect(done.text).toContain('account is connected');
    expect(await connectionsOf(broker, owner)).toMatchObject([{ integration: 'acme', status: 'active' }]);
  });

  test('the owner may choose again; what was begun before leads nowhere', async () => {
    const owner = newOwner();
    const jar = createCookieJar();
    const { id, url } = await invite({ ...several, owner });
    const form = formOf(await visit(url, jar));
    const first = await visit(url, jar, { form: { ...form, 'chosen-integration': 'acme' } });
    const blank = await visit(url, jar, { form: { ...form, 'chosen-integration': 'keys' } });
    expect(blank.status).toBe(200);
    expect(blank.text).not.toMatch(/aria-invalid|role="alert"/);
    const entered = { ...formOf(blank), 'credential-api_key': 'key_good' };
    expect((await visit(url, jar, { form: entered })).text).toContain('account is connected');
    expect(await sessionOf(broker, { id, url })).toMatchObject({ integration: 'keys', status: 'completed' });
    expectErrorPage(await visit(callbackWithConsent(first.location), jar), 400, 'invalid_state', url);
    expect(await connectionsOf(broker, owner)).toMatchObject([{ integration: 'keys' }]);
  });

  test('a choice that is not offered, a form without its token and one of another site: the choices again', async () => {
    const { id, url } = await invite(several);
    const jar = createCookieJar();
    const form = formOf(await visit(url, jar));
    const other = await visit(url, jar, { form: { ...form, 'chosen-integration': 'basic' } });
    expect([other.status, other.text.includes('Where is your account?')]).toEqual([400, true]);
    const unknown = await visit(url, jar, { form: { 'chosen-integration': 'acme' } });
    expect([unknown.status, unknown.location]).toEqual([400, null]);
    const crossSite = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    const forged = await visit(url, jar, { form: { ...form, 'chosen-integration': 'acme' }, headers: crossSite });
    expect([forged.status, forged.location]).toEqual([400, null]);
    expect(await sessionOf(broker, { id, url })).toMatchObject({ integration: null, status: 'pending' });
  });

  test('needs the permission for each, and is not known to those who touch none', async () => {
    const key = await broker.callerKey({ actions: ['connections:write'], integrations: ['acme'] });
    const body = { ...several, owner: newOwner() };
    expectProblem(await broker.ask('POST', '/v1/connect-sessions', body, key), 404, 'not_found');
    const { id, url } = await invite(several);
    const other = await broker.callerKey({ actions: ['connections:write'], integrations: ['basic'] });
    expectProblem(await broker.ask('GET', `/v1/connect-sessions/${id}`, undefined, other), 404, 'not_found');
    expectOk(await broker.ask('POST', '/v1/connections/revoke', { integration: 'keys' }));
    expect(await sessionOf(broker, { id, url })).toMatchObject({ status: 'cancelled' });
  });

  test('what belongs to one of them: 400', async () => {
    expectIssues(await refusedSession({ ...several, integration: 'acme', scopes: ['a'] }), 'integration', 'scopes');
    expectIssues(await refusedSession({ integrations: ['acme', 'acme'] }), 'integrations');
  });
});

describe('credentials that the owner enters', () => {
  async function opened(wanted: Json = {}) {
    const owner = newOwner();
    const jar = createCookieJar();
    const link = await invite({ integration: 'keys', owner, ...wanted });
    const page = await visit(link.url, jar);
    const enter = (entered: Record<string, string>) => visit(link.url, jar, { form: { ...formOf(page), ...entered } });
    return { owner, link, page, enter };
  }

  test('the page says where to find them, and hides them while they are entered', async () => {
    const { page } = await opened();
    expect(page.text).toContain('href="https://acme.test/keys" target="_blank" rel="noopener noreferrer"');
    expect(page.text).toMatch(/name="credential-api_key" type="password" value=""/);
    expect(page.text).toMatch(/name="region" type="text"/);
    const basic = await visit((await invite({ integration: 'basic' })).url);
    expect(basic.text).toMatch(/name="credential-username" type="text"/);
    expect(basic.text).toMatch(/name="credential-password" type="password"/);
    expect(basic.text).toContain('href="https://acme.test/docs"');
  });

  test('right ones are checked once, stored and served, with whose they are', async () => {
    const { owner, link, enter } = await opened();
    const done = await enter({ 'credential-api_key': 'key_good', region: 'eu' });
    expect([done.status, done.text.includes('account is connected')]).toEqual([200, true]);
    expect(vendor.received.map(({ path, headers }) => [path, headers['x-api-key']])).toEqual([['/v1/me', 'key_good']]);
    const [connection] = await connectionsOf(broker, owner);
    expect(connection).toMatchObject({ status: 'active', account: { id: 'u1' } });
    const token = expectOk(await broker.ask('GET', `/v1/connections/${connection!.id}/token`));
    expect(token).toMatchObject({ access_token: 'key_good', expires_at: null });
    expect(await sessionOf(broker, link)).toMatchObject({ status: 'completed', connection_id: connection!.id });
  });

  test('wrong ones: the form again, which says so and repeats none; then nothing is stored, and the link still works', async () => {
    const { owner, link, enter } = await opened();
    const wrong = await enter({ 'credential-api_key': 'key_wrong_one', region: 'eu' });
    expect(wrong.status).toBe(400);
    expect(wrong.text).toContain('does not accept what you entered. Nothing was stored.');
    expect(wrong.text).toContain('value="eu"');
    expect(wrong.text).not.toContain('key_wrong_one');
    const malformed = await enter({ 'credential-api_key': 'no key at all' });
    expect(malformed.status).toBe(400);
    expect(malformed.text).toContain('<a href="#credentials-api_key">not a valid API key</a>');
    expect(malformed.text).not.toContain('no key at all');
    expect(vendor.received).toHaveLength(1);
    expect(await sessionOf(broker, link)).toMatchObject({ status: 'pending' });
    expect(await connectionsOf(broker, owner)).toEqual([]);
    expect((await enter({ 'credential-api_key': 'key_good' })).text).toContain('account is connected');
  });

  test.each<[string, () => ScriptedResponse, number, RegExp]>([
    ['drops the connection', () => 'drop', 503, /does not answer right now/],
    ['fails', () => ({ status: 502 }), 503, /does not answer right now/],
    ['limits', () => ({ status: 429, headers: { 'retry-after': '60' } }), 503, /does not answer right now/],
    ['answers like another server', () => ({ status: 404 }), 400, /an answer that we do not know/],
  ])('a vendor that %s: says so, and nothing is stored', async (_, answer, status, words) => {
    const { owner, enter } = await opened();
    api = answer;
    const page = await enter({ 'credential-api_key': 'key_good' });
    expect([page.status, words.test(page.text)]).toEqual([status, true]);
    expect(await connectionsOf(broker, owner)).toEqual([]);
  });

  test('a key that may not make the call: nothing is known of it, and it is stored', async () => {
    const { owner, enter } = await opened();
    api = () => ({ status: 403, body: {} });
    expect((await enter({ 'credential-api_key': 'key_narrow' })).text).toContain('account is connected');
    expect(await connectionsOf(broker, owner)).toMatchObject([{ status: 'active', account: null }]);
  });

  test('of another account than the one that is connected: refused, and what was stays', async () => {
    const first = await opened();
    await first.enter({ 'credential-api_key': 'key_good' });
    const [connection] = await connectionsOf(broker, first.owner);
    api = () => ({ body: { id: 'u2' } });
    const again = await opened({ integration: undefined, owner: undefined, connection_id: connection!.id });
    const page = await again.enter({ 'credential-api_key': 'key_of_another' });
    expect([page.status, page.text.includes('another account')]).toEqual([400, true]);
    const token = expectOk(await broker.ask('GET', `/v1/connections/${connection!.id}/token`));
    expect(token.access_token).toBe('key_good');
  });

  test('no more than ten tries', async () => {
    const { enter } = await opened();
    for (let n = 0; n < 10; n++) expect((await enter({ 'credential-api_key': 'key_wrong' })).status).toBe(400);
    expect((await enter({ 'credential-api_key': 'key_good' })).status).toBe(503);
    expect(vendor.received).toHaveLength(10);
  });

  test('with finish: connected only once the caller has said who is signed in', async () => {
    const { owner, link, enter } = await opened({ finish: true, return_url: RETURN });
    const { location } = await enter({ 'credential-api_key': 'key_good' });
    const { searchParams } = new URL(location!);
    expect(searchParams.get('status')).toBe('confirm');
    expect(await connectionsOf(broker, owner)).toEqual([]);
    const body = { finish_code: searchParams.get('finish_code'), owner };
    expectOk(await broker.ask('POST', `/v1/connect-sessions/${link.id}/finish`, body));
    expect(await connectionsOf(broker, owner)).toMatchObject([{ integration: 'keys', status: 'active' }]);
  });

  test('in another browser than the first: refused', async () => {
    const { link, enter } = await opened();
    await enter({ 'credential-api_key': 'key_wrong' });
    expectErrorPage(await visit(link.url), 403, 'other_browser', link.url);
  });
});

describe('the last page of a pop-up', () => {
  const popup = { integration: 'acme', display: 'popup', return_url: RETURN };
  const scriptOf = ({ text }: Page) =>
    Object.fromEntries(
      [...(/<script src="\/assets\/popup.js"([^>]*)>/.exec(text)?.[1] ?? '').matchAll(/data-([a-z]+)="([^"]*)"/g)].map(
        ([, name, value]) => [name, value?.replaceAll('&amp;', '&')],
      ),
    );

  test('tells the one origin of return_url, under a policy with one script', async () => {
    const jar = createCookieJar();
    const link = await invite(popup);
    const form = formOf(await visit(link.url, jar));
    const { location } = await visit(link.url, jar, { form });
    const last = await visit(callbackWithConsent(location), jar);
    expect(scriptOf(last)).toMatchObject({ origin: 'http://127.0.0.1:9', session: link.id, status: 'completed' });
    const policy = last.headers.get('content-security-policy');
    expect(policy).toMatch(/default-src 'none'; script-src 'self'; style-src/);
    expect(last.text.match(/<script/g)).toHaveLength(1);
    const url = new URL(scriptOf(last).url!);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({ status: 'success', connect_session_id: link.id });
    expect(last.text).toContain('<a class="action" href="http://127.0.0.1:9/done?');
    const script = await (await fetch(`${broker.url}/assets/popup.js`)).text();
    expect(script).not.toMatch(/['"]\*['"]/);
  });

  test.each([
    [
      'failed',
      async (link: { id: string; url: string }, location: string) => {
        const { searchParams } = new URL(location);
        return `${searchParams.get('redirect_uri')}?error=access_denied&state=${searchParams.get('state')}&at=${link.id}`;
      },
      'access_denied',
    ],
    [
      'cancelled',
      async (link: { id: string; url: string }) => {
        await broker.ask('DELETE', `/v1/connect-sessions/${link.id}`);
        return link.url;
      },
      'invitation_cancelled',
    ],
  ])('%s: as the session says', async (status, next, error) => {
    const jar = createCookieJar();
    const link = await invite(popup);
    const { location } = await visit(link.url, jar, { form: formOf(await visit(link.url, jar)) });
    const last = await visit(await next(link, location!), jar);
    expect(scriptOf(last)).toMatchObject({ status, error });
    expect(await sessionOf(broker, link)).toMatchObject({ status });
  });

  test('other pages have no script; display needs a return_url', async () => {
    const page = await visit((await invite(popup)).url);
    expect(page.text).not.toContain('<script');
    expect(page.headers.get('content-security-policy')).not.toContain('script-src');
    expectIssues(await refusedSession({ integration: 'acme', display: 'popup' }), 'return_url');
  });
});
