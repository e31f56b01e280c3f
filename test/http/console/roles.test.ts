// Roles × routes of the console: strangers are led to the sign-in, viewers change nothing, and no route answers with a defect.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consoleRoutes } from '../../../src/http/console/console.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';

/** The routes as they are registered; nothing is called, so what a view works with may be anything. */
function registered(): { method: string; path: string }[] {
  const anything: unknown = new Proxy(() => anything, { get: (_, name) => (name === 'url' ? 'http://x' : anything) });
  const site = { base: '', appName: 'Valetkey' };
  const parts = new Proxy(
    {},
    { get: (_, name) => (name === 'site' ? site : name === 'publicUrl' ? 'http://x' : anything) },
  );
  const all = consoleRoutes(parts as Parameters<typeof consoleRoutes>[0]).routes.filter(
    ({ method, path }) => method !== 'ALL' && !path.endsWith('*'),
  );
  return [...new Map(all.map((one) => [`${one.method} ${one.path}`, one])).values()];
}

/** Before the sign-in. */
const ENTRANCE = /^\/console\/(sign-in|callback|link)/;

describe('console: roles and routes', () => {
  let broker: TestBroker;
  let dead: string;
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    broker = await startTestBroker({}, undefined, { refreshAhead: false });
    const params = { authorization_url: 'https://acme.example/authorize', token_url: 'https://127.0.0.1:1/token' };
    const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
    await broker.ask('PUT', '/v1/integrations/acme', setup);
    const credentials = { access_token: 'a', refresh_token: 'r' };
    const importing = async (owner: string) =>
      String((await broker.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials })).body.id);
    ids.connections = await importing('user_1');
    dead = await importing('user_2');
    const grants = [{ actions: ['token'], integrations: ['acme'], owners: ['*'] }];
    ids.callers = String((await broker.ask('POST', '/v1/callers', { name: 'mailer', grants })).body.id);
    ids.endpoints = String(
      (await broker.ask('POST', '/v1/webhook-endpoints', { url: 'https://127.0.0.1:1/e' })).body.id,
    );
    ids.integrations = 'acme';
    // Of an admin who came by a link, as the others do: they are one caller.
    const admin = await entered('admin');
    await admin.get('/console/system');
    ids.jobs = (await admin.post('/console/system/rotate-keys', { confirmation: 'rotate' })).url.pathname
      .split('/')
      .at(-1)!;
    expect(ids.jobs).toMatch(/^job_/);
  });
  afterAll(() => broker?.stop());

  const concrete = (path: string) =>
    path
      .replace(
        /\/(connections|callers|endpoints|integrations|jobs)\/:(\w+)(\{[^}]*\})?/g,
        (_, kind: string) => `/${kind}/${ids[kind]}`,
      )
      .replace(/:sessions?\b|\/sessions\/:\w+(\{[^}]*\})?/g, '/sessions/cse_01')
      .replace(/:\w+(\{[^}]*\})?/g, 'x');
  async function entered(role: string): Promise<ConsoleBrowser> {
    const browser = consoleBrowser(broker.url);
    await openLink(browser, (await broker.ask('POST', '/v1/console-links', { role })).body.url);
    return browser;
  }
  const routes = registered().filter(({ path }) => path.startsWith('/console') && !ENTRANCE.test(path));

  it('has routes for all views', () => {
    expect(routes.filter(({ method }) => method === 'GET').length).toBeGreaterThan(15);
    expect(routes.filter(({ method }) => method === 'POST').length).toBeGreaterThan(15);
  });

  it('leads strangers to the sign-in, whatever they ask for', async () => {
    for (const { method, path } of routes) {
      const at = concrete(path);
      const browser = consoleBrowser(broker.url);
      const page = method === 'GET' ? await browser.get(at) : await browser.post(at);
      expect([page.status, page.url.pathname], `${method} ${path}`).toEqual([200, '/console/sign-in']);
    }
  });

  it.each(['viewer', 'operator', 'admin'])(
    'leads a %s from the set-up of an integration to no page that refuses',
    async (role) => {
      const browser = await entered(role);
      const { html } = await browser.get('/console/integrations/acme/set-up');
      const links = [...html.matchAll(/href="(\/console[^"#]*)"/g)].map(([, path]) => path!);
      expect(links.includes('/console/callers/new')).toBe(role === 'admin');
      for (const path of new Set(links)) expect((await browser.get(path)).status, path).toBe(200);
    },
  );

  it('leads from home to pages that are there', async () => {
    expect((await broker.ask('POST', '/v1/jobs', { kind: 'connections.revoke', owner: 'user_9' })).status).toBe(202);
    const browser = await entered('viewer');
    const { html, text } = await browser.get('/console');
    expect(text).toContain('Job started all integrations');
    const links = [...html.matchAll(/href="(\/console[^"#]*)"/g)].map(([, path]) => path!.replaceAll('&amp;', '&'));
    for (const path of new Set(links)) expect((await browser.get(path)).status, path).toBe(200);
  });

  it.each(['viewer', 'operator', 'admin'])('answers a %s on every page, and never with a defect', async (role) => {
    const browser = await entered(role);
    for (const { method, path } of routes.filter(({ method: one }) => one === 'GET')) {
      const page = await browser.get(concrete(path));
      expect(page.status, `${method} ${path}`).toBeLessThan(500);
      expect(page.url.pathname, `${method} ${path}`).not.toBe('/console/sign-in');
    }
  });

  const actions = () => routes.filter(({ method, path }) => method === 'POST' && path !== '/console/sign-out');
  /** With what has to be typed for it. */
  const send = (browser: ConsoleBrowser, path: string) => {
    const at = concrete(path);
    const id = Object.values(ids).find((one) => at.split('/').includes(one)) ?? 'x';
    return browser.post(at, { confirmation: path.endsWith('/rotate-keys') ? 'rotate' : id, name: 'x' });
  };
  /** For admins alone. */
  const MANAGES =
    /^\/console\/(callers|integrations\/(?!:id\/try)|system)|\/endpoints\/[^/]+\/(enable|disable|rotate-secret|delete)$/;

  it('refuses an operator what is for admins, also without its form', async () => {
    const browser = await entered('operator');
    const forAdmins = actions().filter(({ path }) => MANAGES.test(path));
    expect(forAdmins.length).toBeGreaterThan(15);
    for (const { path } of forAdmins) {
      const page = await send(browser, path);
      expect(page.status, path).toBeGreaterThanOrEqual(400);
      expect(page.status, path).toBeLessThan(500);
    }
  });

  it.each([
    ['viewer', () => actions()],
    ['operator', () => actions().filter(({ path }) => MANAGES.test(path))],
  ])('judges the role of a %s before what was sent: no page says what is wrong with it', async (role, refused) => {
    const browser = await entered(role);
    for (const { path } of refused()) {
      const page = await browser.post(concrete(path), {});
      // What belongs to others, or is not there, is not found.
      expect([403, 404], path).toContain(page.status);
      const forms = [...page.html.matchAll(/<form method="post" action="([^"]*)"/g)].map(([, action]) => action);
      expect(forms, path).toEqual(['/console/sign-out']);
    }
  });

  it('lets a viewer change nothing: every action is refused, and the audit log has none', async () => {
    const browser = await entered('viewer');
    for (const { path } of actions()) {
      const page = await send(browser, path);
      expect(page.status, path).toBeGreaterThanOrEqual(400);
      expect(page.status, path).toBeLessThan(500);
      expect(page.url.searchParams.get('done'), path).toBeNull();
    }
    const { body } = await broker.ask('GET', '/v1/audit?limit=500');
    // The key rotation is the admin's.
    const own = (body.data as { actor: string; action: string; outcome: string }[]).filter(
      ({ actor, action, outcome }) =>
        actor.startsWith('user:') && outcome === 'ok' && !/^(job\.started|keys?\.)/.test(action),
    );
    const READS = /[._](read|list|opened)$/;
    expect(own.map(({ action }) => action).filter((action) => !READS.test(action))).toEqual([]);
    for (const path of [`/v1/connections/${ids.connections}`, `/v1/connections/${dead}`])
      expect((await broker.ask('GET', path)).body.status).toBe('active');
    expect((await broker.ask('GET', '/v1/callers')).body.data).toHaveLength(1);
    expect((await broker.ask('GET', '/v1/integrations')).body.data).toHaveLength(1);
  });
});
