// The console in two tabs, and by two people: a form twice, a form of what is not so any more, and a session that has ended.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, type ConsolePage, consoleBrowser, openLink } from '../../support/console-browser.ts';
import { expectOk } from '../../support/contract.ts';

describe('console: two tabs', () => {
  let broker: TestBroker;
  let admin: ConsoleBrowser;
  let other: ConsoleBrowser;

  async function signIn(role = 'admin', key?: string): Promise<ConsoleBrowser> {
    const browser = consoleBrowser(broker.url);
    await openLink(browser, (await broker.ask('POST', '/v1/console-links', { role }, key)).body.url);
    return browser;
  }
  const made = async (path: string, body: object) => expectOk(await broker.ask('POST', path, body), 201) as Json;
  const at = (path: string) => `/console${path}`;
  /** What the form of this page would send as it is. */
  const formOf = ({ html }: ConsolePage, action: string): Record<string, string> => {
    const form = html.split('<form').find((one) => one.includes(`method="post" action="${action}"`)) ?? '';
    const inputs = [...form.matchAll(/<input[^>]*>/g)]
      .map(([one]) => one)
      .filter((one) => !/type="(checkbox|password)"/.test(one));
    const attribute = (input: string, name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(input)?.[1] ?? '';
    const areas = [...form.matchAll(/<textarea[^>]*name="([^"]*)"[^>]*>\n?([^<]*)</g)].map(([, name, text]) => [
      name!,
      text!,
    ]);
    return Object.fromEntries([...inputs.map((one) => [attribute(one, 'name'), attribute(one, 'value')]), ...areas]);
  };
  const statusOf = async (id: unknown) => (await broker.ask('GET', `/v1/connections/${id}`)).body.status;

  beforeAll(async () => {
    broker = await startTestBroker({}, undefined, { refreshAhead: false, jobsEveryMs: 20 });
    const params = { authorization_url: 'https://127.0.0.1:1/a', token_url: 'https://127.0.0.1:1/t' };
    const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params, scopes: ['read'] };
    expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
    [admin, other] = [await signIn(), await signIn()];
  });
  afterAll(() => broker?.stop());

  const connect = async (owner: string) =>
    (await made('/v1/connections', { integration: 'acme', owner, credentials: { access_token: 'a' } })).id;

  it('settings that someone else has changed are not lost: both are shown, and nothing is saved', async () => {
    const path = at('/integrations/acme/edit');
    const [mine, theirs] = [formOf(await admin.get(path), path), formOf(await other.get(path), path)];
    expect(mine).toMatchObject({ version: '1', client_id: 'c', scopes: 'read' });
    expect((await other.post(path, { ...theirs, scopes: 'read write' })).text).toContain('The settings are saved');
    const told = await admin.post(path, { ...mine, client_id: 'of mine' });
    expect(told.status).toBe(422);
    expect(told.text).toContain('was changed meanwhile by someone else');
    for (const part of ['stored now: read write', 'stored now: c']) expect(told.html).toContain(part);
    expect(told.text).not.toMatch(/stored now: https/);
    expect((await broker.ask('GET', '/v1/integrations/acme')).body).toMatchObject({
      client_id: 'c',
      scopes: ['read', 'write'],
    });
    // It is theirs to decide, once they have seen it.
    const merged = { ...formOf(told, path), scopes: 'read write' };
    expect(merged).toMatchObject({ version: '2', client_id: 'of mine' });
    expect((await admin.post(path, merged)).text).toContain('The settings are saved');
    expect((await broker.ask('GET', '/v1/integrations/acme')).body).toMatchObject({ client_id: 'of mine', version: 3 });
  });

  it('of two integrations that are created with one id at once, one is', async () => {
    const form = {
      ...{ id: 'twice', client_secret: 's', 'params.authorization_url': 'https://127.0.0.1:1/a' },
      'params.token_url': 'https://127.0.0.1:1/t',
    };
    const path = at('/integrations/new/generic-oauth2');
    await Promise.all([admin.get(path), other.get(path)]);
    const both = await Promise.all([
      admin.post(path, { ...form, client_id: 'one' }),
      other.post(path, { ...form, client_id: 'two' }),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 422]);
    const winner = both[0]!.status === 200 ? 'one' : 'two';
    expect((await broker.ask('GET', '/v1/integrations/twice')).body).toMatchObject({ client_id: winner, version: 1 });
  });

  it('a grant is changed by what it was, not by its number, which another has by now', async () => {
    const grants = ['one', 'two', 'three'].map((name) => ({ actions: ['token'], integrations: [name], owners: ['*'] }));
    const { id } = await made('/v1/callers', { name: 'mailer', grants });
    const page = at(`/callers/${id}`);
    const integrations = async () =>
      ((await broker.ask('GET', `/v1/callers/${id}`)).body.grants as { integrations: string[] }[]).map(
        (one) => one.integrations[0],
      );
    const mine = formOf(await admin.get(`${page}/grants/2`), `${page}/grants/2`);
    const shown = await other.get(page);
    const removal = formOf(shown, `${page}/grants/1/delete`);
    await other.post(`${page}/grants/1/delete`, { ...removal, confirmation: 'grant 1' });
    expect(await integrations()).toEqual(['two', 'three']);
    // The same dialog once more, in a tab that still shows it.
    const again = await other.post(`${page}/grants/1/delete`, { ...removal, confirmation: 'grant 1' });
    expect(again.text).toContain('it was changed meanwhile by someone else');
    const changed = { ...mine, integrations: 'two-b', actions: 'token' };
    const told = await admin.post(`${page}/grants/2`, changed);
    expect([told.status, told.text.includes('Change grant 1')]).toEqual([422, true]);
    const saved = { ...formOf(told, `${page}/grants/1`), integrations: 'two-b', actions: 'token' };
    expect((await admin.post(`${page}/grants/1`, saved)).text).toContain('Its grants were changed');
    expect(await integrations()).toEqual(['two-b', 'three']);
    const gone = await admin.post(`${page}/grants/2`, changed);
    expect([gone.status, gone.text.includes('changed or removed meanwhile')]).toEqual([400, true]);
    expect(await integrations()).toEqual(['two-b', 'three']);
  });

  it('what is done twice is done once, and a page says so', async () => {
    const id = await connect('twice');
    const page = at(`/connections/${id}`);
    await Promise.all([admin.get(page), other.get(page)]);
    const revoked = await Promise.all(
      [admin, other].map((one) => one.post(`${page}/revoke`, { confirmation: String(id) })),
    );
    expect(revoked.map(({ status }) => status)).toEqual([200, 200]);
    expect(await statusOf(id)).toBe('revoked');
    const { data } = (await broker.ask('GET', `/v1/audit?connection_id=${id}&action=connection.revoked`)).body;
    expect(data).toHaveLength(1);
    // It was being reconnected in the other tab.
    const link = await other.post(`${page}/reconnect`);
    expect([link.status, link.text.includes('No link was made.'), link.html.includes('/connect/')]).toEqual([
      200,
      true,
      false,
    ]);

    const endpoint = (await made('/v1/webhook-endpoints', { url: 'https://127.0.0.1:1/hook' })).id;
    const [first, second] = await Promise.all(
      [admin, other].map((one) =>
        one.post(at(`/events/endpoints/${endpoint}/delete`), { confirmation: String(endpoint) }),
      ),
    );
    expect([first!.status, second!.status].sort()).toEqual([200, 404]);
  });

  it('a connect link of a connection that was revoked meanwhile connects nothing', async () => {
    const id = await connect('meanwhile');
    const page = at(`/connections/${id}`);
    await admin.get(page);
    const link = /\/connect\/[\w-]+/.exec((await admin.post(`${page}/reconnect`)).html)![0];
    await other.get(page);
    await other.post(`${page}/revoke`, { confirmation: String(id) });
    const opened = await consoleBrowser(broker.url).get(link);
    expect(opened.html).not.toContain('<form');
    expect(await statusOf(id)).toBe('revoked');
  });

  it('a job that is cancelled twice is cancelled once', async () => {
    await connect('jobs');
    await Promise.all([admin.get(at('/connections')), other.get(at('/connections'))]);
    const started = await admin.post(at('/connections/revoke'), { owner: 'jobs', confirmation: 'jobs' });
    const cancel = `${started.url.pathname}/cancel`;
    const both = await Promise.all([admin.post(cancel), other.post(cancel)]);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    for (const { text } of both) expect(text).toMatch(/cancelled|done/);
  });

  it('who has signed out in one tab is signed out in all, and what another tab posts does nothing', async () => {
    const id = await connect('out');
    const page = at(`/connections/${id}`);
    const tab = await signIn();
    const shown = await tab.get(page);
    expect(shown.headers.get('cache-control')).toBe('no-store');
    const before = new Map(tab.cookies);
    expect((await tab.post(at('/sign-out'))).text).toContain('You are signed out.');
    for (const [name, value] of before) tab.cookies.set(name, value);
    const late = await tab.post(`${page}/revoke`, { confirmation: String(id) });
    expect(late.url.pathname).toBe('/console/sign-in');
    expect(late.text).toContain('Your session has ended, and nothing was changed.');
    expect((await tab.post(at('/sign-out'))).text).toContain('You are signed out.');
    expect((await tab.get(page)).url.pathname).toBe('/console/sign-in');
    expect(await statusOf(id)).toBe('active');
  });

  it('who may less while a page is open may no more than that', async () => {
    const id = await connect('less');
    const everything = { actions: ['*'], integrations: ['*'], owners: ['*'] };
    const created = await made('/v1/callers', { name: 'lead', grants: [everything] });
    const caller = created.id;
    const browser = await signIn('operator', String(created.key));
    const page = at(`/connections/${id}`);
    expect((await browser.get(page)).html).toContain('Make a reconnect link');
    const less = { name: 'lead', grants: [{ ...everything, actions: ['connections:read'] }] };
    expectOk(await broker.ask('PUT', `/v1/callers/${caller}`, less));
    expect((await browser.post(`${page}/revoke`, { confirmation: String(id) })).url.pathname).toBe('/console/sign-in');
    expect(await statusOf(id)).toBe('active');
  });

  it('a link that two tabs open signs in one of them', async () => {
    const { url } = (await broker.ask('POST', '/v1/console-links', { role: 'viewer' })).body;
    const { pathname } = new URL(String(url));
    const [one, two] = [consoleBrowser(broker.url), consoleBrowser(broker.url)];
    await Promise.all([one.get(pathname), two.get(pathname)]);
    const both = await Promise.all([one.post(pathname), two.post(pathname)]);
    expect(both.filter(({ html }) => html.includes('Sign out'))).toHaveLength(1);
  });
});
