// Connection parameters (a subdomain, a shop): set by the caller or entered by the owner, validated against the
// catalogue's pattern, and stored with the connection.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import {
  type ConnectLink,
  callbackWithConsent,
  connectionOf,
  createConnectSession,
  expectErrorPage,
  formOf,
  newOwner,
  openLink,
  putIntegration,
  queryDatabase,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const subdomain = {
  title: 'subdomain',
  description: 'The first part of your address.',
  pattern: '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?',
  example: 'acme',
};
const region = { title: 'region', pattern: 'eu|us', default: 'eu' };
const department = { title: 'department', pattern: '[a-z]+', optional: true };

/** Each tenant is a path, so that one loopback server can be all tenants. */
const tenants = {
  id: 'tenants',
  name: 'Tenants & Co',
  category: 'generic',
  docs_url: 'https://tenants.example/docs',
  confidence: 'unverified',
  params: { base: { title: 'base', pattern: 'http://127\\.0\\.0\\.1:[0-9]+' } },
  connection_params: { subdomain, region, department },
  auth: [
    {
      mode: 'oauth2_code',
      authorization_url: '{base}/{region}/{subdomain}/authorize',
      token_url: '{base}/{region}/{subdomain}/token',
      callback: { capture: { subdomain: 'tenant', realm: 'realmId' } },
    },
  ],
};

/** Each tenant is a host, whose metadata is fetched before the browser is redirected there. */
const hosts = {
  ...tenants,
  id: 'hosts',
  params: {},
  connection_params: { subdomain },
  auth: [{ mode: 'oidc', issuer: 'https://{subdomain}.tenants.example' }],
};

/** As `tenants`, and says where its parameters are found. */
const shops = {
  ...tenants,
  id: 'shops',
  connection_params: { subdomain: { ...subdomain, found_in: ['{}.shops.example'] } },
  params: { ...tenants.params, region: { ...region, pattern: 'eu|us', found_in: ['{}.cloud.shops.example'] } },
};

/** As `tenants`: its API is where a captured value says, and a revocation ends a token alone. */
const sites = {
  ...tenants,
  id: 'sites',
  api_base_url: '{base}/api/{realm}',
  auth: tenants.auth.map((mode) => ({
    ...mode,
    revocation_url: '{base}/{region}/{subdomain}/revoke',
    revocation_ends: 'token',
  })),
};

const SOON = { interval: 20, timeout: 30_000 };

let folder: string;
let broker: TestBroker;
let provider: ScriptedServer;
let target: Server;
let reached = 0;
/** Whether token responses have a refresh token. */
let isOffline = true;
let port = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-providers-'));
  for (const entry of [tenants, hosts, shops, sites])
    await writeFile(join(folder, `${entry.id}.json`), JSON.stringify(entry));
  let issued = 0;
  [broker, provider] = await Promise.all([
    startTestBroker({ VALETKEY_PROVIDERS_DIR: folder }),
    startScriptedServer(() => ({
      body: {
        ...{ access_token: `at-${++issued}`, token_type: 'Bearer', expires_in: 3_600 },
        ...(isOffline && { refresh_token: `rt-${issued}` }),
      },
    })),
  ]);
  target = createServer((socket) => {
    reached++;
    socket.on('error', () => {}).destroy();
  });
  await new Promise<void>((listening) => target.listen(0, '127.0.0.1', listening));
  const address = target.address();
  port = typeof address === 'object' && address ? address.port : 0;
  const client = { client_id: 'client', client_secret: 'client-secret' };
  await putIntegration(broker, 'acme', { provider: 'tenants', ...client, params: { base: provider.url } });
  await putIntegration(broker, 'hosts', { provider: 'hosts', ...client });
  await putIntegration(broker, 'sites', { provider: 'sites', ...client, params: { base: provider.url } });
});
afterAll(async () => {
  await Promise.all([broker.stop(), provider.close()]);
  target.close();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  provider.received.length = 0;
  isOffline = true;
});

const paramsOf = async (invited: ConnectLink): Promise<unknown> => {
  const { id } = await connectionOf(broker, invited);
  const [row] = queryDatabase<{ params: string }>(broker, 'select params from connections where id = ?', id);
  return JSON.parse(row?.params ?? '');
};

