// The connect flow in a real browser, with the real broker and a real OpenID Provider.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type RunningBroker, startBroker } from '../../../demo/broker.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { ask, type Json } from '../../support/broker.ts';
import { bundled } from '../../support/bundle.ts';
import { arriveAt, DESKTOP, expectFit, heading, launch, PHONE, signIn } from './page-inspector.ts';

/** A provider with a host per tenant. Here the tenant is the port of the local provider. */
const TENANTED = {
  id: 'tenanted',
  name: 'Tenanted',
  category: 'generic',
  docs_url: 'https://tenanted.example/docs',
  confidence: 'unverified',
  params: { base: { title: 'base URL', pattern: 'http://127\\.0\\.0\\.1' } },
  connection_params: {
    tenant: {
      title: 'Workspace number',
      description: 'It is in the address bar of your workspace.',
      pattern: '[0-9]{4,5}',
      example: '4711',
    },
  },
  auth: [{ mode: 'oidc', issuer: '{base}:{tenant}', default_scopes: ['openid'] }],
};

const installed = inject('chromium');

describe.skipIf(installed === undefined)('connect flow', () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-browser-'));
  let broker: RunningBroker;
  let provider: LocalProvider;
  let browser: Browser;

  beforeAll(async () => {
    writeFileSync(join(folder, 'tenanted.json'), JSON.stringify(TENANTED));
    [broker, browser] = await Promise.all([
      startBroker(
        { VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}`, VALETKEY_PROVIDERS_DIR: folder },
        await bundled('main'),
      ),
      launch(installed),
    ]);
    const redirectUris = ['acme', 'tenanted'].map((id) => `${broker.url}/oauth2/callback/${id}`);
    provider = await startProvider({ redirectUris });
    const client = { client_id: provider.clientId, client_secret: provider.clientSecret };
    await api('PUT', '/v1/integrations/acme', {
      ...client,
      provider: 'generic-oidc',
      params: { issuer: provider.issuer },
    });
    await api('PUT', '/v1/integrations/tenanted', {
      ...client,
      provider: 'tenanted',
      params: { base: 'http://127.0.0.1' },
    });
  });
  afterAll(async () => {
    await browser?.close();
    await broker?.stop();
    await provider?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const api = async (method: string, path: string, body?: Json) =>
    (await ask(broker.url, broker.adminKey, method, path, body)).body;
  const invite = async (owner: string, more: Json = {}) => {
    const { id, url } = await api('POST', '/v1/connect-sessions', { integration: 'acme', owner, ...more });
    return { url: String(url), session: () => api('GET', `/v1/connect-sessions/${id}`) };
  };

  const visit = (options?: BrowserContextOptions) => arriveAt(browser, [broker.url, provider.issuer], options);
  const atProvider = (url: URL) => url.origin === provider.issuer;
  /** At the session's own page: code and state have left the address bar. */
  const back = (url: URL) =>
    url.origin === broker.url && url.pathname.startsWith('/connect/sessions/') && url.search === '';
  const confirm = async (page: Page, url: string) => {
    await page.goto(url);
    await page.getByRole('button', { name: /^Continue to/ }).click();
    await page.waitForURL(atProvider);
  };

  it.each([
    ['a desktop', DESKTOP],
    ['a phone', PHONE],
  ])('on %s: connects by keyboard alone', async (device, options) => {
    const { url, session } = await invite(`keyboard on ${device}`, { label: 'work' });
    const { page, tabTo } = await visit(options);
    await page.goto(url);
    await expectFit(page, `confirmation on ${device}`);
    await tabTo('button.action');
    await page.keyboard.press('Enter');
    await page.waitForURL(atProvider);
    await tabTo('input[name=login]');
    await page.keyboard.type('alice');
    await tabTo('button[value=allow]');
    await page.keyboard.press('Enter');
    await page.waitForURL(back);
    expect(await heading(page)).toMatch(/account is connected/);
    await expectFit(page, `connected on ${device}`);
    expect((await session()).status).toBe('completed');
  });

  it.each([
    ['a desktop', DESKTOP],
    ['a phone', PHONE],
  ])('on %s: cancelling shows a page that says so', async (device, options) => {
    const { url, session } = await invite(`cancels on ${device}`);
    const { page, tabTo } = await visit(options);
    await confirm(page, url);
    await tabTo('button[value=cancel]');
    const answered = page.waitForResponse((response) => back(new URL(response.url())));
    await page.keyboard.press('Enter');
    expect((await answered).status()).toBe(403);
    await page.waitForURL(back);
    expect(await heading(page)).toBe('You cancelled');
    await expectFit(page, `cancelled on ${device}`);
    expect(await session()).toMatchObject({ status: 'failed', error: 'access_denied' });
  });

  it('a used link shows its own browser how it ended, and another one that it is used', async () => {
    const { url } = await invite('used link');
    const { page } = await visit(PHONE);
    await confirm(page, url);
    await signIn(page, 'alice');
    await page.waitForURL(back);
    await page.reload();
    expect(await heading(page)).toMatch(/account is connected/);
    await page.goto(url);
    expect(back(new URL(page.url())), 'the link has left the address bar').toBe(true);
    expect(await heading(page)).toMatch(/account is connected/);
    const other = await visit(PHONE);
    expect((await other.page.goto(url))?.status()).toBe(410);
    expect(await heading(other.page)).toBe('This link has been used');
    await expectFit(other.page, 'used link');
  });

  it('another browser cannot take over a link; the first one continues', async () => {
    const { url, session } = await invite('two browsers');
    const first = await visit();
    await confirm(first.page, url);
    const second = await visit(PHONE);
    const response = await second.page.goto(url);
    expect(response?.status()).toBe(403);
    expect(await heading(second.page)).toBe('Please use the browser that you started with');
    await expectFit(second.page, 'other browser');
    await signIn(first.page, 'alice');
    await first.page.waitForURL(back);
    expect((await session()).status).toBe('completed');
  });

  it.each([
    ['a desktop', DESKTOP],
    ['a phone', PHONE],
  ])('on %s: asks for connection parameters, and shows errors beside the field', async (device, options) => {
    const { url, session } = await invite(`asked on ${device}`, { integration: 'tenanted' });
    const { page, tabTo } = await visit(options);
    await page.goto(url);
    const field = page.getByLabel('Workspace number');
    await expectFit(page, `form on ${device}`);

    await tabTo('input[type=text]');
    await page.keyboard.type('my workspace');
    await page.keyboard.press('Enter');
    const error = page.locator('p.error');
    expect(await error.innerText()).toContain('not a valid Workspace number');
    expect(await field.getAttribute('aria-invalid')).toBe('true');
    expect(await field.getAttribute('aria-describedby')).toContain(await error.getAttribute('id'));
    expect(await field.inputValue()).toBe('my workspace');
    const [above, below] = [await error.boundingBox(), await field.boundingBox()];
    expect(below!.y - (above!.y + above!.height), 'beside it').toBeLessThan(16);
    await expectFit(page, `error on ${device}`);

    await tabTo('.summary a');
    await page.keyboard.press('Enter');
    expect(await field.evaluate((element) => (element as { matches(s: string): boolean }).matches(':focus'))).toBe(
      true,
    );
    await field.fill(new URL(provider.issuer).port);
    await page.keyboard.press('Enter');
    await page.waitForURL(atProvider);
    await signIn(page, 'alice');
    await page.waitForURL(back);
    expect(await heading(page)).toBe('Your Tenanted account is connected');
    expect((await session()).status).toBe('completed');
  });
});
