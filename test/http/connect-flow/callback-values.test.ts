// What a callback names is the browser's word: it is confirmed with the new token, or it is not stored. With the entries of the
// catalogue, at a vendor on loopback.
import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import type { Logger } from '../../../src/ports/index.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { codeMode, entry } from '../../support/entries.ts';
import {
  callbackWithConsent,
  connectionOf,
  connectionsOf,
  createConnectSession,
  expectNoConnection,
  newOwner,
  openLink,
  putIntegration,
  sessionOf,
  visit,
  withQuery,
} from '../../support/owner-browser.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const OWN = '501';
const VICTIMS = '48213377';
const SECRET = 'hook-secret';
const REALM = '9341452790712345';

let vendor: ScriptedServer;
let broker: TestBroker;
let folder: string;
let issued = 0;
/** By path, without the query: what differs from a vendor where all is well. */
const answers = new Map<string, ScriptedResponse[]>();
let tokens: Json = {};
const lines: string[] = [];

function respond(path: string): ScriptedResponse {
  const scripted = answers.get(path);
  if (scripted && scripted.length > 0) return scripted.length > 1 ? scripted.shift()! : scripted[0]!;
  if (path.endsWith('/token') || path.endsWith('/access_token') || path.endsWith('/bearer'))
    return {
      body: { access_token: `at-${++issued}`, refresh_token: `rt-${issued}`, token_type: 'bearer', ...tokens },
    };
  if (path === '/user') return { body: { id: 666, login: 'mallory' } };
  if (path === `/user/installations/${OWN}/repositories`) return { body: { total_count: 1 } };
  return { status: 404, body: {} };
}

/** An entry of the catalogue whose vendor is on loopback. */
async function entryAt(id: string, hosts: RegExp): Promise<void> {
  const text = await readFile(new URL(`../../../src/catalogue/${id}.json`, import.meta.url), 'utf8');
  await writeFile(join(folder, `${id}.json`), text.replaceAll(hosts, vendor.url));
}

/** Revocations end the token alone. */
const acme = (url: string) => ({
  captured_patterns: { tenant: '[a-z]+' },
  api_base_url: `${url}/api`,
  auth: [
    codeMode({
      authorization_url: `${url}/authorize`,
      token_url: `${url}/token`,
      revocation_url: `${url}/revoke`,
      revocation_ends: 'token',
      callback: {
        capture: { tenant: 'tenant' },
        confirm: { path: '/tenants/{tenant}', denied: [403], if_denied: 'fail', otherwise: 'drop' },
      },
    }),
  ],
});

beforeAll(async () => {
  vendor = await startScriptedServer(({ path }) => respond(path.split('?')[0] ?? ''));
  folder = await mkdtemp(join(tmpdir(), 'valetkey-entries-'));
  await entryAt('github', /https:\/\/\{(?:api|host)\}/g);
  await entryAt('quickbooks', /https:\/\/(?:\{environment\})?[a-z.]+\.intuit\.com(?=\/(?:oauth2|v[123]|connect))/g);
  await entryAt('zoho', /https:\/(?=\/\{location\})/g);
  await entryAt('discord', /https:\/\/discord\.com(?=\/(?:api|oauth2))/g);
  await writeFile(join(folder, 'acme.json'), JSON.stringify(entry('acme', acme(vendor.url))));
  const note = (fields: object, message?: string) => void lines.push(JSON.stringify({ ...fields, message }));
  const log: Logger = { debug: note, info: note, warn: note, error: note };
  broker = await startTestBroker(
    { VALETKEY_PROVIDERS_DIR: folder },
    undefined,
    { outboxEveryMs: 20, refreshAhead: false },
    log,
  );
  const client = { client_id: 'app', client_secret: 's3cret' };
  const webhook = { secrets: [SECRET] };
  const return_origins = ['https://app.example'];
  const github = { provider: 'github', ...client, params: { mode: 'github_app_user' }, webhook, return_origins };
  expectOk(await putIntegration(broker, 'github', github), 201);
  expectOk(await putIntegration(broker, 'quickbooks', { provider: 'quickbooks', ...client }), 201);
  expectOk(await putIntegration(broker, 'zoho', { provider: 'zoho', ...client, scopes: ['a'] }), 201);
  expectOk(await putIntegration(broker, 'acme', { provider: 'acme', ...client }), 201);
  expectOk(await putIntegration(broker, 'discord', { provider: 'discord', ...client, scopes: ['identify'] }), 201);
});
beforeEach(() => {
  vendor.received.length = 0;
  lines.length = 0;
});
afterEach(() => {
  answers.clear();
  tokens = {};
});
afterAll(async () => {
  await Promise.all([broker?.stop(), vendor?.close()]);
  await rm(folder, { recursive: true, force: true });
});

