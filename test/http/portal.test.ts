// Portal sessions: an owner sees, renews and ends their own connections in a browser, within what the caller may do.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CookieJar, createCookieJar } from '../../demo/browser.ts';
import { derivedSecret } from '../../src/broker/secrets/index.ts';
import type { Json, TestBroker } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';
import {
  connect,
  connectionOf,
  createConnectSession,
  formOf,
  newOwner,
  type Page,
  putIntegrationAt,
  visit,
} from '../support/owner-browser.ts';

const RETURN = 'http://127.0.0.1:9/settings';

let testSetup: TestSetup;
let broker: TestBroker;
beforeAll(async () => {
  testSetup = await startTestSetup();
  ({ broker } = testSetup);
  await putIntegrationAt(broker, 'other', testSetup.provider);
});
afterAll(() => testSetup.close());

interface Portal {
  owner: string;
  id: string;
  url: string;
  jar: CookieJar;
  /** The page of the connections. */
  show(query?: string): Promise<Page>;
  /** Posts a form of that page. */
  act(path: string, form?: Record<string, string>): Promise<Page>;
}

/** Creates a portal session, and enters it in a new browser. */
async function entered(wanted: Json = {}, key?: string): Promise<Portal> {
  const owner = String(wanted.owner ?? newOwner());
  const body = { return_url: RETURN, ...wanted, owner };
  const { id, url } = expectOk(await broker.ask('POST', '/v1/portal-sessions', body, key), 201) as Record<
    string,
    string
  >;
  const jar = createCookieJar();
  const welcome = await visit(url!, jar);
  expect([welcome.status, welcome.text.includes('<form method="post"')]).toEqual([200, true]);
  expect((await visit(url!, jar, { form: formOf(welcome) })).location).toBe('/connect/portal');
  const at = (path: string) => `${broker.url}/connect/portal${path}`;
  const show = (query = '') => visit(at(query), jar);
  return {
    owner,
    id: id!,
    url: url!,
    jar,
    show,
    async act(path, form) {
      return visit(at(path), jar, { form: form ?? formOf(await show()) });
    },
  };
}
const named = (owner: string, integration = 'acme', label?: string) =>
  testSetup.importConnection(owner, {}, { integration, ...(label && { label }) });
const connection = async (id: string) => expectOk(await broker.ask('GET', `/v1/connections/${id}`));
const entries = async (owner: string, action: string): Promise<Json[]> =>
  (expectOk(await broker.ask('GET', `/v1/audit?owner=${owner}&limit=100`)).data as Json[]).filter(
    (one) => one.action === action,
  );

