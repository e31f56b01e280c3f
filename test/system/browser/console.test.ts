// The console in a real browser: every view is accessible (axe, WCAG 2.2 AA) at two widths and in both schemes, complains of
// nothing, and works without scripts.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { arriveAt, DESKTOP, expectNoViolations, heading, launch } from './page-inspector.ts';

/** What is wider than a page of 320 px, what is smaller than 44 px, and links of one name that lead to two places. */
const NARROW = `(() => {
  for (const one of document.querySelectorAll('main details')) one.open = true;
  const { scrollWidth, clientWidth } = document.documentElement;
  const sizeOf = (one) => (one.closest('label') ?? one).getBoundingClientRect();
  const small = [...document.querySelectorAll('button, input:not([type=hidden]), select, textarea, summary, a.button, a.count')]
    .filter((one) => sizeOf(one).width > 0 && (sizeOf(one).width < 43.9 || sizeOf(one).height < 43.9));
  const places = new Map();
  for (const { textContent, pathname, search } of document.querySelectorAll('main a:not([href*="request_id"]):not(time a)'))
    places.set(textContent.trim(), new Set([...(places.get(textContent.trim()) ?? []), pathname + search]));
  return {
    overflow: scrollWidth - clientWidth,
    small: small.map((one) => one.outerHTML.slice(0, 80)),
    ambiguous: [...places].filter(([, all]) => all.size > 1).map(([name]) => name),
  };
})()`;

/** Kinds of status of the page, those whose shape is drawn in the colour of its word, and what has a transition or animation. */
const FORCED = `(() => {
  const all = [...document.querySelectorAll('.status')];
  const kinds = new Map(all.map((one) => [one.className, one]));
  const drawn = [...kinds.values()].filter((one) => {
    const svg = one.querySelector('svg');
    return svg.getBoundingClientRect().width > 10 && getComputedStyle(svg).stroke === getComputedStyle(one).color;
  });
  const moving = [...document.querySelectorAll('*')].filter((one) => {
    const { transitionDuration, animationName } = getComputedStyle(one);
    return Number.parseFloat(transitionDuration) > 0.01 || animationName !== 'none';
  });
  return { kinds: kinds.size, shapes: new Set([...kinds.values()].map((one) => one.querySelector('svg').innerHTML)).size, drawn: drawn.length, moving: moving.length };
})()`;

const installed = inject('chromium');

