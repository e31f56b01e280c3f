// The console's view of limits and circuits: what is paused, why, and what happens next.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';
import { expectOk } from '../../support/contract.ts';
import { callApi, type LimitedApi, startLimitedApi } from '../../support/limited-api.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';
import { startWebhookReceiver, status, type WebhookReceiver } from '../../support/webhook-receiver.ts';

const PATIENT = { timeout: 30_000, interval: 50 };
const CANARY = 'canary-of-the-provider';

describe('console: limits and circuits', () => {
  let broker: TestBroker;
  let api: LimitedApi;
  let idp: ScriptedServer;
  let receiver: WebhookReceiver;
  let viewer: ConsoleBrowser;
  const page = (query = '') => viewer.get(`/console/limits${query}`);

  beforeAll(async () => {
    api = await startLimitedApi({
      scope: 'connection',
      headers: { limit: ['x-limit'], remaining: ['x-left'], reset: { name: 'x-reset', unit: 'seconds' } },
    });
    idp = await startScriptedServer(({ path }) => {
      if (path === '/token') return { status: 503, body: CANARY };
      const endpoints = { authorization_endpoint: `${idp.url}/authorize`, token_endpoint: `${idp.url}/token` };
      return { body: { issuer: idp.url, jwks_uri: `${idp.url}/jwks`, ...endpoints } };
    });
    receiver = await startWebhookReceiver();
    receiver.answer('/hook', status(500));
    broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: api.providers });
    viewer = consoleBrowser(broker.url);
    const { url } = (await broker.ask('POST', '/v1/console-links', { role: 'viewer' })).body;
    await openLink(viewer, url);
  });
  afterAll(async () => {
    await broker?.stop();
    await Promise.all([api?.close(), idp?.close(), receiver?.close()]);
  });

  it('says that nothing is held up while that is so', async () => {
    const { text, html } = await page();
    for (const words of ['Nothing is held up', 'Every token endpoint is asked', 'No limit has been met'])
      expect(text).toContain(words);
    expect(html.match(/method="post"/g)).toHaveLength(1);
  });

  it('shows the limits that APIs have told, and what is left of them', async () => {
    const [calm, tight] = [await api.connect(broker, 'acme', 'calm'), await api.connect(broker, 'acme', 'tight')];
    api.answers('200 OK', ['X-Limit: 100', 'X-Left: 12', 'X-Reset: 60']);
    expect((await callApi(broker, calm)).status).toBe(200);
    api.answers('429 Too Many Requests', ['Retry-After: 90']);
    expect((await callApi(broker, tight)).status).toBe(429);
    expect((await callApi(broker, tight)).status).toBe(429);
    const { text, html } = await page();
    expect(text).toContain('Calls to the APIs of acme wait for a limit.');
    expect(text).toMatch(/12 of 100 left *, renewed in (1 minute|\d+ seconds)/);
    expect(text).toMatch(/met; free in 1 minute|met; free in \d+ seconds/);
    expect(html).toContain(`/console/connections/${tight}`);
    expect(html.indexOf(tight)).toBeLessThan(html.indexOf(calm));
    expect(text).toMatch(/acme 1 1 (now|\d+ seconds? ago)/);
  });

  it('shows the hosts that fail, the token endpoints that are not asked, and the endpoints that do not answer', async () => {
    const failing = [];
    for (let n = 0; n < 3; n++) failing.push(await api.connect(broker, 'other', `u${n}`));
    api.answers('503 Service Unavailable');
    for (let n = 0; n < 9; n++) await callApi(broker, failing[n % 3]!);

    const setup = { provider: 'generic-oidc', client_id: 'a', client_secret: 'b-secret', params: { issuer: idp.url } };
    expectOk(await broker.ask('PUT', '/v1/integrations/down', setup), 201);
    const expired = { refresh_token: 'r', access_token: 'a', expires_at: '2020-01-01T00:00:00Z', scopes: ['openid'] };
    for (let n = 0; n < 6; n++)
      await broker.ask('POST', '/v1/connections', { integration: 'down', owner: `u${n}`, credentials: expired });

    const hook = { url: `${receiver.url}/hook` };
    const { id } = expectOk(await broker.ask('POST', '/v1/webhook-endpoints', hook), 201);
    for (let n = 0; n < 6; n++) await broker.ask('POST', `/v1/webhook-endpoints/${id}/test`);

    const { text, html } = await vi.waitFor(async () => {
      const now = await page();
      for (const words of ['Refreshes at down are paused', 'are refused or slowed down', 'One webhook endpoint fails'])
        expect(now.text).toContain(words);
      return now;
    }, PATIENT);
    expect(text).toContain('It is down, or cannot be reached.');
    expect(text).toContain(idp.url);
    expect(text).toContain(new URL(api.upstream.url).host);
    expect(html).toContain(`/console/events/endpoints/${id}`);
    expect(html).not.toContain(CANARY);
    expect(html).not.toContain('b-secret');
  });

  it('narrows to an integration, by an address that may be hostile', async () => {
    const { text } = await page('?integration=down');
    expect(text).toContain('Refreshes at down are paused.');
    expect(text).not.toContain('Hosts that are not called for now');
    expect((await page('?integration=none')).text).toContain('Nothing is held up');
    for (const hostile of ['<img src=x>', '%00', 'x'.repeat(5_000)]) {
      const shown = await page(`?integration=${encodeURIComponent(hostile)}`);
      expect([shown.status, shown.html.includes('<img')]).toEqual([200, false]);
    }
  });
});