describe('connection parameters from the caller', () => {
  test('need no form, are stored with the connection, and are used in every token request', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker, { params: { subdomain: 'blue', region: 'us' } });
    const page = await openLink(invited.url, jar);
    expect(page.status).toBe(303);
    expect(page.location).toMatch(`${provider.url}/us/blue/authorize?`);
    expect((await visit(callbackWithConsent(page.location), jar)).status).toBe(200);
    expect(await paramsOf(invited)).toEqual({ subdomain: 'blue', region: 'us' });
    const { id } = await connectionOf(broker, invited);
    expect((await broker.ask('POST', `/v1/connections/${id}/refresh`, {})).status).toBe(200);
    expect(provider.received.map(({ path, form }) => [path, form.get('grant_type')])).toEqual([
      ['/us/blue/token', 'authorization_code'],
      ['/us/blue/token', 'refresh_token'],
    ]);
  });

  test('are completed with the defaults of the catalogue', async () => {
    const { url } = await createConnectSession(broker, { params: { subdomain: 'blue' } });
    expect((await openLink(url)).location).toMatch(`${provider.url}/eu/blue/authorize?`);
  });

  test('are shown in the form where others are missing', async () => {
    const { url } = await createConnectSession(broker, { params: { region: 'us' } });
    const page = await visit(url);
    expect(page.status).toBe(200);
    expect(page.text).toContain('value="us"');
  });

  test('that the provider does not have are a 400', async () => {
    const wanted = { integration: 'acme', owner: newOwner(), params: { subdomain: 'blue', host: 'evil.example' } };
    const { status, body } = await broker.ask('POST', '/v1/connect-sessions', wanted);
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: 'invalid_request', issues: [{ path: 'params.host' }] });
  });
});

describe('a renewal with other parameters', () => {
  const credentials = { access_token: 'at', refresh_token: 'rt', expires_in: 3_600 };
  async function imported() {
    const body = { integration: 'acme', owner: newOwner(), params: { subdomain: 'blue', region: 'us' }, credentials };
    const { status, body: made } = await broker.ask('POST', '/v1/connections', body);
    expect(status).toBe(201);
    return { ...body, connection_id: String(made.id) };
  }
  const refreshed = async (id: string) =>
    (await broker.ask('POST', `/v1/connections/${id}/refresh`, {})).body.reason ?? 'refreshed';
  const spent = () => provider.received.map(({ path, form }) => [path, form.get('refresh_token')]);

  test.each([
    ['a subdomain', { subdomain: 'red', region: 'us' }],
    ['a region', { subdomain: 'blue', region: 'eu' }],
    ['a region that is the default', { subdomain: 'blue' }],
  ])('by an import without a refresh token, of %s, keeps none', async (_, params) => {
    const body = await imported();
    const renewal = { ...body, params, credentials: { access_token: 'another', expires_in: 3_600 } };
    expect((await broker.ask('POST', '/v1/connections', renewal)).status).toBe(201);
    expect(await refreshed(body.connection_id)).toBe('not_refreshable');
    expect(spent()).toEqual([]);
  });

  test('that no URL has, or with the same ones, keeps it', async () => {
    const body = await imported();
    const params = { ...body.params, department: 'sales' };
    const renewal = { ...body, params, credentials: { access_token: 'another', expires_in: 3_600 } };
    expect((await broker.ask('POST', '/v1/connections', renewal)).status).toBe(201);
    expect(await refreshed(body.connection_id)).toBe('refreshed');
    expect(spent()).toEqual([['/us/blue/token', 'rt']]);
  });

  test.each([
    ['eu', []],
    ['us', [['/us/blue/token', 'rt']]],
  ])(
    'in the browser, whose response has no refresh token, keeps it for the same place alone (%s)',
    async (to, sent) => {
      const { owner, connection_id } = await imported();
      const wanted = { owner, connection_id, params: { subdomain: 'blue', region: to } };
      const jar = createCookieJar();
      isOffline = false;
      const page = await openLink((await createConnectSession(broker, wanted)).url, jar);
      expect((await visit(callbackWithConsent(page.location), jar)).status).toBe(200);
      provider.received.length = 0;
      expect(await refreshed(connection_id)).toBe(sent.length > 0 ? 'refreshed' : 'not_refreshable');
      expect(spent()).toEqual(sent);
    },
  );
});