/** Consents, and writes these parameters into the callback. */
async function consent(integration: string, said: Record<string, string>, wanted: Json = {}) {
  const owner = String(wanted.owner ?? newOwner());
  const link = await createConnectSession(broker, { integration, owner, ...wanted });
  const jar = createCookieJar();
  const callback = callbackWithConsent((await openLink(link.url, jar)).location);
  const page = await visit(withQuery(new URL(callback), said), jar);
  return { owner, link, page };
}

async function connected(integration: string, said: Record<string, string>, wanted: Json = {}): Promise<Json> {
  return connectionOf(broker, (await consent(integration, said, wanted)).link);
}

const asked = (path: string) => vendor.received.filter((one) => one.path.startsWith(path));
const installation = (id: string) => `/user/installations/${id}/repositories`;
const companyInfo = (realm: string) => `/v3/company/${realm}/companyinfo/${realm}`;

describe('an installation of GitHub', () => {
  test('that the user may see is captured, and asked for with the new token', async () => {
    const { captured } = await connected('github', { installation_id: OWN, setup_action: 'install' });
    expect(captured).toMatchObject({ installation_id: OWN, setup_action: 'install', user_id: 666 });
    const [{ method, path, headers } = expect.fail()] = asked('/user/installations/');
    expect([method, path, headers.authorization]).toEqual([
      'GET',
      `${installation(OWN)}?per_page=1`,
      `Bearer at-${issued}`,
    ]);
    expect(lines.join('')).not.toContain('not confirmed');
  });

  test.each([401, 403, 404])(
    'that is someone else’s (%i) is not captured, and the connection is made',
    async (status) => {
      answers.set(installation(VICTIMS), [{ status, body: {} }]);
      const { link } = await consent('github', { installation_id: VICTIMS, setup_action: 'install' });
      const { captured, account, status: is } = await connectionOf(broker, link);
      expect([is, captured]).toEqual(['active', { user_id: 666, login: 'mallory' }]);
      expect(account).toMatchObject({ id: '666' });
      expect(asked(installation(VICTIMS))).toHaveLength(1);
      const [line = ''] = lines.filter((one) => one.includes('not confirmed'));
      expect(JSON.parse(line)).toMatchObject({
        session: link.id,
        integration: 'github',
        why: 'denied',
        outcome: 'drop',
      });
      expect(line).not.toContain(VICTIMS);
    },
  );

  test('brings no webhooks of it', async () => {
    const owner = newOwner();
    await connected('github', { installation_id: VICTIMS }, { owner });
    const body = JSON.stringify({
      action: 'opened',
      installation: { id: Number(VICTIMS) },
      repository: { full_name: 'victim/private' },
      issue: { title: 'secret roadmap' },
      sender: { id: 1 },
    });
    const headers = {
      'content-type': 'application/json',
      'x-github-event': 'issues',
      'x-github-delivery': 'd1',
      'x-hub-signature-256': `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`,
    };
    const { status } = await fetch(`${broker.url}/webhooks/github`, { method: 'POST', headers, body });
    expect(status).toBe(200);
    const received = async () =>
      ((await broker.ask('GET', '/v1/webhooks?integration=github')).body.data as Json[]).map((one) => one.status);
    await expect.poll(received, { timeout: 30_000 }).toEqual(['unmatched']);
    const all = '/v1/events?types=webhook.received';
    expect(expectOk(await broker.ask('GET', all)).data).toMatchObject([{ data: { connection: null, owner: null } }]);
    const mallory = await broker.callerKey({ actions: ['events'], integrations: ['github'], owners: [owner] });
    expect(expectOk(await broker.ask('GET', all, undefined, mallory)).data).toEqual([]);
  });

  test.each<[string, ScriptedResponse[]]>([
    ['is down', [{ status: 503 }]],
    ['cuts the connection', ['drop']],
    ['sends the token elsewhere', [{ status: 302, headers: { location: '/user' } }]],
  ])('is not captured if GitHub %s twice', async (_, said) => {
    answers.set(installation(OWN), said);
    expect((await connected('github', { installation_id: OWN })).captured).not.toHaveProperty('installation_id');
    expect(asked(installation(OWN))).toHaveLength(2);
    expect(lines.join('')).toContain('"unavailable"');
  });

  test('is captured if GitHub says so when it is asked again', async () => {
    answers.set(installation(OWN), [{ status: 503 }, { body: {} }]);
    expect((await connected('github', { installation_id: OWN })).captured).toMatchObject({ installation_id: OWN });
  });

  test.each(['../..', '501/../48213377', '501?x', '', '5O1'])('%j is none: it is not even asked for', async (text) => {
    expect((await connected('github', { installation_id: text })).captured).not.toHaveProperty('installation_id');
    expect(asked('/user/')).toEqual([]);
  });

  test('of a renewal replaces the stored one only if it is confirmed', async () => {
    const owner = newOwner();
    await connected('github', { installation_id: OWN }, { owner });
    const spoofed = await connected('github', { installation_id: VICTIMS }, { owner });
    expect(spoofed).toMatchObject({ generation: 2, captured: { installation_id: OWN } });
    answers.set(installation('502'), [{ body: {} }]);
    const moved = await connected('github', { installation_id: '502' }, { owner });
    expect(moved).toMatchObject({ generation: 3, captured: { installation_id: '502' } });
    const without = await connected('github', {}, { owner });
    expect(without).toMatchObject({ generation: 4, captured: { installation_id: '502' } });
  });

  test('does not stay with a connection that another account may have renewed', async () => {
    const owner = newOwner();
    // Whose it is, is not known: GitHub is away.
    answers.set('/user', [{ status: 503 }]);
    const imported = { credentials: { access_token: 'of someone' }, captured: { installation_id: VICTIMS } };
    expectOk(await broker.ask('POST', '/v1/connections', { integration: 'github', owner, ...imported }), 201);
    answers.clear();
    const renewed = await connected('github', {}, { owner });
    expect(renewed).toMatchObject({ generation: 2, account: { id: '666' } });
    expect(renewed.captured).not.toHaveProperty('installation_id');
  });

  test('is confirmed before the session waits for its finish', async () => {
    const said = { installation_id: VICTIMS };
    const wanted = { finish: true, return_url: 'https://app.example/done' };
    const { owner, link, page } = await consent('github', said, wanted);
    expect(asked(installation(VICTIMS))).toHaveLength(1);
    const finishCode = new URL(page.location ?? '').searchParams.get('finish_code');
    expect(await sessionOf(broker, link)).toMatchObject({ status: 'awaiting_finish' });
    const finish = { owner, finish_code: finishCode };
    expectOk(await broker.ask('POST', `/v1/connect-sessions/${link.id}/finish`, finish));
    expect((await connectionOf(broker, link)).captured).not.toHaveProperty('installation_id');
  });
});

