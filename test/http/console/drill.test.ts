// The 3 a.m. drill: five things that break, and the reason on screen within two clicks from Home, without scripts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, type ConsolePage, consoleBrowser, openLink } from '../../support/console-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const WAIT = { timeout: 30_000, interval: 20 };

describe('console: the 3 a.m. drill', () => {
  let broker: TestBroker;
  let vendor: ScriptedServer;
  let answer: { status: number; body: object };

  beforeAll(async () => {
    vendor = await startScriptedServer(() => answer);
    broker = await startTestBroker({}, undefined, { refreshAhead: false });
  });
  afterAll(async () => {
    await broker?.stop();
    await vendor?.close();
  });

  /** Sets up an integration with one connection whose token has expired, and has it read. */
  async function failing(id: string, with_: typeof answer): Promise<string> {
    const params = { authorization_url: `${vendor.url}/authorize`, token_url: `${vendor.url}/token` };
    const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
    await broker.ask('PUT', `/v1/integrations/${id}`, setup);
    const credentials = { access_token: 'a', refresh_token: `r-${id}`, expires_at: '2026-01-01T00:00:00Z' };
    const made = await broker.ask('POST', '/v1/connections', { integration: id, owner: 'user_1', credentials });
    expect(made.status).toBe(201);
    answer = with_;
    await broker.ask('GET', `/v1/connections/${made.body.id}/token`);
    return String(made.body.id);
  }
  async function atHome(): Promise<{ browser: ConsoleBrowser; home: ConsolePage }> {
    const browser = consoleBrowser(broker.url);
    const home = await openLink(browser, (await broker.ask('POST', '/v1/console-links', { role: 'viewer' })).body.url);
    return { browser, home };
  }
  /** Follows a link that the page has. */
  async function click(browser: ConsoleBrowser, page: ConsolePage, href: RegExp): Promise<ConsolePage> {
    const links = [...page.html.matchAll(/href="([^"]+)"/g)].map(([, to]) => to!.replaceAll('&amp;', '&'));
    const to = links.find((one) => href.test(one));
    expect(to, `a link like ${href} on ${page.url.pathname}`).toBeDefined();
    return browser.get(to!);
  }

  it('the provider is down: Home says so, and the connection when the next try is', async () => {
    const id = await failing('downer', { status: 503, body: {} });
    const { browser, home } = await atHome();
    const list = await click(browser, home, /connections\?.*integration=downer&status=failing/);
    const page = await click(browser, list, new RegExp(`/connections/${id}$`));
    expect(page.text).toMatch(/the provider/i);
    expect(page.text).toMatch(/503|unavailable|does not answer|fails/i);
  });

  it('the client secret was replaced at the vendor: the admin is named', async () => {
    const id = await failing('secretive', { status: 401, body: { error: 'invalid_client' } });
    const { browser, home } = await atHome();
    expect(home.text).toContain('Needs attention');
    const page = await click(browser, home, /\/console\/integrations\/secretive$/);
    expect(page.text).toMatch(/invalid_client|refuses (the|its) client/i);
    expect(page.text).toMatch(/client secret/i);
    const one = await browser.get(`/console/connections/${id}`);
    expect(one.html).toMatch(/integrations\/secretive">an admin of the integration</);
  });

  it('consent was withdrawn: the owner is named', async () => {
    const id = await failing('withdrawn', { status: 400, body: { error: 'invalid_grant' } });
    const { browser, home } = await atHome();
    const list = await click(browser, home, /connections\?.*integration=withdrawn.*needs_reauth/);
    const page = await click(browser, list, new RegExp(`/connections/${id}$`));
    expect(page.text).toMatch(/owner/i);
    expect(page.text).toMatch(/connect link/i);
  });

  it('a caller has a wrong key: the audit log says from where', async () => {
    await broker.ask('GET', '/v1/connections', undefined, `vk_${'x'.repeat(43)}`);
    const { browser, home } = await atHome();
    const page = await click(browser, home, /\/console\/audit$/);
    expect(page.text).toContain('authentication.failed');
    expect(page.text).toContain('127.0.0.1');
    expect(page.text).toContain('vk_xxxxx');
  });

  it('an endpoint is dead: its page says what it answered', async () => {
    answer = { status: 500, body: {} };
    const made = await broker.ask('POST', '/v1/webhook-endpoints', { url: `${vendor.url}/hook` });
    await broker.ask('POST', `/v1/webhook-endpoints/${made.body.id}/test`);
    await expect
      .poll(async () => {
        const { body } = await broker.ask('GET', `/v1/deliveries?endpoint=${made.body.id}`);
        // An attempt is counted when it begins.
        return (body.data as { last_error?: string | null }[])[0]?.last_error;
      }, WAIT)
      .toBe('status_500');
    const { browser, home } = await atHome();
    const events = await click(browser, home, /\/console\/events$/);
    const page = await click(browser, events, new RegExp(String(made.body.id)));
    expect(page.text).toContain('500');
  });
});