describe('an import onto a connection, that leads to another place', () => {
  const credentials = { access_token: 'at', refresh_token: 'rt', expires_in: 3_600 };
  const first = { params: { subdomain: 'blue', region: 'us' }, captured: { realm: 'one' }, credentials };
  type Renewal = Partial<Omit<typeof first, 'credentials'>> & { credentials: Record<string, unknown> };
  /** The tokens that are revoked by the renewal, and where: until something else that is delivered shows that the outbox has been at it. */
  async function revokedBy(renewal: Renewal) {
    const owner = newOwner();
    const imports = async (body: object) => {
      const { status, body: made } = await broker.ask('POST', '/v1/connections', { integration: 'sites', ...body });
      expect(status).toBe(201);
      return String(made.id);
    };
    const id = await imports({ owner, ...first });
    expect(await imports({ owner, ...renewal })).toBe(id);
    const last = await imports({ owner: newOwner(), ...first, credentials: { refresh_token: 'last' } });
    await broker.ask('DELETE', `/v1/connections/${last}`);
    const revoked = () => provider.received.filter(({ path }) => path.endsWith('/revoke'));
    await expect.poll(() => revoked().some(({ form }) => form.get('token') === 'last'), SOON).toBe(true);
    return {
      id,
      revoked: () =>
        revoked().flatMap(({ path, form }) => (form.get('token') === 'last' ? [] : [`${path} ${form.get('token')}`])),
    };
  }
  const another = { access_token: 'another', expires_in: 3_600 };
  const reason = async (id: string) => (await broker.ask('POST', `/v1/connections/${id}/refresh`, {})).body.reason;
  const BOTH = ['/us/blue/revoke at', '/us/blue/revoke rt'];

  test.each<[string, Renewal]>([
    ['params', { params: { subdomain: 'red', region: 'us' }, credentials: another }],
    [
      'params, with another refresh token',
      { params: { subdomain: 'red', region: 'us' }, credentials: { ...another, refresh_token: 'next' } },
    ],
    ['captured values', { captured: { realm: 'two' }, credentials: another }],
  ])('by %s: what was issued is revoked there', async (_, renewal) => {
    const { id, revoked } = await revokedBy(renewal);
    await expect.poll(() => revoked().toSorted(), SOON).toEqual(BOTH);
    if (!('refresh_token' in renewal.credentials)) expect(await reason(id)).toBe('not_refreshable');
  });

  test.each<[string, Renewal]>([
    [
      'its refresh token',
      { params: { subdomain: 'red', region: 'us' }, credentials: { ...another, refresh_token: 'rt' } },
    ],
    [
      'its access token',
      { params: { subdomain: 'red', region: 'us' }, credentials: { ...another, access_token: 'at' } },
    ],
  ])('with %s: nothing is revoked, which would end that too', async (_, renewal) => {
    expect((await revokedBy(renewal)).revoked()).toEqual([]);
  });

  test.skipIf(process.env.VALETKEY_TEST_STORE === 'postgres')(
    'is judged by where it leads once it is stored: no refresh token of there is kept',
    async () => {
      const slot = { integration: 'sites', owner: newOwner() };
      const imports = (body: object) => broker.ask('POST', '/v1/connections', { ...slot, ...body });
      const { id } = (await imports(first)).body;
      const writer = new Database(broker.database);
      writer.exec('begin immediate');
      const moved = imports({
        params: { subdomain: 'red', region: 'us' },
        credentials: { ...credentials, access_token: 'of red', refresh_token: 'granted at red' },
      });
      // It is decided on the first one, as the next one is.
      await broker.ask('GET', `/v1/connections/${id}`);
      const back = imports({ params: first.params, credentials: another });
      await broker.ask('GET', `/v1/connections/${id}`);
      writer.exec('rollback');
      writer.close();
      expect([(await moved).status, (await back).status]).toEqual([201, 201]);
      expect((await broker.ask('GET', `/v1/connections/${id}`)).body.generation).toBe(3);
      expect(await reason(String(id))).toBe('not_refreshable');
      const spent = provider.received.map(({ path, form }) => `${path} ${form.get('refresh_token')}`);
      expect(spent).not.toContain('/us/blue/token granted at red');
    },
  );

  test('or to the same one: nothing is revoked, and the refresh token is kept', async () => {
    const { id, revoked } = await revokedBy({ captured: { realm: 'one' }, credentials: another });
    expect(await reason(id)).toBeUndefined();
    expect(revoked()).toEqual([]);
  });
});

