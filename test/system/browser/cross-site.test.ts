// The connect flow in a real browser, below a sub-path and at a provider of another site: what comes by POST, and another try.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import type { TestBroker } from '../../support/broker.ts';
import { startChoosingProvider } from '../../support/choosing-provider.ts';
import {
  connect,
  connectionOf,
  createConnectSession,
  putIntegrationAt,
  sessionOf,
} from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';
import { startBelowSubPath } from '../../support/sub-path.ts';
import { arriveAt, expectFit, heading, launch, PHONE, signIn } from './page-inspector.ts';

/** A provider that posts its authorization responses. */
const POSTING = {
  id: 'posting',
  name: 'Posting',
  category: 'generic',
  docs_url: 'https://posting.example/docs',
  confidence: 'unverified',
  params: { issuer: { title: 'issuer', pattern: 'http://127\\.0\\.0\\.1:[0-9]{4,5}' } },
  auth: [
    {
      mode: 'oidc',
      issuer: '{issuer}',
      default_scopes: ['openid'],
      authorization_params: { response_mode: 'form_post' },
    },
  ],
};

const installed = inject('chromium');

/** `localhost` and `127.0.0.1` are different sites: cookies that are Lax do not come with a cross-site post. */
describe.skipIf(installed === undefined)('connect flow below a sub-path, at a provider of another site', () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-browser-'));
  let broker: TestBroker;
  let provider: LocalProvider;
  let choosing: LocalProvider;
  let app: ScriptedServer;
  let browser: Browser;

  beforeAll(async () => {
    writeFileSync(join(folder, 'posting.json'), JSON.stringify(POSTING));
    [broker, provider, choosing, app, browser] = await Promise.all([
      startBelowSubPath({ strips: true, host: 'localhost' }, { VALETKEY_PROVIDERS_DIR: folder }),
      startProvider(),
      startChoosingProvider(),
      startScriptedServer(() => ({ headers: { 'content-type': 'text/html' }, body: '<title>App</title><h1>App</h1>' })),
      launch(installed),
    ]);
    await putIntegrationAt(broker, 'acme', provider);
    await putIntegrationAt(broker, 'choosing', choosing);
    await putIntegrationAt(broker, 'posting', provider, { provider: 'posting' });
  });
  afterAll(async () => {
    await browser?.close();
    await Promise.all([broker?.stop(), provider?.close(), choosing?.close(), app?.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  const visit = () => arriveAt(browser, [new URL(broker.url).origin, provider.issuer, choosing.issuer, app.url], PHONE);
  const atSession = ({ href }: URL) => href.startsWith(`${broker.url}/connect/sessions/`);
  const confirm = async (page: Page, url: string) => {
    await page.goto(url);
    await page.getByRole('button', { name: /^Continue to/ }).click();
    await page.waitForURL((at) => at.hostname === '127.0.0.1');
  };

  it.each([
    ['in its URL', 'acme'],
    ['by POST (form_post)', 'posting'],
  ])(
    'the authorization response comes %s: connected, and code and state have left the address bar',
    async (_, integration) => {
      const invited = await createConnectSession(broker, { integration });
      const { page } = await visit();
      const callbacks: string[] = [];
      page.on('request', (request) => {
        if (request.url().includes('/oauth2/callback/')) callbacks.push(`${request.method()} ${request.url()}`);
      });
      await confirm(page, invited.url);
      await signIn(page, 'alice');
      await page.waitForURL(atSession);
      expect(await heading(page)).toMatch(/account is connected/);
      await expectFit(page, `below a sub-path, ${integration}`);
      await page.reload();
      expect(await heading(page)).toMatch(/account is connected/);
      if (integration === 'posting') {
        expect(callbacks).toEqual([
          `POST ${broker.url}/oauth2/callback/posting`,
          expect.stringContaining('?form_post='),
        ]);
        expect(callbacks.join()).not.toMatch(/[?&](code|state)=/);
      }
      expect(await sessionOf(broker, invited)).toMatchObject({ status: 'completed' });
    },
  );

  it.each([
    ['that lets people choose an account', 'choosing'],
    ['that has no choice of accounts', 'acme'],
  ])(
    'a renewal with the wrong account at a provider %s: another try leads to the right one',
    async (_, integration) => {
      const first = await createConnectSession(broker, { integration });
      await connect(broker, first.url, { login: 'ada' });
      const { id, owner } = await connectionOf(broker, first);
      const again = await createConnectSession(broker, { integration, owner, connection_id: id });
      const { page, tabTo } = await visit();
      await confirm(page, again.url);
      await signIn(page, 'mallory');
      await page.waitForURL(atSession);
      expect(await heading(page)).toBe('That is a different account');
      expect(await page.locator('main').innerText()).toContain('The account that is connected is ada.');
      await expectFit(page, `wrong account, ${integration}`);
      await tabTo('button.action');
      await page.keyboard.press('Enter');
      await page.waitForURL((at) => at.hostname === '127.0.0.1');
      await page.goBack();
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.waitForURL((at) => at.hostname === '127.0.0.1');
      await signIn(page, 'ada');
      await page.waitForURL(atSession);
      expect(await heading(page)).toMatch(/account is connected/);
      expect(await connectionOf(broker, again)).toMatchObject({ id, generation: 2 });
    },
  );

  it('a two-phase link that was sent on connects nothing: the app finishes it for who is signed in', async () => {
    const twoPhase = (owner: string) =>
      createConnectSession(broker, { owner, finish: true, return_url: `${app.url}/` });
    const finish = (id: string, body: object) => broker.ask('POST', `/v1/connect-sessions/${id}/finish`, body);
    const { page } = await visit();
    const backAtApp = async () => {
      await page.waitForURL((at) => at.origin === app.url);
      return Object.fromEntries(new URL(page.url()).searchParams);
    };
    const own = await twoPhase('bob');
    await page.goto(own.url);
    await signIn(page, 'bob');
    const { finish_code } = await backAtApp();
    expect((await finish(own.id, { finish_code, owner: 'bob' })).body).toMatchObject({ status: 'completed' });

    // Bob is signed in at the provider by now: one click.
    const sent = await twoPhase('mallory');
    await page.goto(sent.url);
    await page.locator('button[value=allow]').click();
    const told = await backAtApp();
    expect(told).toMatchObject({ status: 'confirm', connect_session_id: sent.id });
    expect(await finish(sent.id, { finish_code: told.finish_code, owner: 'bob' })).toMatchObject({ status: 403 });
    expect((await finish(sent.id, { finish_code: told.finish_code, owner: 'mallory' })).status).toBe(410);
    expect((await broker.ask('GET', '/v1/token?integration=acme&owner=mallory')).status).toBe(404);
    await page.goto(sent.url);
    expect(await backAtApp()).toEqual({ status: 'error', connect_session_id: sent.id, error: 'owner_mismatch' });
  });
});
