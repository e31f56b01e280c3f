// Attacks on the callback: an authorization response that this browser did not request is refused and changes nothing.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import {
  connect,
  connectionOf,
  connectionsOf,
  connectUntilCallback,
  createConnectSession,
  expectErrorPage,
  expectNoConnection,
  putIntegrationAt,
  sessionOf,
  visit,
  withQuery,
} from '../../support/owner-browser.ts';

const RETURN_URL = 'https://app.example/done';

let broker: TestBroker;
let provider: LocalProvider;

beforeAll(async () => {
  [broker, provider] = await Promise.all([startTestBroker(), startProvider()]);
  await putIntegrationAt(broker, 'acme', provider, { return_origins: ['https://app.example'] });
  await putIntegrationAt(broker, 'other', provider);
});
afterAll(() => Promise.all([broker.stop(), provider.close()]));

const pending = { status: 'pending' };
const random = 'A'.repeat(43);

describe('a callback that does not belong to a flow of this browser', () => {
  test.each([
    ['a forged state', { state: random }],
    ['an empty state', { state: '' }],
    ['no state', { state: null }],
    ['a forged state and an error', { state: random, code: null, error: 'access_denied' }],
    ['a state that is SQL', { state: "' or 1=1 --" }],
    ['a state that is markup', { state: '<script>alert(1)</script>' }],
  ])('with %s is refused, and the flow can still be finished', async (_, change) => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker, { return_url: RETURN_URL });
    const forged = withQuery(callback, change);
    const page = await visit(forged, jar);
    expectErrorPage(page, 400, 'invalid_state', forged);
    expect(page.text).not.toContain('<script>');
    await expectNoConnection(broker, owner, invited, pending);
    expect((await visit(callback, jar)).location).toContain('status=success');
  });

  test('without the cookie is refused, and the right browser still succeeds', async () => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    expectErrorPage(await visit(callback), 403, 'other_browser', callback);
    await expectNoConnection(broker, owner, invited, pending);
    expect((await visit(callback, jar)).status).toBe(200);
  });

  test("with another browser's cookie is refused, and the right browser still succeeds", async () => {
    const victim = await connectUntilCallback(broker);
    const attacker = await connectUntilCallback(broker);
    expectErrorPage(await visit(victim.callback, attacker.jar), 400, 'invalid_state', victim.callback);
    await expectNoConnection(broker, victim.owner, victim.invited, pending);
    // Nor does the attacker's response connect the attacker's account in the victim's browser.
    expectErrorPage(await visit(attacker.callback, victim.jar), 400, 'invalid_state', attacker.callback);
    await expectNoConnection(broker, attacker.owner, attacker.invited, pending);
    expect((await visit(victim.callback, victim.jar)).status).toBe(200);
  });

  test.each([
    ['an empty one', 'valetkey='],
    ['one with the name of a session', `valetkey-0123456789-AAAAAA=${random}`],
    ['a short one', 'valetkey=x'],
    ['a guessed one', `valetkey=${random}`],
    ['a long one', `valetkey=${'A'.repeat(4_000)}`],
  ])('with a cookie that the broker did not set (%s) is refused', async (_, cookie) => {
    const { owner, invited, callback } = await connectUntilCallback(broker);
    const page = await visit(callback, createCookieJar(), { headers: { cookie } });
    expect([400, 403]).toContain(page.status);
    await expectNoConnection(broker, owner, invited, pending);
  });

  test('with the code of another flow is refused by PKCE', async () => {
    const victim = await connectUntilCallback(broker);
    const attacker = await connectUntilCallback(broker);
    const injected = withQuery(victim.callback, { code: attacker.callback.searchParams.get('code') });
    expectErrorPage(await visit(injected, victim.jar), 502, 'invalid_answer', injected);
    await expectNoConnection(broker, victim.owner, victim.invited, { status: 'failed', error: 'invalid_grant' });
  });

  test('by POST without the cookie is refused', async () => {
    const { owner, invited, callback } = await connectUntilCallback(broker);
    const form = Object.fromEntries(callback.searchParams);
    const page = await visit(`${callback.origin}${callback.pathname}`, createCookieJar(), { form });
    const to = new URL(page.location ?? '', callback);
    expectErrorPage(await visit(to), 403, 'other_browser', to);
    await expectNoConnection(broker, owner, invited, pending);
  });
});

