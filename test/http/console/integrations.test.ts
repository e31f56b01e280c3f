// Integrations in the console: the set-up step by step, the page of each, and what each role may do.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';
import { connect } from '../../support/owner-browser.ts';

const CANARY = 'canary-c1ient-secret';
const HOOK_CANARY = 'canary-webhook-secret';
const XSS = '"><script>alert(1)</script>';

describe('console: integrations', () => {
  let broker: TestBroker;
  let provider: LocalProvider;
  let admin: ConsoleBrowser;
  let operator: ConsoleBrowser;
  let viewer: ConsoleBrowser;

  async function signedIn(role: string): Promise<ConsoleBrowser> {
    const browser = consoleBrowser(broker.url);
    await openLink(browser, (await broker.ask('POST', '/v1/console-links', { role })).body.url);
    return browser;
  }
  beforeAll(async () => {
    [broker, provider] = await Promise.all([startTestBroker(), startProvider({ redirectUris: [] })]);
    [admin, operator, viewer] = (await Promise.all(['admin', 'operator', 'viewer'].map(signedIn))) as [
      ConsoleBrowser,
      ConsoleBrowser,
      ConsoleBrowser,
    ];
  });
  afterAll(async () => {
    await broker?.stop();
    await provider?.close();
  });
  const stored = async (id: string) => (await broker.ask('GET', `/v1/integrations/${id}`)).body;

  it('an empty list leads admins to the set-up, and no one else', async () => {
    const page = await admin.get('/console/integrations');
    expect(page.text).toContain('No integration is set up yet.');
    expect(page.html).toContain('href="/console/integrations/new"');
    expect((await viewer.get('/console/integrations')).html).not.toContain('/console/integrations/new');
    for (const browser of [viewer, operator])
      for (const path of ['new', 'new/slack']) {
        const refused = await browser.get(`/console/integrations/${path}`);
        expect([refused.status, refused.html.includes('name="client_id"')]).toEqual([403, false]);
      }
  });

  it('providers are found by words and category', async () => {
    const found = await admin.get('/console/integrations/new?q=slack');
    expect([found.html.includes('/new/slack'), found.html.includes('/new/github')]).toEqual([true, false]);
    const chat = await admin.get('/console/integrations/new?category=chat');
    expect([chat.html.includes('/new/slack'), chat.html.includes('/new/github')]).toEqual([true, false]);
    const none = await admin.get(`/console/integrations/new?${new URLSearchParams({ q: XSS, category: XSS })}`);
    expect([none.status, none.text.includes('No provider of the catalogue fits')]).toEqual([200, true]);
    expect(none.html).not.toContain('<script>alert');
  });

  it('every provider and mode of the catalogue has a form', async () => {
    const { data } = (await broker.ask('GET', '/v1/providers?limit=500')).body as {
      data: { id: string; auth: { name: string }[] }[];
    };
    for (const { id, auth } of data) {
      for (const { name } of auth) {
        const page = await admin.get(`/console/integrations/new/${id}?${new URLSearchParams({ mode: name })}`);
        expect([id, page.status, page.html.includes(`value="${name}"`)]).toEqual([id, 200, true]);
      }
    }
    expect((await admin.get('/console/integrations/new/nowhere')).status).toBe(404);
  });

  it('shows the redirect URI of the chosen id before there is a client', async () => {
    const page = await admin.get('/console/integrations/new/slack?id=team-chat');
    expect(page.text).toContain(`${broker.url}/oauth2/callback/team-chat`);
    expect(page.html).toContain('name="id" type="text" value="team-chat"');
    const bad = await admin.get('/console/integrations/new/slack?id=Not%20An%20Id');
    expect([bad.status, bad.text.includes('lower-case letters, digits')]).toEqual([422, true]);
    expect((await admin.get('/console/integrations/new/slack?id=new')).text).toContain('choose another id');
  });

  it('an id or a way to connect that was only filled in counts, and what was filled in beside it stays', async () => {
    const form = { id: 'typed', mode: 'oauth2_code', client_id: 'kept', client_secret: CANARY };
    const looked = await admin.post('/console/integrations/new/slack/look', form);
    expect(looked.status).toBe(200);
    expect(looked.text).toContain(`${broker.url}/oauth2/callback/typed`);
    expect(looked.html).toContain('value="kept"');
    expect(looked.html).not.toContain(CANARY);
    expect((await admin.post('/console/integrations/new/slack/look', { ...form, id: 'Not' })).status).toBe(422);
    const modes = /<select id="f-mode"[\s\S]*?<\/select>/.exec(
      (await admin.get('/console/integrations/new/hubspot')).html,
    )![0];
    const [first, second] = [...modes.matchAll(/value="([^"]+)"/g)].map(([, mode]) => mode!);
    const other = { id: 'typed', mode: second!, fields_of: first!, client_id: 'kept' };
    const page = await admin.post('/console/integrations/new/hubspot', other);
    expect([page.status, page.text.includes('Nothing was saved.')]).toEqual([422, true]);
    expect(page.html).toContain(`name="fields_of" value="${second}"`);
    expect((await broker.ask('GET', '/v1/integrations/typed')).status).toBe(404);
    const created = await admin.post('/console/integrations/new/slack', form);
    expect(created.url.pathname).toBe('/console/integrations/typed/set-up');
    await broker.ask('DELETE', '/v1/integrations/typed');
  });

  it('says that each issuer has its own redirect URI, where connections name their servers', async () => {
    const uri = (id: string, rest = '') => `${broker.url}/oauth2/callback/${id}${rest}`;
    const put = async (id: string, params: object) => {
      const body = { provider: 'mcp', params };
      expect((await broker.ask('PUT', `/v1/integrations/${id}`, body)).status).toBe(201);
      return [(await admin.get(`/console/integrations/${id}/set-up`)).text, await stored(id)] as const;
    };
    const servers = '*.example.com';
    const [many, view] = await put('many', { servers });
    expect(many).toContain(uri('many', '/{issuer}'));
    expect(many).toContain('SHA-256 of the issuer');
    expect(view).toMatchObject({ redirect_uri: null, redirect_uri_pattern: uri('many', '/{issuer}') });
    const issuer = 'https://id.example.com';
    const own = uri('pinned', `/${createHash('sha256').update(issuer).digest('hex').slice(0, 16)}`);
    const [pinned, pinnedView] = await put('pinned', { servers, issuer });
    expect(pinned).toContain(own);
    expect(pinned).not.toContain('{issuer}');
    expect(pinnedView).toMatchObject({ redirect_uri: own, redirect_uri_pattern: null });
    const [one, oneView] = await put('one', { server_url: 'https://mcp.example.com/mcp' });
    expect(one).toContain(uri('one'));
    expect(one).not.toContain('{issuer}');
    expect(oneView).toMatchObject({ redirect_uri: uri('one'), redirect_uri_pattern: null });
    const form = await admin.get('/console/integrations/new/mcp?id=open');
    for (const text of [uri('open'), uri('open', '/{issuer}')]) expect(form.text).toContain(text);
    for (const id of ['many', 'pinned', 'one']) await broker.ask('DELETE', `/v1/integrations/${id}`);
  });

  it('a form with faults says what, beside the fields, keeps what was filled in, and no secret', async () => {
    const page = await admin.post('/console/integrations/new/generic-oidc', {
      id: 'acme',
      mode: 'oidc',
      client_secret: CANARY,
      'params.issuer': XSS,
      scopes: 'openid email',
      return_origins: 'https://app.example.com/path',
      'rate.requests': 'many',
      'overrides.token_url': 'ftp://x',
      form_extra: XSS,
    });
    expect(page.status).toBe(422);
    expect(page.text).toContain('Nothing was saved.');
    for (const name of ['client_id', 'params-issuer', 'return-origins', 'rate-requests'])
      expect([name, page.html.includes(`id="f-${name.replaceAll('_', '-')}-error"`)]).toEqual([name, true]);
    expect(page.html).toContain('aria-invalid="true"');
    expect(page.html).toContain('openid email</textarea>');
    expect(page.html).not.toContain(CANARY);
    expect(page.html).not.toContain('<script>alert');
    expect((await broker.ask('GET', '/v1/integrations/acme')).status).toBe(404);
  });

  it('sets up an OpenID Provider, connects a test owner, and shows how it went', async () => {
    const client = await provider.addClient([`${broker.url}/oauth2/callback/acme`]);
    const page = await admin.post('/console/integrations/new/generic-oidc', {
      id: 'acme',
      mode: 'oidc',
      client_id: client.clientId,
      client_secret: client.clientSecret,
      'params.issuer': provider.issuer,
      scopes: 'openid\r\nemail',
      return_origins: 'https://app.example.com\r\nhttps://b.example.com',
      'rate.requests': '600',
      'rate.window': '60',
      'rate.per': 'caller',
    });
    expect([page.status, page.url.pathname, page.url.search]).toEqual([
      200,
      '/console/integrations/acme/set-up',
      '?done=integration_created',
    ]);
    expect(page.text).toContain(`${broker.url}/oauth2/callback/acme`);
    expect(page.text).toContain('valetkey.token({ integration: &#39;acme&#39;');
    expect(page.html).not.toContain(client.clientSecret);
    expect(await stored('acme')).toMatchObject({
      client_id: client.clientId,
      client_secret_set: true,
      scopes: ['openid', 'email'],
      return_origins: ['https://app.example.com', 'https://b.example.com'],
      rate: { requests: 600, window: 60, per: 'caller' },
    });
    expect((await admin.post('/console/integrations/new/generic-oidc', { id: 'acme', mode: 'oidc' })).text).toContain(
      'choose another id',
    );

    const tried = await operator.post('/console/integrations/acme/try', { owner: 'console-test' });
    const link = /href="([^"]*\/connect\/[^"]+)"/.exec(tried.html)![1]!;
    const outcome = /href="([^"]*\/try\/cs_[^"]+)"/.exec(tried.html)![1]!;
    expect((await operator.get(outcome)).html).toContain('data-live="3"');
    await connect(broker, link);
    const done = await operator.get(outcome);
    expect(done.text).toContain('It works');
    expect(done.html).toMatch(/\/console\/connections\/con_/);
    expect(done.html).not.toContain(link);
    for (const wrong of ['', 'a*', 'x'.repeat(300)])
      expect((await operator.post('/console/integrations/acme/try', { owner: wrong || 'a\u0001b' })).status).toBe(400);
    expect((await viewer.post('/console/integrations/acme/try')).status).toBe(403);
    expect((await viewer.get(outcome)).status).toBe(403);
  });

  it('webhooks are set with it; a secret part of the URL is shown once', async () => {
    const page = await admin.post('/console/integrations/new/slack', {
      id: 'chat',
      mode: 'oauth2_code',
      client_id: '12.34',
      client_secret: CANARY,
      webhook: '1',
      'webhook.secrets': HOOK_CANARY,
      'webhook.hook': '1',
      'theme.name': 'Acme',
      'theme.radius': '8',
    });
    expect(page.text).toContain('shown only now');
    const url = /\/webhooks\/chat\/[\w-]{20,}/.exec(page.html)![0];
    for (const path of ['', '/set-up', '/edit'])
      for (const text of [CANARY, HOOK_CANARY, url])
        expect((await admin.get(`/console/integrations/chat${path}`)).html).not.toContain(text);
    expect(await stored('chat')).toMatchObject({
      webhook: { secret_count: 1, hook_set: true },
      theme: { name: 'Acme', radius: 8 },
    });
  });

  it('the page says what it is, since when its secrets are set, and who may use it', async () => {
    const grants = [{ actions: ['token'], integrations: ['ch*'], owners: ['user_*'] }];
    await broker.ask('POST', '/v1/callers', { name: `mailer ${XSS}`, grants });
    const page = await admin.get('/console/integrations/chat');
    for (const text of [
      'Slack',
      'Client secret set now',
      'Refreshes of 24 hours',
      'mailer',
      'user_*',
      'Limits of its API',
    ])
      expect(page.text.replace(/\d+ seconds? ago/g, 'now')).toContain(text);
    expect(page.html).not.toContain('<script>alert');
    const shown = await viewer.get('/console/integrations/chat');
    expect(shown.html.match(/<form/g)).toHaveLength(1);
    expect((await viewer.get('/console/integrations/none')).status).toBe(404);
  });

  it('settings change without the secrets, which stay; a change in between is not overwritten', async () => {
    const edit = await admin.get('/console/integrations/chat/edit');
    const version = /name="version" value="(\d+)"/.exec(edit.html)![1]!;
    const fields = {
      mode: 'oauth2_code',
      version,
      client_id: '56.78',
      scopes: 'chat:write',
      webhook: '1',
      'webhook.hook': '1',
      'theme.name': 'Acme',
    };
    const saved = await admin.post('/console/integrations/chat/edit', fields);
    expect([saved.url.pathname, saved.url.search]).toEqual(['/console/integrations/chat', '?done=integration_saved']);
    expect(await stored('chat')).toMatchObject({
      client_id: '56.78',
      client_secret_set: true,
      scopes: ['chat:write'],
      webhook: { secret_count: 1, hook_set: true },
      theme: { name: 'Acme' },
    });
    const stale = await admin.post('/console/integrations/chat/edit', { ...fields, client_id: 'stale' });
    expect([stale.status, stale.text.includes('changed meanwhile')]).toEqual([422, true]);
    const redirected = await admin.post('/console/integrations/chat/edit', {
      ...fields,
      version: String((await stored('chat')).version),
      'overrides.token_url': 'https://evil.example/token',
    });
    expect([redirected.status, redirected.text.includes('not sent elsewhere')]).toEqual([422, true]);
    expect((await stored('chat')).client_id).toBe('56.78');
    for (const browser of [viewer, operator]) {
      expect((await browser.get('/console/integrations/chat/edit')).status).toBe(403);
      expect((await browser.post('/console/integrations/chat/edit', { ...fields, version: '2' })).status).toBe(403);
    }
  });

  it('secrets are replaced, and everything else stays', async () => {
    const before = await stored('chat');
    const replaced = await admin.post('/console/integrations/chat/secrets', {
      client_secret: 'another',
      'webhook.secrets': 'two',
    });
    expect(replaced.url.search).toBe('?done=secrets_replaced');
    const { version: _, updated_at: __, ...after } = await stored('chat');
    expect(before).toMatchObject(after);
    const { body } = await broker.ask('GET', '/v1/audit?integration=chat&action=integration.put&limit=1');
    expect(body.data).toMatchObject([{ changed: ['client_secret'] }]);
    expect((await admin.post('/console/integrations/chat/secrets')).url.search).toBe('?done=nothing_given');
    const key = await admin.post('/console/integrations/chat/secrets', { private_key: CANARY });
    expect([key.status, key.text.includes('must be a private key in PEM form'), key.html.includes(CANARY)]).toEqual([
      422,
      true,
      false,
    ]);
    expect((await operator.post('/console/integrations/chat/secrets', { client_secret: 'x' })).status).toBe(403);
  });

  it('is deleted by who types its id, and only without connections', async () => {
    expect((await admin.post('/console/integrations/chat/delete', { confirmation: 'cha' })).status).toBe(400);
    expect((await operator.post('/console/integrations/chat/delete', { confirmation: 'chat' })).status).toBe(403);
    expect((await admin.post('/console/integrations/acme/delete', { confirmation: 'acme' })).status).toBe(409);
    const gone = await admin.post('/console/integrations/chat/delete', { confirmation: 'chat' });
    expect([gone.url.pathname, gone.url.search]).toEqual(['/console/integrations', '?done=integration_deleted']);
    expect((await broker.ask('GET', '/v1/integrations/chat')).status).toBe(404);
  });

  it('answers hostile addresses without a fault of its own', async () => {
    const long = 'x'.repeat(2_000);
    for (const path of [
      `?cursor=${long}`,
      '?cursor=%00',
      `?done=${encodeURIComponent(XSS)}`,
      `/new?q=${long}&category=%00`,
      `/new/slack?mode=${encodeURIComponent(XSS)}&id=${encodeURIComponent(XSS)}`,
      '/new/__proto__',
      '/__proto__/edit',
      `/${encodeURIComponent(XSS)}`,
      `/acme/try/${encodeURIComponent(XSS)}`,
      '/acme/edit?mode=__proto__',
    ]) {
      const page = await admin.get(`/console/integrations${path}`);
      expect([path, page.status < 500, page.html.includes('<script>alert')]).toEqual([path, true, false]);
    }
  });
});
