// Ten everyday tasks of those who run a broker, in the console without scripts, by keyboard.
import { readFile } from 'node:fs/promises';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';
import { arrive, heading, launch, type PageInspector } from './page-inspector.ts';

const installed = inject('chromium');
const PATIENT = { timeout: 30_000, interval: 50 };
/** A page can be used as soon as it is parsed. */
const PARSED = { waitUntil: 'domcontentloaded' } as const;
/** More than any page of these tasks has stops before what is wanted. */
const MOST_STOPS = 60;

/**
 * How many stops of Tab this element is away, as far as the document says: 0 if it has the focus, and 1 where the focus is
 * nowhere, so that each next stop is looked at.
 */
const STOPS_TO = new Function(
  'element',
  `const { activeElement, body } = element.ownerDocument;
  if (element === activeElement) return 0;
  if (activeElement === null || activeElement === body) return 1;
  const isAfter = (one, other) => (one.compareDocumentPosition(other) & 4) !== 0;
  const between = [...element.ownerDocument.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true }))
    .filter((one) => isAfter(activeElement, one) && isAfter(one, element));
  return between.length + 1;`,
) as (element: unknown) => number;

describe.skipIf(installed === undefined)('console: ten tasks without scripts', { timeout: 120_000 }, () => {
  let broker: TestBroker;
  let browser: Browser;
  let provider: LocalProvider;
  let vendor: ScriptedServer;
  const visitors: Record<'operator' | 'admin', PageInspector> = {} as never;
  let hookStatus = 503;
  const ids = { ada: '', endpoint: '' };

  beforeAll(async () => {
    vendor = await startScriptedServer(({ path }) =>
      path === '/hook' ? { status: hookStatus } : { status: 400, body: { error: 'invalid_grant' } },
    );
    [broker, browser, provider] = await Promise.all([
      startTestBroker({}, undefined, { refreshAhead: false, jobsEveryMs: 50 }),
      launch(installed),
      startProvider(),
    ]);
    const made = async (method: string, path: string, body: unknown) =>
      expectOk(await broker.ask(method, path, body), 201);
    const params = { authorization_url: `${vendor.url}/authorize`, token_url: `${vendor.url}/token` };
    for (const id of ['crm', 'wiki'])
      await made('PUT', `/v1/integrations/${id}`, {
        ...{ provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params },
      });
    const importing = async (integration: string, owner: string, name: string, more = {}) => {
      const credentials = { access_token: 'a', refresh_token: `r-${owner}`, ...more };
      return String(
        (
          await made('POST', '/v1/connections', {
            integration,
            owner,
            account: { issuer: vendor.url, id: `id-${name}`, name },
            credentials,
          })
        ).id,
      );
    };
    ids.ada = await importing('crm', 'customer_17', 'Ada Lovelace', { expires_at: '2026-01-01T00:00:00Z' });
    await importing('crm', 'customer_18', 'Grace Hopper');
    for (const n of [1, 2, 3]) await importing('wiki', `customer_${n}`, `Reader ${n}`);
    await broker.ask('GET', `/v1/connections/${ids.ada}/token`);
    const grants = [{ actions: ['token'], integrations: ['crm'], owners: ['*'] }];
    await made('POST', '/v1/callers', { name: 'mailer', grants });
    ids.endpoint = String((await made('POST', '/v1/webhook-endpoints', { url: `${vendor.url}/hook` })).id);
    await broker.ask('POST', `/v1/webhook-endpoints/${ids.endpoint}/test`);
    for (const role of ['operator', 'admin'] as const) {
      const visitor = await arrive(browser, {
        viewport: { width: 1_024, height: 600 },
        reducedMotion: 'reduce',
        javaScriptEnabled: false,
      });
      visitors[role] = visitor;
      visitor.page.setDefaultTimeout(30_000);
      await visitor.page.goto(String((await broker.ask('POST', '/v1/console-links', { role })).body.url), PARSED);
      await follow(visitor.page, visitor.page.getByRole('button'));
      expect(await heading(visitor.page)).toBe('Home');
    }
  }, 60_000);
  afterAll(async () => {
    for (const { complaints, leave } of Object.values(visitors)) {
      expect(complaints).toEqual([]);
      await leave();
    }
    await browser?.close();
    await Promise.all([broker?.stop(), provider?.close(), vendor?.close()]);
  });

  /** With Tab alone, until it has the focus. */
  async function reach(page: Page, target: Locator): Promise<void> {
    for (let stop = 0; stop < MOST_STOPS; ) {
      const stops = await target.evaluate(STOPS_TO);
      if (stops === 0) return;
      // A press takes as long as a frame: what is known to be needed is pressed without looking in between.
      const presses = Math.min(stops, MOST_STOPS);
      await Promise.all(Array.from({ length: presses }, () => page.keyboard.press('Tab')));
      stop += presses;
    }
    throw new Error(`Tab does not lead to ${target}`);
  }
  /** Opens what is on this page. */
  async function press(page: Page, target: Locator): Promise<void> {
    await reach(page, target);
    await page.keyboard.press('Enter');
  }
  /** Goes on to another page. */
  const enter = (page: Page) => Promise.all([page.waitForEvent('domcontentloaded'), page.keyboard.press('Enter')]);
  async function follow(page: Page, target: Locator): Promise<void> {
    await reach(page, target);
    await enter(page);
  }
  async function type(page: Page, target: Locator, text: string): Promise<void> {
    await reach(page, target);
    await page.keyboard.insertText(text);
  }
  /** A section of the console, past its menu. */
  async function open(page: Page, section: string): Promise<void> {
    await page.goto(`${broker.url}/console/${section}`, PARSED);
    await press(page, page.getByRole('link', { name: 'Skip to the content' }));
  }
  const link = (page: Page, name: string | RegExp) => page.getByRole('main').getByRole('link', { name });
  const button = (page: Page, name: string | RegExp) => page.getByRole('main').getByRole('button', { name });
  /** Opens the dialog, types what it wants, and sends it. */
  async function confirm(page: Page, name: string | RegExp, id: string): Promise<void> {
    await press(page, button(page, name).first());
    const dialog = page.getByRole('dialog');
    await type(page, dialog.getByRole('textbox'), id);
    await enter(page);
  }
  const said = (page: Page) => page.getByRole('main').innerText();
  /** Reloads the page until it says so. */
  const later = (page: Page, text: RegExp) =>
    vi.waitFor(async () => {
      await page.reload(PARSED);
      expect(await said(page)).toMatch(text);
    }, PATIENT);

  it('1. finds the connection of a customer by the name of the account, and 2. reads why it does not work', async () => {
    const { page } = visitors.operator;
    await open(page, 'connections');
    await type(page, page.getByRole('searchbox', { name: 'Search' }), 'ada l');
    await enter(page);
    await follow(page, link(page, 'customer_17'));
    expect(await heading(page)).toBe('customer_17 at crm');
    expect(await said(page)).toMatch(/needs its owner[\s\S]*the grant is gone[\s\S]*Who can fix it\s+the owner/);
  });

  it('3. makes a link with which the owner reconnects', async () => {
    const { page } = visitors.operator;
    await follow(page, button(page, 'Make a reconnect link'));
    expect(await said(page)).toContain(`${broker.url}/connect/`);
    await follow(page, link(page, 'Back to the connection'));
    expect(await heading(page)).toBe('customer_17 at crm');
  });

  it('4. revokes one connection, after its id was typed', async () => {
    const { page } = visitors.operator;
    await confirm(page, 'Revoke', 'something else');
    expect(await said(page)).toContain('Nothing was changed');
    await page.goBack();
    await confirm(page, 'Revoke', ids.ada);
    expect(await said(page)).toContain('The connection was revoked here');
  });

  it('5. revokes all connections of an integration, after seeing which', async () => {
    const { page } = visitors.operator;
    await open(page, 'connections');
    await follow(page, link(page, 'Revoke many at once'));
    await reach(page, page.getByRole('combobox', { name: 'Integration' }));
    await page.keyboard.type('wiki');
    await follow(page, button(page, 'Show what it concerns'));
    expect(await said(page)).toMatch(/3 live connections at wiki[\s\S]*customer_1[\s\S]*customer_3/);
    await confirm(page, 'Revoke all of them', 'wiki');
    await later(page, /done: 3 of/);
    expect((await broker.ask('GET', '/v1/connections?integration=crm&status=active')).body.data).toHaveLength(1);
  });

  it('6. sets up an integration, registered at the provider, and connects a test owner', async () => {
    const { page } = visitors.admin;
    await open(page, 'integrations');
    await follow(page, link(page, 'Set up an integration'));
    await follow(page, link(page, 'any OpenID Provider'));
    const redirectUri = `${broker.url}/oauth2/callback/generic-oidc`;
    expect(await said(page)).toContain(redirectUri);
    const form = page.url();
    await page.goto(`${provider.issuer}/`, PARSED);
    await type(page, page.getByLabel('Redirect URI'), redirectUri);
    await enter(page);
    const [id, secret] = await Promise.all(
      ['#client-id', '#client-secret'].map((code) => page.locator(code).innerText()),
    );
    await page.goto(form, PARSED);
    await type(page, page.getByLabel('Client id'), id!);
    await type(page, page.getByLabel(/^Client secret/), secret!);
    await type(page, page.getByLabel('Issuer'), provider.issuer);
    await follow(page, button(page, 'Create the integration'));
    expect(await said(page)).toContain('The integration is set up.');
    await follow(page, button(page, 'Make a link'));
    const waiting = link(page, 'See what comes of it');
    const outcome = String(await waiting.getAttribute('href'));
    await page.goto(await page.locator('.copied code').first().innerText(), PARSED);
    await follow(page, page.getByRole('button', { name: /^Continue to/ }));
    await follow(page, page.getByRole('button', { name: 'Allow' }));
    await page.goto(new URL(outcome, broker.url).href, PARSED);
    expect(await said(page)).toMatch(/It works\s+The account is connected\./);
    await follow(page, link(page, /^con_/));
    expect(await heading(page)).toBe('console-test at generic-oidc');
  });

  it('7. rotates the key of a caller: a new one is shown once, the old one is deleted', async () => {
    const { page } = visitors.admin;
    await open(page, 'callers');
    await follow(page, link(page, 'mailer'));
    const caller = new URL(page.url()).pathname;
    const old = await page.getByRole('rowheader', { name: /^vk_/ }).innerText();
    await press(page, page.locator('summary', { hasText: 'Add a key' }));
    await follow(page, button(page, 'Add a key'));
    const key = /vk_\w{40,}/.exec(await said(page))?.[0];
    expect((await broker.ask('GET', '/v1/whoami', undefined, key)).status).toBe(200);
    await follow(page, link(page, 'I have it'));
    expect(new URL(page.url()).pathname).toBe(caller);
    const deletion = button(page, `Delete ${old}`);
    await press(page, deletion.first());
    const id = await page.getByRole('dialog').locator('code').innerText();
    await type(page, page.getByRole('dialog').getByRole('textbox'), id);
    await enter(page);
    expect(await said(page)).toContain('The key was deleted, and is refused.');
    expect(await page.getByRole('rowheader', { name: /^vk_/ }).allInnerTexts()).not.toContain(old);
  });

  it('8. sends again what an endpoint has not taken', async () => {
    const { page } = visitors.operator;
    await open(page, 'events');
    await follow(page, link(page, `${vendor.url}/hook`));
    await later(page, /answered 503/);
    hookStatus = 204;
    const before = vendor.received.length;
    await press(page, page.locator('summary', { hasText: 'Send the events of a time range again' }));
    await follow(page, button(page, 'Send them again'));
    await later(page, /completed/);
    await expect.poll(() => vendor.received.length, PATIENT).toBeGreaterThan(before);
  });

  it('9. downloads the audit log of a day', async () => {
    const { page } = visitors.operator;
    await open(page, 'audit');
    const day = new Date().toISOString().slice(0, 10);
    await type(page, page.getByLabel('What'), 'connection.revoked');
    await page.getByLabel('From (UTC)').fill(`${day}T00:00`);
    await enter(page);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      press(page, link(page, 'Download as NDJSON')),
    ]);
    const lines = (await readFile(await download.path(), 'utf8')).trimEnd().split('\n');
    const entries = lines.map((line) => JSON.parse(line) as { action: string; actor: string });
    expect(entries.length).toBe(4);
    for (const { action, actor } of entries) {
      expect(action).toBe('connection.revoked');
      expect(actor).toMatch(/^user:/);
    }
  });

  it('10. rotates the encryption keys, and ends the session of someone else', async () => {
    const { page } = visitors.admin;
    await open(page, 'system');
    await confirm(page, 'Rotate the keys', 'rotate');
    expect(await said(page)).toContain('It was started.');
    await later(page, /completed/);
    await open(page, 'system');
    await follow(page, page.getByRole('row', { name: /operator/ }).getByRole('button', { name: /^End the session/ }));
    expect(await said(page)).toContain('The session was ended.');
    await visitors.operator.page.reload();
    expect(await heading(visitors.operator.page)).toBe('Sign in to the console');
  });
});