describe.skipIf(installed === undefined)('console', { timeout: 180_000 }, () => {
  let broker: TestBroker;
  let browser: Browser;
  const ids = { connection: '', dead: '', caller: '', endpoint: '' };

  beforeAll(async () => {
    [broker, browser] = await Promise.all([startTestBroker({}, undefined, { refreshAhead: false }), launch(installed)]);
    const made = async (method: string, path: string, body: unknown) =>
      expectOk(await broker.ask(method, path, body), 201);
    await made('PUT', '/v1/integrations/acme', {
      provider: 'generic-oauth2',
      client_id: 'c',
      client_secret: 'canary-client-secret',
      params: { authorization_url: 'https://acme.example/authorize', token_url: 'https://127.0.0.1:1/token' },
    });
    const importing = (owner: string, label: string) =>
      made('POST', '/v1/connections', {
        integration: 'acme',
        owner,
        label,
        credentials: { access_token: 'canary-access-token', refresh_token: 'canary-refresh-token', scopes: ['read'] },
      });
    ids.connection = String((await importing('user_1', '<script>alert(1)</script>')).id);
    // Turns the text after it around, and is not seen.
    ids.dead = String((await importing('user_\u202e2\u200b', 'work\u202e')).id);
    await broker.ask('DELETE', `/v1/connections/${ids.dead}`);
    const grants = [{ actions: ['token', 'proxy'], integrations: ['acme'], owners: ['user_*'], methods: ['GET'] }];
    ids.caller = String((await made('POST', '/v1/callers', { name: 'mailer', grants })).id);
    const agent = {
      owner: 'user_1',
      integrations: ['acme'],
      actions: ['proxy'],
      actor: { id: 'a1', name: 'Agent One' },
    };
    await made('POST', '/v1/sessions', { ...agent, purpose: '<script>alert(1)</script>\u202e' });
    const endpoint = { url: 'https://127.0.0.1:1/events', types: ['connection.revoked'] };
    ids.endpoint = String((await made('POST', '/v1/webhook-endpoints', endpoint)).id);
  });
  afterAll(async () => {
    await browser?.close();
    await broker?.stop();
  });

  const paths = (): [name: string, path: string][] => [
    ['home', ''],
    ['connections', '/connections'],
    ['connection', `/connections/${ids.connection}`],
    ['a revoked connection', `/connections/${ids.dead}`],
    ['captured calls', `/connections/${ids.connection}/captures`],
    ['revocation of many', '/connections/revoke?integration=acme'],
    ['integrations', '/integrations'],
    ['integration', '/integrations/acme'],
    ['choice of a provider', '/integrations/new'],
    ['callers', '/callers'],
    ['caller', `/callers/${ids.caller}`],
    ['agent sessions', '/sessions'],
    ['events', '/events'],
    ['a webhook endpoint', `/events/endpoints/${ids.endpoint}`],
    ['deliveries', '/events/deliveries'],
    ['received webhooks', '/events/received'],
    ['limits', '/limits'],
    ['audit log', '/audit'],
    ['system', '/system'],
    ['nothing', '/nothing'],
  ];
  async function enter(page: Page, role = 'admin'): Promise<void> {
    const { body } = await broker.ask('POST', '/v1/console-links', { role });
    await page.goto(String(body.url));
    await page.getByRole('button', { name: 'Open the console' }).click();
    expect(await heading(page)).toBe('Home');
  }

  it('every view passes axe on a phone and a desktop, light and dark; none complains of its policy or shows a secret', async () => {
    const { page } = await arriveAt(browser, [broker.url], DESKTOP);
    await enter(page);
    for (const [name, path] of paths()) {
      await page.goto(`${broker.url}/console${path}`);
      await expectNoViolations(page, name);
      expect(await page.content(), name).not.toMatch(/canary|<script>alert|[\u202e\u200b]/);
      // 400 % of 1280 (WCAG 2.2, 1.4.10).
      await page.setViewportSize({ width: 320, height: 640 });
      expect(await page.evaluate(NARROW), name).toEqual({ overflow: 0, small: [], ambiguous: [] });
    }
  });

  it('a page that can no longer be kept up to date says so, and is again once it can', async () => {
    const { page } = await arriveAt(browser, [broker.url], DESKTOP);
    await page.clock.install();
    await enter(page);
    const cookies = await page.context().cookies();
    const stale = page.getByText('This page is not up to date any more.');
    const looksAgain = async () => {
      const answered = page.waitForResponse(`${broker.url}/console`);
      await page.clock.runFor(15_000);
      await answered;
    };
    await looksAgain();
    expect(await stale.count()).toBe(0);
    await page.context().clearCookies();
    await looksAgain();
    await stale.waitFor();
    await page.context().addCookies(cookies);
    await looksAgain();
    await stale.waitFor({ state: 'hidden' });
  });

  it('a second click on a button, before its answer is there, sends nothing', async () => {
    const { page } = await arriveAt(browser, [broker.url], DESKTOP);
    await enter(page);
    await page.goto(`${broker.url}/console/callers/${ids.caller}`);
    const keys = async () => expectOk(await broker.ask('GET', `/v1/callers/${ids.caller}`)).keys as unknown[];
    const before = (await keys()).length;
    const [made, clicked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await page.route('**/keys', async (route) => {
      const response = await route.fetch();
      made.resolve();
      await clicked.promise;
      await route.fulfill({ response });
    });
    await page.getByRole('main').locator('summary', { hasText: 'Add a key' }).click();
    const { x, y } = (await page.getByRole('button', { name: 'Add a key' }).boundingBox())!;
    // The mouse itself: a locator would wait for the answer.
    const click = () => page.mouse.click(x + 5, y + 5);
    await click();
    await made.promise;
    await click();
    clicked.resolve();
    await page.getByText('Its new key').first().waitFor();
    expect(await keys()).toHaveLength(before + 1);
  });

  it('every view says the same without scripts, and offers a viewer no form but filters and the way out', async () => {
    const { page } = await arriveAt(browser, [broker.url], { ...DESKTOP, javaScriptEnabled: false });
    await enter(page, 'viewer');
    for (const [name, path] of paths().filter(([, one]) => !one.endsWith('/new'))) {
      await page.goto(`${broker.url}/console${path}`);
      const forms = await page.locator('form[method=post]').all();
      const actions = await Promise.all(forms.map((form) => form.getAttribute('action')));
      expect(actions, name).toEqual(['/console/sign-out']);
      expect((await heading(page)).length, name).toBeGreaterThan(1);
    }
    await page.getByRole('button', { name: 'Sign out' }).click();
    expect(await heading(page)).toBe('Sign in to the console');
    await page.goBack();
    expect(await heading(page)).toBe('Sign in to the console');
  });

  it('shows a status by its shape and the focus in forced colours, and moves nothing where motion is not wanted', async () => {
    const { page, tabTo } = await arriveAt(browser, [broker.url], DESKTOP);
    await enter(page);
    await page.emulateMedia({ forcedColors: 'active', reducedMotion: 'reduce' });
    await page.goto(`${broker.url}/console/connections`);
    await tabTo('a.skip');
    await tabTo('button.quiet-button');
    const { kinds, shapes, drawn, moving } = await page.evaluate<Record<string, number>>(FORCED);
    expect(kinds).toBeGreaterThan(1);
    expect([shapes, drawn, moving]).toEqual([kinds, kinds, 0]);
  });

  it('is used by keyboard: past the menu to the content, and the menu of a phone opens', async () => {
    const { page, tabTo } = await arriveAt(browser, [broker.url], { viewport: { width: 360, height: 740 } });
    await enter(page);
    await tabTo('a.skip');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
    await page.goto(`${broker.url}/console`);
    await tabTo('button.menu-button');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Callers' }).click();
    expect(await heading(page)).toBe('Callers');
  });
});