describe('a company of QuickBooks', () => {
  test('that the token is of is captured, and is the account', async () => {
    answers.set(companyInfo(REALM), [{ body: { CompanyInfo: {} } }]);
    const { captured, account } = await connected('quickbooks', { realmId: REALM });
    expect([captured, account]).toEqual([{ realm_id: REALM }, expect.objectContaining({ id: REALM })]);
    expect(asked(companyInfo(REALM)).map(({ path }) => path)).toEqual([`${companyInfo(REALM)}?minorversion=75`]);
  });

  test.each([401, 403])('that the token is not of (%i) ends the session, and nothing is stored', async (status) => {
    answers.set(companyInfo(REALM), [{ status, body: { Fault: { Error: [{ code: '3100' }] } } }]);
    const { owner, link, page } = await consent('quickbooks', { realmId: REALM });
    expect(page.text).toContain('invalid_answer (502)');
    await expectNoConnection(broker, owner, link, { status: 'failed', error: 'invalid_answer', account: null });
    expect(lines.join('')).not.toContain(REALM);
  });

  test('that the token is not of leaves the connection as it was', async () => {
    const owner = newOwner();
    answers.set(companyInfo(REALM), [{ body: {} }]);
    const before = await connected('quickbooks', { realmId: REALM }, { owner });
    answers.set(companyInfo('1'), [{ status: 403 }]);
    const { link } = await consent('quickbooks', { realmId: '1' }, { owner });
    expect(await sessionOf(broker, link)).toMatchObject({ status: 'failed', error: 'invalid_answer' });
    const { id, generation, captured, account } = before;
    expect(await connectionsOf(broker, owner)).toMatchObject([{ id, generation, captured, account }]);
  });

  test.each<[string, ScriptedResponse[], number]>([
    ['has no such path', [{ status: 404 }], 1],
    ['is down', [{ status: 500 }], 2],
    ['cannot be reached', ['drop'], 2],
    ['limits requests', [{ status: 429 }], 2],
  ])('is believed where the API %s', async (_, said, times) => {
    answers.set(companyInfo(REALM), said);
    expect(await connected('quickbooks', { realmId: REALM })).toMatchObject({ captured: { realm_id: REALM } });
    expect(asked(companyInfo(REALM))).toHaveLength(times);
    expect(lines.join('')).toContain('"outcome":"keep"');
  });

  test('is asked for below the base URL that the integration names', async () => {
    const overrides = { api_base_url: `${vendor.url}/mirror/` };
    const setup = { provider: 'quickbooks', client_id: 'a', client_secret: 'b', overrides };
    expectOk(await putIntegration(broker, 'mirrored', setup), 201);
    answers.set(`/mirror/companyinfo/${REALM}`, [{ body: {} }]);
    expect(await connected('mirrored', { realmId: REALM })).toMatchObject({ captured: { realm_id: REALM } });
    expect(asked('/mirror/')).toHaveLength(1);
    expect(asked('/v3/')).toEqual([]);
  });

  test('is not believed without the scope of companies, with which it could be asked for', async () => {
    const scopes = ['com.intuit.quickbooks.payment'];
    expect(await connected('quickbooks', { realmId: REALM }, { scopes })).toMatchObject({
      captured: {},
      account: null,
    });
    expect(asked('/v3/')).toEqual([]);
  });
});