describe('a cookie that the broker did not set', () => {
  test.each(['valetkey=', 'valetkey=x'])('(%s) is replaced when a connect URL is opened', async (cookie) => {
    const { url } = await createConnectSession(broker);
    const page = await visit(url, createCookieJar(), { headers: { cookie } });
    expect(page.headers.get('set-cookie')).toMatch(/^valetkey-[\w-]+=[\w-]{43};/);
  });
});

describe('a repeated callback', () => {
  test('shows the outcome again, does not reach the provider, and the connection stays', async () => {
    const { jar, invited, callback } = await connectUntilCallback(broker);
    expect((await visit(callback, jar)).status).toBe(200);
    const { id } = await connectionOf(broker, invited);
    const again = await visit(callback, jar);
    expect([again.status, again.text.includes('is connected')]).toEqual([200, true]);
    expectErrorPage(await visit(callback), 403, 'other_browser', callback);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'completed', connection_id: id });
    const { body } = await broker.ask('GET', `/v1/connections/${id}/token`);
    // A provider that sees a code twice revokes the grant (RFC 6749 4.1.2).
    const me = await fetch(`${provider.issuer}/me`, { headers: { authorization: `Bearer ${body.access_token}` } });
    expect(me.status).toBe(200);
    expect(await connectionOf(broker, invited)).toMatchObject({ status: 'active', generation: 1 });
  });

  test('at the same time connects once', async () => {
    const { owner, jar, callback } = await connectUntilCallback(broker);
    const pages = await Promise.all([1, 2, 3].map(() => visit(callback, jar)));
    expect(pages.map((page) => page.status)).toEqual([200, 200, 200]);
    expect(await connectionsOf(broker, owner)).toMatchObject([{ status: 'active', generation: 1 }]);
  });
});

describe('a mix-up attack', () => {
  test('with the redirect URI of another integration is refused', async () => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    const elsewhere = new URL(callback);
    elsewhere.pathname = '/oauth2/callback/other';
    expectErrorPage(await visit(elsewhere, jar), 502, 'invalid_answer', elsewhere);
    await expectNoConnection(broker, owner, invited, { status: 'failed', error: 'invalid_answer' });
    expectErrorPage(await visit(callback, jar), 502, 'invalid_answer', callback);
    await expectNoConnection(broker, owner, invited, { status: 'failed' });
  });

  test.each(['nobody', '..%2Facme', 'acme%00', '%3Cscript%3E'])(
    'with the unknown integration %s is refused',
    async (id) => {
      const { owner, jar, invited, callback } = await connectUntilCallback(broker);
      const page = await visit(`${broker.url}/oauth2/callback/${id}${callback.search}`, jar);
      expect(page.status).toBeGreaterThanOrEqual(400);
      expect(page.text).not.toContain('<script>');
      expect(await connectionsOf(broker, owner)).toEqual([]);
      expect(await sessionOf(broker, invited)).not.toMatchObject({ status: 'completed' });
    },
  );

  test.each([
    ['names another issuer', { iss: 'https://attacker.example' }],
    ['names the issuer with a trailing slash', { iss: 'SLASH' }],
    ['lacks the issuer although the metadata announces it', { iss: null }],
    ['is an error and names another issuer', { iss: 'https://attacker.example', code: null, error: 'access_denied' }],
    ['is an error and lacks the issuer', { iss: null, code: null, error: 'access_denied' }],
  ])('with a response that %s is refused (RFC 9207)', async (_, change) => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    const iss = change.iss === 'SLASH' ? `${provider.issuer}/` : change.iss;
    const forged = withQuery(callback, { ...change, iss });
    expectErrorPage(await visit(forged, jar), 502, 'invalid_answer', forged);
    await expectNoConnection(broker, owner, invited, { status: 'failed', error: 'issuer_mismatch' });
  });
});