describe('pasted URLs and upper case', () => {
  const pasted = ' HTTPS://Acme.Shops.example/agent/dashboard?x=1 ';
  const client = { provider: 'shops', client_id: 'client', client_secret: 'client-secret' };

  test('of an integration are read as what they hold', async () => {
    const params = { base: provider.url, region: 'https://US.cloud.shops.example/login' };
    await putIntegration(broker, 'shops', { ...client, params });
    expect((await broker.ask('GET', '/v1/integrations/shops')).body).toMatchObject({
      params: { base: provider.url, region: 'us' },
    });
  });

  test('of a connect session lead to the provider', async () => {
    const { url } = await createConnectSession(broker, { integration: 'shops', params: { subdomain: pasted } });
    expect((await openLink(url)).location).toMatch(`${provider.url}/us/acme/authorize?`);
  });

  test('typed by the owner lead to the provider; another address is shown again', async () => {
    const invited = await createConnectSession(broker, { integration: 'shops' });
    const jar = createCookieJar();
    const elsewhere = 'https://acme.shops.example.evil.example/';
    const refused = await openLink(invited.url, jar, { subdomain: elsewhere });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain(elsewhere);
    const page = await openLink(invited.url, jar, { subdomain: 'ACME' });
    expect(page.location).toMatch(`${provider.url}/us/acme/authorize?`);
  });

  test('of an import are stored as what they hold', async () => {
    const body = {
      integration: 'shops',
      owner: newOwner(),
      params: { subdomain: pasted },
      credentials: { access_token: 'at', refresh_token: 'rt' },
    };
    const { status, body: made } = await broker.ask('POST', '/v1/connections', body);
    expect(status).toBe(201);
    const [row] = queryDatabase<{ params: string }>(broker, 'select params from connections where id = ?', made.id);
    expect(JSON.parse(row!.params)).toEqual({ subdomain: 'acme' });
  });
});

describe('parameters captured from the callback', () => {
  async function comeBackWith(more: string) {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker, { params: { subdomain: 'blue' } });
    const page = await openLink(invited.url, jar);
    expect((await visit(`${callbackWithConsent(page.location)}${more}`, jar)).status).toBe(200);
    const { id, captured } = await connectionOf(broker, invited);
    expect((await broker.ask('POST', `/v1/connections/${id}/refresh`, {})).status).toBe(200);
    return { captured, asked: provider.received.map(({ path }) => path) };
  }

  test('are stored with the connection, and replace a parameter in every token request', async () => {
    expect(await comeBackWith('&tenant=green&realmId=42&other=1')).toEqual({
      captured: { subdomain: 'green', realm: '42' },
      asked: ['/eu/green/token', '/eu/green/token'],
    });
  });

  test('are not used if they are not a valid value of the parameter', async () => {
    const { asked } = await comeBackWith(`&tenant=${encodeURIComponent(`127.0.0.1:${port}/`)}`);
    expect(asked).toEqual(['/eu/blue/token', '/eu/blue/token']);
    expect(reached).toBe(0);
  });

  test('may be missing', async () => {
    expect(await comeBackWith('')).toEqual({ captured: {}, asked: ['/eu/blue/token', '/eu/blue/token'] });
  });
});

