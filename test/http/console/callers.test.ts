// Callers in the console: what they may do in words, their keys, grants and workload identities, and the tester.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';

const XSS = '"><script>alert(1)</script>';
const ISSUER = 'https://issuer.example';

interface Stored {
  grants: unknown[];
  workloads: { id: string }[];
  keys: { id: string }[];
}

describe('console: callers', () => {
  let broker: TestBroker;
  let [admin, operator, viewer] = [] as unknown as [ConsoleBrowser, ConsoleBrowser, ConsoleBrowser];
  beforeAll(async () => {
    broker = await startTestBroker({}, { trusted_issuers: [{ issuer: ISSUER }] });
    const signedIn = async (role: string) => {
      const browser = consoleBrowser(broker.url);
      await openLink(browser, (await broker.ask('POST', '/v1/console-links', { role })).body.url);
      return browser;
    };
    [admin, operator, viewer] = [await signedIn('admin'), await signedIn('operator'), await signedIn('viewer')];
  });
  afterAll(() => broker?.stop());

  const caller = async (id: string) => (await broker.ask('GET', `/v1/callers/${id}`)).body as unknown as Stored;
  const idIn = (html: string) => /\/console\/callers\/(clr_\w+)/.exec(html)![1]!;
  const fieldIn = (html: string, name: string) => new RegExp(`name="${name}" value="([^"]*)"`).exec(html)![1]!;
  let mailer = '';

  it('an empty list says what callers are, and lets admins create one', async () => {
    const page = await admin.get('/console/callers');
    expect(page.text).toContain('There is no caller yet.');
    expect(page.html).toContain('/console/callers/new');
    for (const browser of [operator, viewer]) {
      expect((await browser.get('/console/callers')).html).not.toContain('/console/callers/new');
      expect((await browser.get('/console/callers/new')).status).toBe(403);
    }
  });

  it('a new caller has a grant, and its key is shown once', async () => {
    const faulty = await admin.post('/console/callers/new', {
      name: XSS,
      actions: 'token',
      owners: 'a*b',
      paths: 'no-slash',
      'rate_limit.requests': '5',
      key_expires_at: '31.12.2027',
    });
    expect(faulty.status).toBe(422);
    for (const name of ['integrations', 'owners', 'paths', 'rate-limit-window', 'key-expires-at'])
      expect([name, faulty.html.includes(`id="f-${name}-error"`)]).toEqual([name, true]);
    expect(faulty.html).not.toContain('<script>alert');
    const created = await admin.post('/console/callers/new', {
      name: `mailer ${XSS}`,
      actions: 'token',
      integrations: 'slack\r\nmail_*',
      owners: '*',
      scopes: 'chat:write',
      'rate_limit.requests': '5',
      'rate_limit.window': '1',
      key_expires_at: '2099-12-31',
    });
    const key = /vk_\w{49}/.exec(created.html)![0];
    mailer = idIn(created.html);
    expect(await caller(mailer)).toMatchObject({
      grants: [{ actions: ['token'], integrations: ['slack', 'mail_*'], owners: ['*'], scopes: ['chat:write'] }],
      rate_limit: { requests: 5, window: 1 },
      keys: [{ expires_at: '2099-12-31T23:59:59.999Z' }],
    });
    expect((await broker.ask('GET', '/v1/whoami', undefined, key)).body.id).toBe(mailer);
    for (const path of ['', `/${mailer}`, `/${mailer}/edit`, `/${mailer}/grants/1`]) {
      const page = await admin.get(`/console/callers${path}`);
      expect([path, page.status, page.html.includes(key), page.html.includes('<script>alert')]).toEqual([
        path,
        200,
        false,
        false,
      ]);
    }
    const past = await admin.post('/console/callers/new', {
      name: 'x',
      actions: 'token',
      integrations: '*',
      owners: '*',
      key_expires_at: '2001-01-01',
    });
    expect([past.status, past.html.includes('id="f-key-expires-at-error"')]).toEqual([422, true]);
  });

  it('says in words what it may do, to viewers without forms', async () => {
    const page = await viewer.get(`/console/callers/${mailer}`);
    expect(page.text).toContain(
      'May read tokens, at &quot;slack&quot; or integrations that begin with &quot;mail_&quot;, for all owners; with no other scopes than &quot;chat:write&quot;.',
    );
    // Sign-out, and the tester, which is a GET.
    expect(page.html.match(/method="post"/g)).toHaveLength(1);
    expect((await viewer.get('/console/callers?q=MAIL%20tokens')).html).toContain(mailer);
    expect((await viewer.get('/console/callers?q=nothing-of-it')).text).toContain('No caller has all of these words.');
  });

  it('the tester says yes by which grant, or what is missing', async () => {
    const proxied = await admin.get(`/console/callers/${mailer}/grants/new`);
    const added = await admin.post(`/console/callers/${mailer}/grants/new`, {
      was: fieldIn(proxied.html, 'was'),
      actions: 'proxy',
      integrations: 'slack',
      owners: 'user_*',
      methods: 'get',
      paths: '/repos/*',
    });
    expect(added.url.search).toBe('?done=grants_saved');
    const ask = async (query: Record<string, string>) =>
      (await viewer.get(`/console/callers/${mailer}?${new URLSearchParams(query)}`)).text.replace(/\s+/g, ' ');
    const read = { action: 'token', integration: 'mail_1', owner: 'user_1' };
    expect(await ask({ ...read, scopes: 'chat:write' })).toContain('Yes by grant 1');
    expect(await ask(read)).toContain('As far as that is known');
    expect(await ask({ ...read, scopes: 'chat:write admin' })).toContain('but not the scopes admin.');
    expect(await ask({ ...read, integration: 'github' })).toContain('No grant has token at github and user_1.');
    const call = { action: 'proxy', integration: 'slack', owner: 'user_1' };
    expect(await ask({ ...call, method: 'head', path: '/repos/x' })).toContain('Yes by grant 2');
    expect(await ask({ ...call, method: 'POST', path: '/users' })).toContain(
      'but not the method POST, and not the path /users.',
    );
    expect(await ask({ ...call, path: '/repos/../users' })).toContain('The path has a segment');
    expect(await ask({ ...call, path: 'files:/x' })).toContain('not the path files:/x');
    expect(await ask({ action: XSS })).toContain('is no action');
    expect(await ask({ action: 'admin' })).toContain('No grant has admin at all integrations and all owners.');
  });

  it('grants are changed and removed one at a time, and never over the change of someone else', async () => {
    const form = await admin.get(`/console/callers/${mailer}/grants/1`);
    const was = fieldIn(form.html, 'was');
    expect(form.html).toMatch(/value="token" checked/);
    const change = {
      was,
      grant: fieldIn(form.html, 'grant'),
      actions: 'token',
      integrations: 'slack',
      owners: 'team_*',
    };
    expect((await admin.post(`/console/callers/${mailer}/grants/1`, change)).url.search).toBe('?done=grants_saved');
    expect((await caller(mailer)).grants).toEqual([
      { actions: ['token'], integrations: ['slack'], owners: ['team_*'] },
      { actions: ['proxy'], integrations: ['slack'], owners: ['user_*'], methods: ['GET'], paths: ['/repos/*'] },
    ]);
    const stale = await admin.post(`/console/callers/${mailer}/grants/1`, change);
    expect([stale.status, stale.text.includes('changed or removed meanwhile')]).toEqual([400, true]);
    const now = fieldIn((await admin.get(`/console/callers/${mailer}/grants/1`)).html, 'was');
    for (const fields of [{ was: now }, { was: now, confirmation: 'grant 1' }])
      expect(
        (await admin.post(`/console/callers/${mailer}/grants/2/delete`, fields as Record<string, string>)).status,
      ).toBe(400);
    const removal = { was: now, confirmation: 'grant 2' };
    expect((await operator.post(`/console/callers/${mailer}/grants/2/delete`, removal)).status).toBe(403);
    expect((await admin.post(`/console/callers/${mailer}/grants/2/delete`, removal)).url.search).toBe(
      '?done=grants_saved',
    );
    expect((await caller(mailer)).grants).toHaveLength(1);
    for (const number of ['0', '7', 'x', '1e0', '__proto__'])
      expect((await admin.get(`/console/callers/${mailer}/grants/${number}`)).status).toBe(404);
  });

  it('its name and rate limit change, and its grants and keys stay', async () => {
    const was = fieldIn((await admin.get(`/console/callers/${mailer}/edit`)).html, 'was');
    const saved = await admin.post(`/console/callers/${mailer}/edit`, { was, name: 'post' });
    expect(saved.url.search).toBe('?done=caller_saved');
    expect(await caller(mailer)).toMatchObject({ name: 'post', rate_limit: null, grants: [{}], keys: [{}] });
    const again = fieldIn((await admin.get(`/console/callers/${mailer}/edit`)).html, 'was');
    expect((await admin.post(`/console/callers/${mailer}/edit`, { was: again })).status).toBe(422);
    expect((await operator.post(`/console/callers/${mailer}/edit`, { was: again, name: 'x' })).status).toBe(403);
  });

  it('workload identities are added with the checks of the broker, and removed', async () => {
    const was = async () => fieldIn((await admin.get(`/console/callers/${mailer}/workloads/new`)).html, 'was');
    const path = `/console/callers/${mailer}/workloads/new`;
    const bad = await admin.post(path, {
      was: await was(),
      issuer: 'https://other.example',
      audience: 'v',
      claims: 'sub=*',
    });
    expect([
      bad.status,
      bad.text.includes('is not a trusted issuer'),
      bad.html.includes('id="f-claims-error"'),
    ]).toEqual([422, true, true]);
    const workload = {
      issuer: ISSUER,
      audience: 'valetkey',
      claims: 'sub=system:serviceaccount:prod:mailer\r\nenv=a=b',
      max_age: '600',
    };
    expect((await admin.post(path, { was: await was(), ...workload })).url.search).toBe('?done=workloads_saved');
    const [added] = (await caller(mailer)).workloads;
    expect(added).toMatchObject({ claims: { sub: 'system:serviceaccount:prod:mailer', env: 'a=b' }, max_age: 600 });
    const page = await admin.get(`/console/callers/${mailer}`);
    expect(page.text).toContain('env=a=b');
    const removal = { was: fieldIn(page.html, 'was'), confirmation: added!.id };
    await admin.post(`/console/callers/${mailer}/workloads/${added!.id}/delete`, removal);
    expect((await caller(mailer)).workloads).toEqual([]);
    const born = await admin.post('/console/callers/new', {
      name: 'ci',
      actions: 'token',
      integrations: '*',
      owners: '*',
      ...workload,
    });
    expect([born.url.search, /vk_/.test(born.html)]).toEqual(['?done=caller_created', false]);
  });

  it('keys are added, shown once, and deleted by who types their id', async () => {
    const added = await admin.post(`/console/callers/${mailer}/keys`);
    expect(added.html).toMatch(/vk_\w{49}/);
    expect((await operator.post(`/console/callers/${mailer}/keys`)).status).toBe(403);
    expect((await admin.post(`/console/callers/${mailer}/keys`, { key_expires_at: 'soon' })).status).toBe(400);
    const { keys } = await caller(mailer);
    expect(keys).toHaveLength(2);
    const path = `/console/callers/${mailer}/keys/${keys[0]!.id}/delete`;
    expect((await admin.post(path, { confirmation: keys[1]!.id })).status).toBe(400);
    expect((await admin.post(path, { confirmation: keys[0]!.id })).url.search).toBe('?done=key_deleted');
    expect((await caller(mailer)).keys.map(({ id }: { id: string }) => id)).toEqual([keys[1]!.id]);
    expect((await admin.post(path, { confirmation: keys[0]!.id })).status).toBe(404);
  });

  it('is deleted by who types its id', async () => {
    const path = `/console/callers/${mailer}/delete`;
    expect((await admin.post(path)).status).toBe(400);
    expect((await operator.post(path, { confirmation: mailer })).status).toBe(403);
    expect((await admin.post(path, { confirmation: mailer })).url.search).toBe('?done=caller_deleted');
    expect((await broker.ask('GET', `/v1/callers/${mailer}`)).status).toBe(404);
  });

  it('answers hostile addresses without a fault of its own', async () => {
    for (const path of [
      `?cursor=${'x'.repeat(3_000)}`,
      '?q=%00%F0',
      '/__proto__',
      `/${encodeURIComponent(XSS)}`,
      '/clr_x/grants/1',
      '/clr_x?action=token&path=%00',
    ]) {
      const page = await admin.get(`/console/callers${path}`);
      expect([path, page.status < 500, page.html.includes('<script>alert')]).toEqual([path, true, false]);
    }
  });
});