describe('a portal session', () => {
  test('shows the own connections, in the language of the owner, and who did what is in the audit log', async () => {
    const owner = newOwner();
    const mine = await named(owner, 'acme', 'work');
    const theirs = await named(newOwner());
    const portal = await entered({ owner, ui_locales: 'de', display_owner: 'Ada' });
    const page = await portal.show();
    expect(page.text).toContain('<html lang="de" dir="ltr">');
    expect(page.text).toContain('<bdi>work</bdi>');
    expect(page.text).toContain(mine);
    expect(page.text).not.toContain(theirs);
    expect(page.text).toContain(`href="${RETURN}"`);
    expect(page.text).not.toContain('<script');
    const [created, opened] = [
      await entries(owner, 'portal_session.created'),
      await entries(owner, 'portal_session.entered'),
    ];
    expect(created).toMatchObject([{ actor: 'clr_admin', detail: portal.id }]);
    expect(opened).toMatchObject([{ actor: 'browser', detail: portal.id }]);
  });

  test('its link works once, in one browser, for ten minutes; the page for an hour', async () => {
    const portal = await entered();
    const again = await visit(portal.url);
    expect([again.status, again.text.includes('portal_ended')]).toEqual([410, true]);
    expect((await visit(portal.url, portal.jar)).location).toBe('/connect/portal');
    expect((await visit(`${broker.url}/connect/portal`)).status).toBe(410);
    const body = { owner: newOwner(), return_url: RETURN };
    const late = expectOk(await broker.ask('POST', '/v1/portal-sessions', body), 201);
    testSetup.advance(11 * 60_000);
    expect((await visit(String(late.url))).status).toBe(410);
    expect((await portal.show()).status).toBe(200);
    testSetup.advance(50 * 60_000);
    expect((await portal.show()).status).toBe(410);
  });

  test('is entered by no preview, by no other page, and with another cookie than its page had (fixation)', async () => {
    const body = { owner: newOwner(), return_url: RETURN };
    const url = String(expectOk(await broker.ask('POST', '/v1/portal-sessions', body), 201).url);
    const preview = await visit(url, undefined, { headers: { 'sec-purpose': 'prefetch' } });
    expect(preview.status).toBe(403);
    const jar = createCookieJar();
    const form = formOf(await visit(url, jar));
    const before = jar.header(new URL(url));
    const withoutCookie = await visit(url, createCookieJar(), { form });
    expect([withoutCookie.status, withoutCookie.text.includes('Allow cookies for this site')]).toEqual([400, true]);
    const crossSite = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    expect((await visit(url, jar, { form, headers: crossSite })).status).toBe(400);
    const welcome = formOf(await visit(url, jar));
    expect((await visit(url, jar, { form: welcome })).status).toBe(303);
    expect(jar.header(new URL(url))).not.toBe(before);
  });

  test('a second click on its button, before the first answer has come, enters it too, and only there', async () => {
    const url = String(
      expectOk(await broker.ask('POST', '/v1/portal-sessions', { owner: newOwner(), return_url: RETURN }), 201).url,
    );
    const jar = createCookieJar();
    const form = formOf(await visit(url, jar));
    const cookie = jar.header(new URL(url))!;
    // The browser drops the first answer, with its cookie.
    const click = () => visit(url, createCookieJar(), { form, headers: { cookie } });
    const answers = await Promise.all([click(), click()]);
    answers.push(await visit(url, jar, { form }));
    expect(answers.map(({ location }) => location)).toEqual(Array(3).fill('/connect/portal'));
    expect((await visit(`${broker.url}/connect/portal`, jar)).status).toBe(200);
    // Who knows the link, and has planted the cookie of the page, does not know that of the session.
    const cookieOf = (header: string) => /portal=([^;]+)/.exec(header)![1]!;
    const [planted, own] = [cookie, jar.header(new URL(url))!].map(cookieOf) as [string, string];
    const link = url.slice(url.lastIndexOf('/') + 1);
    expect(own).not.toBe(planted);
    for (const known of [[link, planted], [planted], [link]]) expect(own).not.toBe(derivedSecret('portal', ...known));
    // Neither the link nor its form is of use in another browser.
    expect((await visit(url, createCookieJar(), { form })).status).toBe(410);
  });

  test('disconnects after a question, once, and says so', async () => {
    const owner = newOwner();
    const id = await named(owner);
    const portal = await entered({ owner });
    const ask = await portal.show(`/connections/${id}`);
    expect(ask.text).toContain('can no longer use the account');
    const form = formOf(ask);
    const done = await portal.act(`/connections/${id}/disconnect`, form);
    expect(done.location).toMatch(/^\/connect\/portal\?status=disconnected&connection_id=con_/);
    expect((await visit(new URL(done.location!, broker.url), portal.jar)).text).toContain('account is disconnected.');
    expect((await connection(id)).status).toBe('revoked');
    expect((await portal.show()).text).not.toContain(id);
    expect((await portal.act(`/connections/${id}/disconnect`, form)).location).toBe('/connect/portal');
    expect(await entries(owner, 'connection.revoked')).toMatchObject([{ actor: 'browser', subject: portal.id }]);
  });

  test('without its token, or from another site, nothing is done', async () => {
    const owner = newOwner();
    const id = await named(owner);
    const portal = await entered({ owner });
    expect((await portal.act(`/connections/${id}/disconnect`, {})).status).toBe(400);
    const other = await entered();
    await named(other.owner);
    expect((await portal.act(`/connections/${id}/disconnect`, formOf(await other.show()))).status).toBe(400);
    expect((await portal.act(`/connections/${id}/reconnect`, {})).location).toBe('/connect/portal');
    expect((await connection(id)).status).toBe('active');
  });

  test('connects again, and comes back to the page', async () => {
    const owner = newOwner();
    const id = await named(owner);
    const portal = await entered({ owner, display_owner: 'Ada' });
    const { location } = await portal.act(`/connections/${id}/reconnect`);
    expect(location).toMatch(new RegExp(`^${broker.url}/connect/[\\w-]{43}$`));
    const back = await connect(broker, location!, { jar: portal.jar, login: owner });
    expect(back.location).toMatch(/\/connect\/portal\?status=confirm/);
    // It knows whose page it is, and so finishes the session itself.
    const finished = await visit(back.location!, portal.jar);
    expect(finished.location).toBe(`/connect/portal?status=success&connection_id=${id}`);
    expect((await portal.show(new URL(finished.location!, broker.url).search)).text).toContain('role="status"');
    expect(await connection(id)).toMatchObject({ status: 'active', generation: 2 });
    expect(await entries(owner, 'connect_session.created')).toMatchObject([{ actor: 'browser' }]);
  });

  test('says why an account was not connected, in the language of the owner, and of their own sessions alone', async () => {
    const owner = newOwner();
    const link = await createConnectSession(broker, { owner });
    await connect(broker, link.url, { login: owner });
    const { id } = await connectionOf(broker, link);
    const portal = await entered({ owner, ui_locales: 'de' });
    const outcome = async (walk: { login?: string; cancel?: boolean }) => {
      const { location } = await portal.act(`/connections/${id}/reconnect`);
      return (await connect(broker, location!, { jar: portal.jar, ...walk })).location!;
    };
    expect((await visit(await outcome({ cancel: true }), portal.jar)).text).toContain('Sie haben abgebrochen.');
    const other = await outcome({ login: 'someone-else' });
    expect(other).toContain('error=identity_mismatch');
    expect((await visit(other, portal.jar)).text).toContain('mit einem anderen Konto angemeldet');
    // What the query says is not repeated, nor how the session of someone else has ended.
    const stranger = await entered({ ui_locales: 'de' });
    const told = await visit(other, stranger.jar);
    expect([told.status, told.text.includes('Das Konto wurde nicht verbunden.')]).toEqual([200, true]);
    expect((await portal.show('?status=error&error=identity_mismatch')).text).toContain(
      'Das Konto wurde nicht verbunden.',
    );
  });

  test('a connection that is revoked while its page is open: the page shows what is left, and says that it is gone', async () => {
    const owner = newOwner();
    const id = await named(owner);
    const portal = await entered({ owner });
    const form = formOf(await portal.show());
    expectOk(await broker.ask('DELETE', `/v1/connections/${id}`));
    expect((await portal.show(`/connections/${id}`)).location).toBe('/connect/portal');
    expect((await portal.act(`/connections/${id}/disconnect`, form)).location).toBe('/connect/portal');
    const gone = await portal.act(`/connections/${id}/reconnect`, form);
    expect([gone.status, gone.text.includes('connection_gone (410)')]).toEqual([410, true]);
  });

  test('keeps nothing of someone to whom its owner has sent the link on', async () => {
    const owner = newOwner();
    const id = await named(owner);
    const portal = await entered({ owner });
    const victim = await entered();
    for (const jar of [victim.jar, createCookieJar()]) {
      const { location } = await portal.act(`/connections/${id}/reconnect`);
      const back = await connect(broker, location!, { jar, login: owner });
      expect((await visit(back.location!, jar)).location ?? '').not.toContain('status=success');
      expect(await connection(id)).toMatchObject({ generation: 1 });
    }
  });

  test("shows and does only what the caller's grants cover, as they are now, and the integrations that it names", async () => {
    const owner = newOwner();
    const [acme, other] = [await named(owner), await named(owner, 'other')];
    const grants = [{ actions: ['connections:write'], integrations: ['acme'], owners: ['owner-*'] }];
    const { key, id } = expectOk(await broker.ask('POST', '/v1/callers', { name: 'settings', grants }), 201);
    const portal = await entered({ owner }, String(key));
    const page = await portal.show();
    expect([page.text.includes(acme), page.text.includes(other)]).toEqual([true, false]);
    expect((await portal.act(`/connections/${other}/disconnect`)).status).toBe(303);
    expect((await connection(other)).status).toBe('active');
    const narrowed = await entered({ owner, integrations: ['other'] });
    const named_ = await narrowed.show();
    expect([named_.text.includes(acme), named_.text.includes(other)]).toEqual([false, true]);
    expectProblem(
      await broker.ask('POST', '/v1/portal-sessions', { owner: 'x', return_url: RETURN }, String(key)),
      404,
      'not_found',
    );
    expectOk(
      await broker.ask('PUT', `/v1/callers/${id}`, {
        name: 'settings',
        grants: [{ ...grants[0], integrations: ['none'] }],
      }),
    );
    expect((await portal.show()).text).not.toContain(acme);
    expect((await broker.ask('DELETE', `/v1/callers/${id}`)).status).toBe(204);
    expect((await portal.show()).status).toBe(410);
  });

  test("ends with the owner's revocation", async () => {
    const portal = await entered();
    await named(portal.owner);
    expectOk(await broker.ask('POST', '/v1/connections/revoke', { owner: portal.owner }));
    expect((await portal.show()).status).toBe(410);
    expect(await entries(portal.owner, 'portal_session.ended')).toHaveLength(1);
  });

  test('a return_url elsewhere: 400; an integration that is not there: 404', async () => {
    const body = { owner: newOwner(), return_url: 'https://evil.example/x' };
    expectIssues(await broker.ask('POST', '/v1/portal-sessions', body), 'return_url');
    const unknown = { owner: newOwner(), return_url: RETURN, integrations: ['nothing'] };
    expectProblem(await broker.ask('POST', '/v1/portal-sessions', unknown), 404, 'not_found');
  });
});