describe('a connection parameter that would change where requests go', () => {
  const evil: [string, string][] = [
    ['a host and a slash', 'evil.example/'],
    ['a whole other target', 'TARGET/'],
    ['another target, the rest as its query', 'TARGET?'],
    ['another target, the rest as its fragment', 'TARGET#'],
    ['user info and a host', 'a.b@evil'],
    ['user info and a whole target', 'x@TARGET/'],
    ['a fragment', 'x#'],
    ['a query', 'x?'],
    ['a backslash', 'TARGET\\'],
    ['a parent path', '..'],
    ['parent paths', '../../admin'],
    ['parent paths, encoded', '%2e%2e'],
    ['an encoded slash', 'x%2fy'],
    ['a dot', 'evil.example'],
    ['an ideographic dot', 'evil。example'],
    ['a full-width dot', 'evil．example'],
    ['a full-width slash', 'evil／x'],
    ['a full-width letter', 'ａcme'],
    ['a letter of another script', 'аcme'],
    ['an invisible character', 'ac\u00adme'],
    ['a line break at its end', 'acme\n'],
    ['a line break inside', 'acme\r\nHost: evil'],
    ['a line break before', '\nacme'],
    ['a null character', 'acme\u0000'],
    ['a space', ' acme'],
    ['a placeholder', '{client_id}'],
    ['a replacement pattern', "$&$'"],
    ['capitals', 'ACME'],
    ['too long a name', 'a'.repeat(64)],
    ['nothing', ''],
  ];
  const filled = (value: string) => value.replace('TARGET', `127.0.0.1:${port}`);

  test.each(evil)('%s, from the caller, is a 400 and is never requested', async (_, value) => {
    for (const integration of ['acme', 'hosts']) {
      const wanted = { integration, owner: newOwner(), params: { subdomain: filled(value) } };
      const { status, body } = await broker.ask('POST', '/v1/connect-sessions', wanted);
      expect(status).toBe(400);
      expect(body).toMatchObject({ code: 'invalid_request', issues: [{ path: 'params.subdomain' }] });
    }
    expect(provider.received).toEqual([]);
    expect(reached).toBe(0);
  });

  test.each(evil)('%s, entered by the owner, is a page with 400 and is never requested', async (_, value) => {
    for (const integration of ['acme', 'hosts']) {
      const invited = await createConnectSession(broker, { integration });
      const page = await visit(invited.url, createCookieJar(), { form: { subdomain: filled(value) } });
      expect(page.status).toBe(400);
      expect(page.text).toContain('id="param-subdomain-error"');
      expect(await sessionOf(broker, invited)).toMatchObject({ status: 'pending' });
    }
    expect(provider.received).toEqual([]);
    expect(reached).toBe(0);
  });
});

