// What others have written, on every page of the console: vendors, owners, callers and agents. It is text, it hides nothing, and
// leads nowhere.
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, type ConsolePage, consoleBrowser, openLink } from '../../support/console-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

/** Closes every context that it may be in. */
const EVIL =
  '"\'></textarea></pre></title></style><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\u200b{{7}}';
const LINK = 'javascript:alert(document.domain)';
const SIGNING = 'hostile-signing-secret';

describe('console: what others have written', () => {
  let broker: TestBroker;
  let vendor: ScriptedServer;
  let admin: ConsoleBrowser;
  const pages = new Map<string, ConsolePage>();

  async function made(method: string, path: string, body: unknown, key?: string): Promise<Json> {
    const answer = await broker.ask(method, path, body, key);
    expect([path, answer.status, answer.status < 300 ? '' : answer.body]).toEqual([path, answer.status, '']);
    return answer.body;
  }

  beforeAll(async () => {
    vendor = await startScriptedServer(({ path }) => {
      if (path === '/token')
        return { status: 400, body: { error: 'invalid_grant', error_description: EVIL, error_uri: LINK } };
      return { status: 500, headers: { 'content-type': 'text/html' }, body: EVIL };
    });
    broker = await startTestBroker({}, undefined, { refreshAhead: false, jobsEveryMs: 20 });
    const params = { authorization_url: `${vendor.url}/authorize`, token_url: `${vendor.url}/token` };
    await made('PUT', '/v1/integrations/acme', {
      ...{ provider: 'generic-oauth2', client_id: EVIL, client_secret: 's', params, scopes: ['"><b>', LINK] },
    });
    await made('PUT', '/v1/integrations/chat', {
      ...{ provider: 'slack', client_id: LINK, client_secret: 's', webhook: { secrets: [SIGNING] } },
    });
    const credentials = { access_token: 'a', refresh_token: 'r', expires_at: '2026-01-01T00:00:00Z' };
    const connect = (more: Json) =>
      made('POST', '/v1/connections', { integration: 'acme', owner: EVIL, credentials, ...more });
    const account = { issuer: LINK, id: EVIL, name: EVIL };
    const dead = await connect({ account, label: '"><i>\u202e', metadata: { note: EVIL } });
    await connect({ owner: LINK, account: { ...account, name: LINK, id: LINK }, metadata: { url: LINK } });
    await broker.ask('GET', `/v1/connections/${dead.id}/token`);
    await broker.ask('GET', '/v1/connections?owner=%3Cscript%3E', undefined, EVIL.replaceAll(/[^\x20-\x7e]/g, ''));
    const all = { actions: ['*'], integrations: ['*'], owners: ['*'] };
    const caller = await made('POST', '/v1/callers', {
      name: EVIL,
      grants: [all, { actions: ['token'], integrations: ['acme'], owners: ['"><b>\u202e'] }],
    });
    const key = String(caller.key);
    await made(
      'POST',
      '/v1/webhook-endpoints',
      { url: `${vendor.url}/hook?a=%22%3E%3Cb%3E`, description: EVIL, owners: [EVIL] },
      key,
    );
    const endpoint = await made('POST', '/v1/webhook-endpoints', { url: `${vendor.url}/other` }, key);
    await made('POST', `/v1/webhook-endpoints/${endpoint.id}/test`, undefined, key);
    await made(
      'POST',
      '/v1/sessions',
      {
        ...{ owner: EVIL, integrations: ['acme'], actions: ['proxy'], actor: { id: EVIL, name: EVIL }, purpose: EVIL },
      },
      key,
    );
    await received(
      JSON.stringify({ type: 'event_callback', team_id: EVIL, event_id: EVIL, event: { type: EVIL, url: LINK } }),
    );
    await made('POST', '/v1/connect-sessions', { integration: 'acme', owner: EVIL, display_owner: 'E "><b>' });
    admin = consoleBrowser(broker.url);
    await openLink(admin, (await broker.ask('POST', '/v1/console-links', { role: 'admin' })).body.url);
    const attempts = async () => ((await broker.ask('GET', '/v1/deliveries')).body.data as Json[])[0]?.attempts;
    await vi.waitFor(async () => expect(await attempts()).toBeGreaterThan(0), { timeout: 30_000 });
  });
  afterAll(async () => {
    await broker?.stop();
    await vendor?.close();
  });

  async function received(body: string): Promise<void> {
    const at = String(Math.floor(Date.now() / 1_000));
    const signature = `v0=${createHmac('sha256', SIGNING).update(`v0:${at}:${body}`).digest('hex')}`;
    const headers = {
      'content-type': 'application/json',
      'x-slack-request-timestamp': at,
      'x-slack-signature': signature,
    };
    const answer = await fetch(`${broker.url}/webhooks/chat`, { method: 'POST', headers, body });
    expect(answer.status).toBeLessThan(300);
  }

  /** Every page that a page leads to; of pages of the catalogue and of filters, a few. */
  async function crawl(path: string): Promise<void> {
    const kind = path
      .replace(/\?.*/, '?')
      .replace(/\b[a-z]{2,4}_\w+/g, 'id')
      .replace(/new\/[\w-]+/, 'new/x');
    const known = [...pages.keys()].filter((one) => one.startsWith(`${kind} `)).length;
    if (known >= 2 || path.includes('/export')) return;
    const name = `${kind} ${path}`;
    if (pages.has(name)) return;
    const page = await admin.get(path);
    pages.set(name, page);
    for (const [, href] of page.html.matchAll(/<a\b[^>]*href="([^"]*)"/g)) {
      const to = href!.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");
      if (to.startsWith('/console')) await crawl(to);
    }
  }

  it('is text on every page that the console leads to', { timeout: 60_000 }, async () => {
    await crawl('/console');
    expect(pages.size).toBeGreaterThan(35);
    for (const [name, { html, status, headers }] of pages) {
      expect([name, status]).toEqual([name, 200]);
      expect(headers.get('content-security-policy'), name).toContain("default-src 'none'");
      expect(headers.get('cache-control'), name).toBe('no-store');
      expect(html, name).not.toMatch(/<img|<script>|<b>|<i>/);
      const tags = html.match(/<[a-z][^>]*>/g)!;
      for (const tag of tags) expect(tag.replaceAll(/"[^"]*"/g, '""'), name).not.toMatch(/ (style|on\w+)=/);
      for (const [, href] of html.matchAll(/(?:href|action|src|formaction)="([^"]*)"/g))
        expect(href, name).toMatch(/^(\/|#|https?:\/\/|$)/);
      // A form gives back what it was given; nothing else on a page turns text around or hides it.
      const shown = html.replaceAll(/<textarea[^>]*>[^<]*/g, '').replaceAll(/<[^>]*>/g, '');
      expect(shown, name).not.toMatch(/[\u202e\u200b]/);
    }
  });

  it('is shown where it belongs, so that the pages above were not empty of it', () => {
    const seen = [...pages]
      .filter(([, { html }]) => html.includes('&lt;script&gt;alert(1)'))
      .map(([name]) => name.split(' ')[0]);
    for (const kind of [
      ...['/console/connections', '/console/connections/id', '/console/callers', '/console/callers/id'],
      ...['/console/sessions', '/console/events', '/console/audit', '/console/events/received/id'],
    ])
      expect(seen).toContain(kind);
  });

  it('is no header of a download, and no line of its own in it', async () => {
    const download = await admin.get(`/console/audit/export?${new URLSearchParams({ owner: EVIL })}`);
    expect(download.headers.get('content-disposition')).toMatch(/^attachment; filename="audit-[\d-]+\.ndjson"$/);
    expect(download.headers.get('content-type')).toBe('application/x-ndjson');
    for (const line of download.html.trimEnd().split('\n')) expect(JSON.parse(line)).toMatchObject({ owner: EVIL });
  });

  it.each([
    '//evil.example',
    '/\\evil.example',
    '\\/evil.example',
    'https://evil.example',
    '/x\r\nSet-Cookie: a=b',
    '@evil.example',
  ])('a sign-in that is to go on to %j stays here', async (to) => {
    const page = await consoleBrowser(broker.url).get(`/console/sign-in?${new URLSearchParams({ to })}`);
    expect([page.status, page.url.origin]).toEqual([200, new URL(broker.url).origin]);
    expect(page.html).not.toContain('evil.example');
  });

  it('a form of another site is refused, also where the browser says nothing of sites', async () => {
    const [id] = ((await broker.ask('GET', '/v1/connections?limit=1')).body.data as Json[]).map((one) => one.id);
    const path = `/console/connections/${id}/revoke`;
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }])
      expect((await admin.post(path, { confirmation: String(id) }, headers)).status).toBe(403);
    const cookie = [...admin.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const form = { 'content-type': 'application/x-www-form-urlencoded', cookie };
    const bare = await fetch(new URL(path, broker.url), { method: 'POST', headers: form, body: `confirmation=${id}` });
    expect(bare.status).toBe(403);
    const text = { ...form, 'content-type': 'text/plain' };
    expect(
      (await fetch(new URL(path, broker.url), { method: 'POST', headers: text, body: 'form_token=x' })).status,
    ).toBe(403);
  });
});
