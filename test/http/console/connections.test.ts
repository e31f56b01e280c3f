// The views of connections: the list and its search, a connection, what can be done with it, and revoking many.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONSOLE_FRESH_MS } from '../../../src/domain/time-limits.ts';
import { systemClock } from '../../../src/runtime/system-clock.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';
import { expectOk } from '../../support/contract.ts';
import { codeMode, entry } from '../../support/entries.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const XSS = '<img src=x onerror=alert(1)>"\'&';
const CANARY = 'canary-c0ffee';
const good: ScriptedResponse = {
  body: { access_token: `${CANARY}-new`, refresh_token: `${CANARY}-next`, token_type: 'Bearer', expires_in: 3_600 },
};
const dead: ScriptedResponse = { status: 400, body: { error: 'invalid_grant', error_description: XSS } };
const down: ScriptedResponse = { status: 503, body: `out of order ${XSS}` };

describe('console: connections', () => {
  let broker: TestBroker;
  let server: ScriptedServer;
  let folder: string;
  let token: ScriptedResponse = good;
  let api: ScriptedResponse = { body: { user: { id: 'u1' } } };
  let late = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + late };
  const people = {} as Record<'viewer' | 'operator' | 'admin', ConsoleBrowser>;
  const pages: string[] = [];

  const signIn = async (role: keyof typeof people) => {
    people[role] = consoleBrowser(broker.url);
    const { url } = (await broker.ask('POST', '/v1/console-links', { role })).body;
    expect((await openLink(people[role], url)).status).toBe(200);
  };
  async function see(path: string, role: keyof typeof people = 'operator') {
    const page = await people[role].get(`/console/connections${path}`);
    pages.push(page.html);
    return page;
  }
  async function press(path: string, fields: Record<string, string> = {}, role: keyof typeof people = 'operator') {
    const page = await people[role].post(`/console/connections${path}`, fields);
    pages.push(page.html);
    return page;
  }
  const connect = async (owner: string, more: Json = {}): Promise<string> => {
    const credentials = { refresh_token: `${CANARY}-refresh`, access_token: `${CANARY}-access`, scopes: ['read'] };
    const body = { integration: 'acme', owner, credentials, ...more };
    return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
  };
  const refresh = (id: string) => broker.ask('POST', `/v1/connections/${id}/refresh`);
  /** The owners that the list shows. */
  const ownersOf = (html: string) =>
    [...html.matchAll(/connections\/con_\w+"><bdi>([^<]*)</g)].map(([, owner]) => owner);
  const found = async (query: Record<string, string>) => ownersOf((await see(`?${new URLSearchParams(query)}`)).html);

  beforeAll(async () => {
    server = await startScriptedServer(({ path }) => (path === '/token' ? token : api));
    folder = mkdtempSync(join(tmpdir(), 'valetkey-console-'));
    const acme = entry('acme', {
      auth: [
        codeMode({
          authorization_url: `${server.url}/authorize`,
          token_url: `${server.url}/token`,
        }),
      ],
      api_base_url: `${server.url}/v1`,
      api: { whoami: [{ path: '/me' }] },
    });
    writeFileSync(join(folder, 'acme.json'), JSON.stringify(acme));
    const env = { VALETKEY_PROVIDERS_DIR: folder, VALETKEY_AUDIT_REFRESHES: 'all' };
    broker = await startTestBroker(env, undefined, { clock, refreshAhead: false });
    const set = (id: string, setup: object) => broker.ask('PUT', `/v1/integrations/${id}`, setup);
    const client = { client_id: 'c', client_secret: `${CANARY}-client`, scopes: ['read', 'write'] };
    expectOk(await set('acme', { provider: 'acme', ...client }), 201);
    expectOk(await set('other', { provider: 'acme', ...client }), 201);
    for (const role of ['viewer', 'operator', 'admin'] as const) await signIn(role);
  });
  afterAll(async () => {
    await broker?.stop();
    await server?.close();
    rmSync(folder, { recursive: true });
  });

  it('without any connection, says what comes first', async () => {
    const page = await see('');
    expect([page.status, page.text.includes('No account is connected yet.')]).toEqual([200, true]);
    expect((await see('?q=anna')).text).toContain('No connection matches.');
    expect((await see('/con_none')).status).toBe(404);
    expect((await see('/%00')).status).toBe(404);
  });

  it('a connection that works shows what is known of it, and its token nowhere', async () => {
    const id = await connect('anna', { label: 'work', metadata: { plan: XSS } });
    await refresh(id);
    const { text } = await see(`/${id}`);
    for (const part of [
      'It works, as far as is known.',
      'anna at acme',
      'expires in ',
      'Missing write',
      'Token refreshed',
      'Imported',
      'by the admin key',
      '&lt;img src=x onerror=alert(1)&gt;',
    ])
      expect(text, part).toContain(part);
    expect((await see(`/${id}?cursor=x&done=x&cursor=y`)).status).toBe(200);
  });

  it('one that is dead says why, since when, who can fix it and how, with the code of the provider', async () => {
    token = dead;
    const id = await connect('dora');
    expect((await refresh(id)).status).toBe(409);
    const { text, html } = await see(`/${id}`);
    for (const part of [
      'needs its owner',
      'the grant is gone',
      'Since',
      'the owner of the account',
      'Send the owner a connect link',
      'grant_revoked',
      'invalid_grant',
    ])
      expect(text, part).toContain(part);
    expect(html).toContain('Make a reconnect link');
    token = good;
    expect((await press(`/${id}/retry`)).text).toContain('tried once more, and works');
    expect((await see(`/${id}`)).text).toContain('The dead grant was tried once more grant_revoked');
  });

  it('one whose refreshes fail is active and says so, and is found by that', async () => {
    token = down;
    const id = await connect('fred', { label: XSS });
    const pressed = await press(`/${id}/refresh`);
    expect(pressed.text).toContain('The refresh failed.');
    expect(pressed.text).toContain('active, with trouble');
    expect(pressed.text).toContain('http_503');
    expect(await found({ status: 'failing' })).toEqual(['fred']);
    expect((await see('?status=failing')).text).toMatch(/1\s+whose refreshes fail/);
    token = good;
    // The provider is given time, but an admin may ask it at once.
    expect((await press(`/${id}/refresh`)).text).toContain('The broker tries again in');
    expect((await press(`/${id}/refresh`, {}, 'admin')).text).toContain('The token was refreshed.');
    expect(await found({ status: 'failing' })).toEqual([]);
    const { data } = (await broker.ask('GET', '/v1/audit?action=connection.refresh_requested')).body;
    expect((data as Json[]).map(({ actor }) => String(actor).startsWith('user:clr_admin@'))).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('is checked at its API', async () => {
    const id = await connect('carl');
    expect((await press(`/${id}/check`)).text).toContain('The API accepts the token.');
    api = { status: 401, body: {} };
    expect((await press(`/${id}/check`)).text).toContain('The API does not accept the token.');
    api = { status: 503, body: {} };
    expect((await press(`/${id}/check`)).text).toContain('The API did not say whether the token works.');
    api = { body: {} };
    expect((await see(`/${id}`)).text).toContain('Checked at its API');
  });

  it('reads are counted by caller and hour, and refreshes that worked are one line', async () => {
    const id = await connect('rita');
    const key = await broker.callerKey({ actions: ['token'] });
    for (let i = 0; i < 4; i++) {
      await refresh(id);
      await broker.ask('GET', `/v1/connections/${id}/token`, undefined, key);
    }
    const { text, html } = await see(`/${id}`);
    expect(text).toContain('Token refreshed 4 times');
    expect(text).toMatch(/Token read 4 times since \d\d:00/);
    expect(html).toMatch(/by <a href="\/console\/callers\/clr_\w+"/);
    expect(html).toMatch(/request <a href="[^"]*request_id=[^"]*"><code>[\w-]+<\/code>/);
  });

  it('a reconnect link is shown once, for the same connection', async () => {
    const id = await connect('lena');
    const page = await press(`/${id}/reconnect`);
    const link = new RegExp(`${broker.url}/connect/[\\w-]+`).exec(page.html)?.[0];
    expect([page.status, link !== undefined, page.text.includes('shown only now')]).toEqual([200, true, true]);
    expect((await see(`/${id}`)).html).not.toContain(link);
    const { data } = (await broker.ask('GET', '/v1/connect-sessions?owner=lena')).body;
    expect(data).toEqual([expect.objectContaining({ connection_id: id, status: 'pending' })]);
  });

  it('search and filters find what they say, in pages', async () => {
    const account = (name: string) => ({ issuer: server.url, id: `id-${name}`, name });
    await connect('Anna', { integration: 'other', account: account('Zoë Zimmer') });
    await connect(XSS, { account: account(XSS) });
    expect(await found({ q: 'ann' })).toEqual(['anna']);
    expect(await found({ q: 'zoë zIM' })).toEqual(['Anna']);
    expect(await found({ q: 'id-Zoë Zimmer' })).toEqual(['Anna']);
    expect(await found({ q: 'wor' })).toEqual(['anna']);
    expect(await found({ q: 'A', integration: 'acme' })).toEqual([]);
    expect(await found({ owner: 'Anna' })).toEqual(['Anna']);
    expect((await found({ q: '<img' })).length).toBe(2);
    expect(await found({ reason: 'grant_revoked' })).toEqual([]);
    expect((await found({ due: 'soon' })).length).toBeGreaterThan(0);
    expect(await found({ due: 'refresh' })).toEqual([]);
    expect(await found({ due: 'grant' })).toEqual([]);
    const many = Array.from({ length: 53 }, (_, i) => `many-${String(i).padStart(2, '0')}`);
    for (const owner of many) await connect(owner);
    const first = await see('?q=many-');
    const next = /<a href="\/console\/connections(\?[^"]*)" rel="next"/.exec(first.html)![1]!.replaceAll('&amp;', '&');
    const second = await see(next);
    expect([...ownersOf(first.html), ...ownersOf(second.html)]).toEqual(many);
    expect(second.html).toContain('>First page</a>');
    expect(second.html).toContain('value="many-"');
  });

  it('what is not known in the address is as if it were not there', async () => {
    const all = await found({});
    for (const query of [
      '?status=x&reason=y&due=z',
      '?cursor=AAAA',
      '?q=%00',
      '?done=%3Cb%3E',
      '?integration=&owner=&q=',
    ])
      expect(ownersOf((await see(query)).html), query).toEqual(all);
    for (const query of [
      '?q=%ff%fe',
      `?q=${'%F0%9F%98%80'.repeat(300)}`,
      '?q=%27%25_%5C',
      '?integration=%00',
      '?q=%ED%A0%80',
    ])
      expect((await see(query)).status, query).toBe(200);
  });

  it('a viewer reads all, and has no form but filters and sign-out', async () => {
    const id = await connect('vera');
    for (const path of ['', `/${id}`]) {
      const { html, status } = await see(path, 'viewer');
      expect(status).toBe(200);
      const forms = [...html.matchAll(/<form method="(\w+)" action="([^"]*)"/g)].map(
        ([, method, to]) => `${method} ${to}`,
      );
      expect(forms.filter((form) => form !== 'post /console/sign-out' && !form.startsWith('get '))).toEqual([]);
    }
    expect((await see('/revoke?owner=vera', 'viewer')).status).toBe(403);
    for (const action of ['check', 'refresh', 'retry', 'reconnect', 'revoke'])
      expect((await press(`/${id}/${action}`, { confirmation: id }, 'viewer')).status, action).toBe(403);
    expect((await press('/revoke', { owner: 'vera', confirmation: 'vera' }, 'viewer')).status).toBe(403);
    expect((await broker.ask('GET', `/v1/connections/${id}`)).body.status).toBe('active');
    const forged = await people.operator.post(`/console/connections/${id}/reconnect`, { form_token: 'x' });
    expect(forged.status).toBe(403);
  });

  it('is revoked when its id is typed, by someone who has signed in a moment ago', async () => {
    const id = await connect('rosa');
    const untyped = await press(`/${id}/revoke`, { confirmation: 'con_other' });
    expect([untyped.status, untyped.text.includes('Nothing was changed')]).toEqual([400, true]);
    late = CONSOLE_FRESH_MS;
    const stale = await press(`/${id}/revoke`, { confirmation: id });
    expect(stale.url.pathname).toContain('/console/sign-in');
    late = 0;
    expect((await broker.ask('GET', `/v1/connections/${id}`)).body.status).toBe('active');
    await signIn('operator');
    const { text, html } = await press(`/${id}/revoke`, { confirmation: id });
    expect(text).toContain('The connection was revoked here');
    expect(text).toContain('its secrets were deleted');
    expect(html).not.toContain('Make a reconnect link');
    expect((await press(`/${id}/refresh`)).text).toContain('The refresh failed.');
  });

  it('many are revoked after a preview of which and how many, and never all at once', async () => {
    for (const label of ['a', 'b']) await connect('bulk', { label });
    await connect('bulk', { integration: 'other' });
    const preview = await see('/revoke?owner=bulk&integration=acme');
    expect(preview.text).toContain('2 live connections of the owner bulk at acme');
    expect(ownersOf(preview.html)).toEqual(['bulk', 'bulk']);
    expect((await see('/revoke?owner=bulk')).text).toContain('3 live connections of the owner bulk');
    expect((await see('/revoke?integration=acme')).text).toMatch(/\d\d live connections at acme/);
    expect((await see('/revoke?owner=none')).text).toContain('There is nothing to revoke.');
    expect((await see(`/revoke?${new URLSearchParams({ owner: XSS })}`)).status).toBe(200);
    const target = { owner: 'bulk', integration: 'acme' };
    expect((await press('/revoke', { ...target, confirmation: 'bulk' })).status).toBe(400);
    expect((await press('/revoke', { confirmation: '' })).url.pathname).toBe('/console/connections/revoke');
    const done = await press('/revoke', { ...target, confirmation: 'bulk at acme' });
    expect(done.url.pathname).toMatch(/\/console\/connections\/revoke\/job_\w+$/);
    const progress = done.url.pathname.replace('/console/connections', '');
    await expect
      .poll(async () => (await see(progress)).text, { timeout: 30_000 })
      .toContain('done : 2 of about 2 revoked');
    expect((await press(`${progress}/cancel`)).text).toContain('done');
    expect((await see('/revoke/job_none')).status).toBe(404);
    const { data } = (await broker.ask('GET', '/v1/connections?owner=bulk')).body;
    expect((data as Json[]).map(({ integration, status }) => `${integration} ${status}`).sort()).toEqual([
      'acme revoked',
      'acme revoked',
      'other active',
    ]);
    expect((await broker.ask('GET', '/v1/connections?owner=anna')).body.data).toEqual([
      expect.objectContaining({ status: 'active' }),
    ]);
  });

  it('connections of an owner that no one can type are revoked by typing what is shown for it, and no others', async () => {
    const owner = ' bo\u200bb\u202e ';
    const ids = [await connect(owner), await connect(owner.trim())];
    const preview = await see(`/revoke?${new URLSearchParams({ owner })}`);
    const typed = '\\u0020bo\\u200bb\\u202e\\u0020';
    expect(preview.html).toContain(`1 live connection of the owner ${typed}`);
    expect(preview.html).toContain(`Type <code><bdi>${typed}</bdi></code>`);
    expect((await press('/revoke', { owner, confirmation: 'bob' })).status).toBe(400);
    expect((await press('/revoke', { owner, confirmation: typed })).url.pathname).toMatch(/revoke\/job_/);
    const statuses = () =>
      Promise.all(ids.map(async (id) => (await broker.ask('GET', `/v1/connections/${id}`)).body.status));
    await expect.poll(statuses, { timeout: 30_000 }).toEqual(['revoked', 'active']);
  });

  it('no page has a secret, or markup of others', () => {
    expect(pages.length).toBeGreaterThan(50);
    for (const html of pages) {
      expect(html).not.toContain(CANARY);
      expect(html).not.toContain('<img');
      expect(html.replaceAll(/"[^"]*"/g, '')).not.toMatch(/<[^>]* (style|on\w+)=/);
    }
  });
});