describe('repeated parameters of a callback', () => {
  test.each([
    ['state', random],
    ['code', 'another-code'],
    ['iss', 'https://attacker.example'],
  ])('(%s, the forged one last): nothing is connected', async (name, value) => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    callback.searchParams.append(name, value);
    expectErrorPage(await visit(callback, jar), 502, 'invalid_answer', callback);
    await expectNoConnection(broker, owner, invited, { status: 'failed', error: 'invalid_response' });
  });

  test('(state, the forged one first): the flow can still be finished', async () => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    const forged = new URL(`${callback.origin}${callback.pathname}?state=${random}&${callback.search.slice(1)}`);
    expectErrorPage(await visit(forged, jar), 400, 'invalid_state', forged);
    await expectNoConnection(broker, owner, invited, pending);
    expect((await visit(callback, jar)).status).toBe(200);
  });
});

describe('the parameters of a callback', () => {
  const markup = '<script>alert(1)</script>"><img src=x onerror=alert(1)>';

  test('are never shown as markup', async () => {
    const { jar, invited, callback } = await connectUntilCallback(broker);
    const evil = withQuery(callback, {
      code: null,
      error: markup,
      error_description: markup,
      error_uri: 'javascript:alert(1)',
    });
    const page = await visit(evil, jar);
    expectErrorPage(page, 502, 'provider_error', evil);
    expect(page.text).not.toMatch(/<script|onerror|javascript:/);
    const { error } = await sessionOf(broker, invited);
    expect(error).toMatch(/^[a-z0-9_]{1,64}$/);
  });

  test('reach the return_url as a code of letters, digits and underscores', async () => {
    const { jar, callback } = await connectUntilCallback(broker, { return_url: RETURN_URL });
    const error = 'x\r\nSet-Cookie: a=b\r\n\r\n<html>&status=success&connection_id=con_1#';
    const page = await visit(withQuery(callback, { code: null, error, error_description: error }), jar);
    expect(page.status).toBe(303);
    expect(page.headers.get('set-cookie')).toBeNull();
    const to = new URL(page.location ?? '');
    expect(`${to.origin}${to.pathname}`).toBe(RETURN_URL);
    expect([...to.searchParams.keys()]).toEqual(['status', 'connect_session_id', 'error']);
    expect(to.searchParams.get('status')).toBe('error');
    expect(to.searchParams.get('error')).toMatch(/^[a-z0-9_]{1,64}$/);
  });

  test('that are an error of the provider: its code is the error of the session', async () => {
    const { jar, invited, callback } = await connectUntilCallback(broker);
    const refused = withQuery(callback, { code: null, error: 'invalid_scope' });
    expectErrorPage(await visit(refused, jar), 502, 'provider_error', refused);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'invalid_scope' });
  });

  test('without code and error are refused', async () => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    const empty = withQuery(callback, { code: null });
    expectErrorPage(await visit(empty, jar), 502, 'invalid_answer', empty);
    await expectNoConnection(broker, owner, invited, { status: 'failed', error: 'invalid_response' });
  });

  test('with both code and error count as an error', async () => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    const both = withQuery(callback, { error: 'access_denied' });
    expectErrorPage(await visit(both, jar), 403, 'access_denied', both);
    await expectNoConnection(broker, owner, invited, { status: 'failed', error: 'access_denied' });
  });

  test('after a failure are ignored: the session is over', async () => {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    await connect(broker, invited.url, { jar, cancel: true });
    expectErrorPage(await visit(callback, jar), 403, 'access_denied', callback);
    await expectNoConnection(broker, owner, invited, { status: 'failed', error: 'access_denied' });
  });
});
