// The connect pages in a real browser: accessible (axe, WCAG 2.2 AA) at two widths and in both schemes, with a theme; and
// @valetkey/connect with a pop-up, without one, and with one whose owner leaves it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transform } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { codeMode, entry } from '../../support/entries.ts';
import { createConnectSession, newOwner, sessionOf } from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';
import { arriveAt, expectFit, expectNoViolations, heading, launch } from './page-inspector.ts';

const ROOT = new URL('../../../', import.meta.url);

const installed = inject('chromium');

describe.skipIf(installed === undefined)('connect pages', { timeout: 180_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-pages-'));
  let broker: TestBroker;
  let vendor: ScriptedServer;
  let app: ScriptedServer;
  let browser: Browser;

  beforeAll(async () => {
    vendor = await startScriptedServer(({ headers }) =>
      headers.authorization === 'Bearer good' ? { body: { id: 'u1' } } : { status: 401, body: {} },
    );
    const acme = entry('acme', {
      auth: [
        codeMode({ authorization_url: `${vendor.url}/authorize`, token_url: `${vendor.url}/token` }),
        {
          mode: 'api_key',
          connection_params: { region: { title: 'Region', options: { eu: 'eu', us: 'us' }, default: 'eu' } },
        },
      ],
      api_base_url: vendor.url,
      api: { whoami: [{ path: '/me', only: ['api_key'] }] },
    });
    writeFileSync(join(folder, 'acme.json'), JSON.stringify(acme));
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="32"><circle r="16" cx="40" cy="16"/></svg>',
    );
    const theme = {
      name: 'Blue Ltd',
      logo: `data:image/svg+xml;base64,${svg.toString('base64')}`,
      accent_light: '#00529b',
      accent_dark: '#8ecbff',
      radius: 20,
    };
    const library = await transform(readFileSync(new URL('connect/index.ts', ROOT), 'utf8'), { loader: 'ts' });
    app = await startScriptedServer(async ({ path }) => {
      if (path === '/connect.js') return { headers: { 'content-type': 'text/javascript' }, body: library.code };
      if (path.startsWith('/poll/')) return { body: await sessionOf(broker, { id: path.slice(6), url: '' }) };
      return { headers: { 'content-type': 'text/html' }, body: APP };
    });
    [broker, browser] = await Promise.all([
      startTestBroker({ VALETKEY_PROVIDERS_DIR: folder }, { theme }, { refreshAhead: false }),
      launch(installed),
    ]);
    const put = async (id: string, setup: Json) =>
      expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, setup), 201);
    await put('acme', { provider: 'acme', client_id: 'c', client_secret: 's' });
    await put('keys', { provider: 'acme', params: { mode: 'api_key' } });
  });
  afterAll(async () => {
    await browser?.close();
    await broker?.stop();
    await Promise.all([vendor?.close(), app?.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  async function expectAccessible(page: Page, name: string): Promise<void> {
    await expectNoViolations(page, name);
    await expectFit(page, name);
  }

  it('pass axe, in a theme, on a phone and a desktop, light and dark; none complains of its policy', async () => {
    const { page } = await arriveAt(browser, [broker.url], { viewport: { width: 1_280, height: 800 } });
    const several = { integration: undefined, integrations: ['acme', 'keys'], display_owner: 'Ada Lovelace' };
    const picker = await createConnectSession(broker, several);
    await page.goto(picker.url);
    await expectAccessible(page, 'choice');
    await page.locator('button[value=keys]').click();
    await expectAccessible(page, 'credentials');
    await page.getByLabel('API key').fill('wrong');
    await page.locator('button.action').click();
    expect(await page.locator('[role=alert]').innerText()).toContain('does not accept what you entered');
    // The browser focuses it once it has shown the page.
    await expect.poll(() => page.evaluate('document.activeElement.getAttribute("role")')).toBe('alert');
    await expectAccessible(page, 'credentials that are wrong');
    await page.getByLabel('API key').fill('good');
    await page.locator('button.action').click();
    expect(await heading(page)).toContain('is connected');
    await expectAccessible(page, 'connected');
    await page.goto((await createConnectSession(broker)).url);
    await expectAccessible(page, 'confirmation');
    await page.goto(`${broker.url}/connect/none`);
    await expectAccessible(page, 'refusal');
  });

  it('what is wrong is read from line to line, also where the name of a field is in another language', async () => {
    const { page } = await arriveAt(browser, [broker.url], { viewport: { width: 220, height: 800 } });
    await page.goto((await createConnectSession(broker, { integration: 'keys', ui_locales: 'de' })).url);
    await page.locator('button.action').click();
    await page.locator('.summary a [lang=en]').waitFor();
    const { lines, indent } = await page.evaluate<{ lines: number; indent: number }>(LAST_LINE);
    expect(lines).toBeGreaterThan(1);
    expect(indent).toBeLessThan(1);
  });

  it('an owner sees and ends connections, by keyboard', async () => {
    const owner = newOwner();
    for (const label of ['', 'work']) {
      const body = { integration: 'keys', owner, label, credentials: { api_key: 'good' } };
      expectOk(await broker.ask('POST', '/v1/connections', body), 201);
    }
    const created = await broker.ask('POST', '/v1/portal-sessions', { owner, return_url: app.url });
    const { page, tabTo } = await arriveAt(browser, [broker.url], {
      viewport: { width: 1_280, height: 800 },
    });
    await page.goto(String(created.body.url));
    await expectAccessible(page, 'portal link');
    await tabTo('button.action');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${broker.url}/connect/portal`);
    await expectAccessible(page, 'portal');
    expect(await page.locator('.account').count()).toBe(2);
    await tabTo('.account:first-child a.small');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/connections/*');
    await expectAccessible(page, 'disconnect');
    await tabTo('button.action');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/connect/portal?status=disconnected*');
    expect(await page.getByRole('status').innerText()).toContain('is disconnected');
    expect(await page.locator('.account').count()).toBe(1);
  });

  async function appPage(how: 'popup' | 'blocked', every = 100) {
    const visitor = await arriveAt(browser, [broker.url, app.url]);
    const { page } = visitor;
    const link = await createConnectSession(broker, {
      integration: 'keys',
      display: 'popup',
      return_url: `${app.url}/done`,
    });
    if (how === 'blocked') await page.addInitScript('window.open = () => null');
    await page.goto(`${app.url}/#${new URLSearchParams({ ...link, every: String(every) })}`);
    return { ...visitor, link };
  }

  it('@valetkey/connect: a pop-up that tells its opener, and closes', async () => {
    // Nothing is polled meanwhile.
    const { page, link } = await appPage('popup', 600_000);
    const opened = page.waitForEvent('popup');
    await page.click('button');
    const popup = await opened;
    await popup.getByLabel('API key').fill('good');
    const closed = popup.waitForEvent('close');
    await popup.locator('button.action').click();
    await closed;
    await page.waitForFunction('document.title !== "waiting"');
    expect(JSON.parse(await page.title())).toEqual({ connect_session_id: link.id, status: 'completed' });
  });

  it('@valetkey/connect: a pop-up that is closed says nothing; the session does', async () => {
    const { page, link } = await appPage('popup');
    const opened = page.waitForEvent('popup');
    await page.click('button');
    await (await opened).close();
    await page.waitForFunction('document.body.dataset.closed === "true"');
    expect(await page.title()).toBe('waiting');
    await broker.ask('DELETE', `/v1/connect-sessions/${link.id}`);
    await page.waitForFunction('document.title !== "waiting"');
    expect(JSON.parse(await page.title())).toEqual({ status: 'cancelled' });
  });

  it('@valetkey/connect: where pop-ups are blocked, this window goes there and comes back', async () => {
    const { page, link } = await appPage('blocked');
    await page.click('button');
    await page.waitForURL(link.url);
    await page.getByLabel('API key').fill('good');
    await page.locator('button.action').click();
    await page.waitForURL(`${app.url}/done?*`);
    expect(new URL(page.url()).searchParams.get('status')).toBe('success');
  });
});

/** Of the text after the name of the field: how many lines it has, and how far the last one is from the start of the link. */
const LAST_LINE = `(() => {
  const link = document.querySelector('.summary a');
  const range = document.createRange();
  range.selectNodeContents(link.lastChild);
  const lines = [...range.getClientRects()];
  return { lines: lines.length, indent: lines.at(-1).left - link.getBoundingClientRect().left };
})()`;

/** The page of a customer's app. */
const APP = `<!doctype html><html lang="en"><title>app</title><button>Connect</button><script type="module">
import { connect } from '/connect.js';
const { id, url, every } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
document.querySelector('button').onclick = async () => {
  document.title = 'waiting';
  const poll = async () => (await fetch('/poll/' + id)).json();
  const closed = () => { document.body.dataset.closed = 'true'; };
  document.title = JSON.stringify(await connect(url, { poll, every: Number(every), closed }));
};
</script></html>`;