describe('a server of Discord', () => {
  test('in the callback alone is not captured', async () => {
    const { captured } = await connected('discord', { guild_id: '290926798626357999', permissions: '8' });
    expect(captured).toEqual({ granted_permissions: '8' });
  });

  test('in the token response is captured, whatever the callback says', async () => {
    tokens = { guild: { id: '290926798626357111', name: 'Mine' } };
    const { captured } = await connected('discord', { guild_id: '290926798626357999' });
    expect(captured).toEqual({ guild_id: '290926798626357111', guild_name: 'Mine' });
  });
});

describe('a data centre of Zoho', () => {
  const tokenRequests = () => vendor.received.map(({ path }) => path).filter((path) => path.endsWith('/token'));

  test('of the entry says where the code is exchanged', async () => {
    const said = { location: 'eu', 'accounts-server': 'https://accounts.zoho.eu' };
    const { captured } = await connected('zoho', said);
    expect(captured).toEqual({ location: 'eu', accounts_server: said['accounts-server'] });
    expect(tokenRequests()).toEqual(['/accounts.zoho.eu/oauth/v2/token']);
  });

  test.each(['evil.example', 'accounts.zoho.eu@evil.example', 'toString', '../evil'])(
    '%s is none: nothing is sent there, and nothing captured',
    async (location) => {
      const said = { location, 'accounts-server': `https://${location}` };
      const { captured } = await connected('zoho', said);
      expect(captured).toEqual({});
      expect(tokenRequests()).toEqual(['/accounts.zoho.com/oauth/v2/token']);
    },
  );
});

describe('what an entry does not let pass', () => {
  test('fails the session, and what was obtained is revoked', async () => {
    answers.set('/api/tenants/victim', [{ status: 403 }]);
    const { owner, link } = await consent('acme', { tenant: 'victim' });
    await expectNoConnection(broker, owner, link, { status: 'failed', error: 'invalid_answer' });
    const revoked = () => asked('/revoke').map(({ form }) => form.get('token'));
    await expect.poll(revoked, { timeout: 30_000 }).toContain(`rt-${issued}`);
  });

  test('is asked for with nothing in it that the callback does not name', async () => {
    expect(await connected('acme', {})).toMatchObject({ status: 'active', captured: {} });
    expect(asked('/api/')).toEqual([]);
  });
});