describe('the form for missing connection parameters', () => {
  test('shows them with the descriptions of the catalogue', async () => {
    const invited = await createConnectSession(broker);
    const page = await visit(invited.url);
    expect(page.status).toBe(200);
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('content-security-policy')).toContain("form-action 'self'");
    expect(page.text).toContain('Tenants &amp; Co');
    expect(page.text).toContain('The first part of your address.');
    expect(page.text).toMatch(/<form method="post" action="\/connect\/[\w-]{43}"/);
    expect(page.text).not.toContain('role="alert"');
    for (const name of ['subdomain', 'region', 'department']) expect(page.text).toContain(`name="${name}"`);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'pending' });
  });

  test('leads to the provider; the values are stored with the connection', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const page = await openLink(invited.url, jar, { subdomain: 'green', region: 'us', department: '' });
    expect(page.status).toBe(303);
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.location).toMatch(`${provider.url}/us/green/authorize?`);
    expect((await visit(callbackWithConsent(page.location), jar)).status).toBe(200);
    expect(provider.received.map(({ path }) => path)).toEqual(['/us/green/token']);
    expect(await paramsOf(invited)).toEqual({ subdomain: 'green', region: 'us' });
  });

  test('shows invalid values again with the error beside the field; they can be corrected', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const form = { subdomain: '"><script>alert(1)</script>', region: 'us' };
    const page = await openLink(invited.url, jar, form);
    expect(page.status).toBe(400);
    expect(page.text).toContain('role="alert"');
    expect(page.text).toMatch(/id="param-subdomain-error".*not a valid subdomain, for example acme/i);
    expect(page.text).not.toContain('param-region-error');
    expect(page.text).toContain('value="&quot;&gt;&lt;script&gt;');
    expect(page.text).not.toContain('<script>');
    const corrected = await visit(invited.url, jar, { form: { ...formOf(page), ...form, subdomain: 'green' } });
    expect(corrected.location).toMatch(`${provider.url}/us/green/authorize?`);
  });

  test('names required fields that were left empty', async () => {
    const page = await visit((await createConnectSession(broker)).url, createCookieJar(), { form: { subdomain: '' } });
    expect(page.status).toBe(400);
    expect(page.text).toMatch(/subdomain is required/i);
  });

  test('refuses a field that it does not have', async () => {
    const form = { subdomain: 'green', host: 'evil.example' };
    const page = await openLink((await createConnectSession(broker)).url, createCookieJar(), form);
    expect([page.status, page.location]).toEqual([400, null]);
  });

  test('ignores the second value of a repeated field', async () => {
    const { url } = await createConnectSession(broker);
    const jar = createCookieJar();
    const shown = new URLSearchParams(formOf(await visit(url, jar)));
    shown.set('subdomain', 'green');
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const page = await visit(url, jar, { headers, body: `${shown}&subdomain=evil.example%2F`, method: 'POST' });
    expect(`${page.location} ${page.text}`).not.toContain('evil.example/authorize');
  });

  test.each([
    ['as JSON', 'application/json', '{"subdomain":"green"}'],
    [
      'as a file',
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="subdomain"; filename="a"\r\n\r\ngreen\r\n--x--\r\n',
    ],
    ['as a truncated form', 'multipart/form-data; boundary=x', '--x\r\nContent-Disp'],
    ['as a form without a boundary', 'multipart/form-data', 'subdomain=green'],
    ['above the size limit', 'application/x-www-form-urlencoded', `subdomain=${'a'.repeat(20_000)}`],
  ])('answers 400 to a body sent %s', async (_, type, body) => {
    const invited = await createConnectSession(broker);
    const page = await visit(invited.url, createCookieJar(), { headers: { 'content-type': type }, body });
    expect(page.status).toBe(400);
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'pending' });
  });

  test('is shown only to the browser that opened the connect URL first', async () => {
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    await openLink(invited.url, jar, { subdomain: 'green' });
    expectErrorPage(await visit(invited.url), 403, 'other_browser', invited.url);
    const stranger = await visit(invited.url, createCookieJar(), { form: { subdomain: 'evil' } });
    expectErrorPage(stranger, 403, 'other_browser', invited.url);
    expect((await openLink(invited.url, jar, { subdomain: 'blue' })).status).toBe(303);
  });

  test('is not shown for an expired or unknown session', async () => {
    const unknown = `${broker.url}/connect/${'A'.repeat(43)}`;
    const form = { subdomain: 'green' };
    expectErrorPage(await visit(unknown, createCookieJar(), { form }), 404, 'not_found', unknown);
    const invited = await createConnectSession(broker);
    queryDatabase(broker, 'update connect_sessions set expires_at = ? where id = ?', Date.now() - 1, invited.id);
    expectErrorPage(await visit(invited.url), 410, 'invitation_expired', invited.url);
    expectErrorPage(await visit(invited.url, createCookieJar(), { form }), 410, 'invitation_expired', invited.url);
  });

  test('is not shown to renew a connection that has its parameters', async () => {
    const owner = newOwner();
    const jar = createCookieJar();
    const first = await createConnectSession(broker, { owner, params: { subdomain: 'blue' } });
    await visit(callbackWithConsent((await openLink(first.url, jar)).location), jar);
    const { id } = await connectionOf(broker, first);
    const again = await createConnectSession(broker, { owner, connection_id: id });
    const page = await openLink(again.url, jar);
    expect(page.location).toMatch(`${provider.url}/eu/blue/authorize?`);
    await visit(callbackWithConsent(page.location), jar);
    expect(await connectionOf(broker, again)).toMatchObject({ id, generation: 2 });
    expect(await paramsOf(again)).toEqual({ subdomain: 'blue' });
  });
});
