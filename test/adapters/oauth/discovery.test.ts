// Discovery: asked for once, kept, and believed only when it names the issuer that was asked.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Target } from '../../../src/domain/target.ts';
import { type Adapter, faultOf, REDIRECT_URI, refresh, startAdapter, targetOf, unwrap } from '../../support/oauth.ts';
import { type Scripted, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

let server: ScriptedServer;
let adapter: Adapter;
let answer: Scripted;
let target: Target;

beforeEach(async () => {
  server = await startScriptedServer(() => answer);
  adapter = startAdapter();
  answer = { body: document() };
  target = targetOf('generic-oidc', { params: { issuer: server.url } });
});
afterEach(async () => {
  await adapter.close();
  await server.close();
});

const document = (change: object = {}) => ({
  issuer: server.url,
  authorization_endpoint: `${server.url}/first`,
  token_endpoint: `${server.url}/token`,
  ...change,
});

const request = { state: 's', nonce: 'n', verifier: 'v'.repeat(43), redirectUri: REDIRECT_URI, scopes: ['openid'] };
const begin = (to = target) => adapter.client.authorizationUrl(to, request);
const pathOf = async () => new URL(unwrap(await begin()).url).pathname;
const HOUR_MS = 60 * 60_000;

test('is asked once for an hour, however many ask at once', async () => {
  await Promise.all([begin(), begin(), begin()]);
  await begin();
  adapter.advance(HOUR_MS - 1000);
  await begin();
  expect(server.received.map(({ path }) => path)).toEqual(['/.well-known/openid-configuration']);
});

test('is asked anew after an hour, and what is new is used', async () => {
  expect(await pathOf()).toBe('/first');
  answer = { body: document({ authorization_endpoint: `${server.url}/second` }) };
  adapter.advance(HOUR_MS);
  expect(await pathOf()).toBe('/second');
});

test('a stale document serves while the issuer is down, and is not asked for at every step', async () => {
  await begin();
  answer = { status: 503 };
  adapter.advance(HOUR_MS);
  expect(await pathOf()).toBe('/first');
  expect(await pathOf()).toBe('/first');
  expect(server.received).toHaveLength(2);
  answer = { body: document({ authorization_endpoint: `${server.url}/second` }) };
  adapter.advance(60_000);
  expect(await pathOf()).toBe('/second');
});

test('an override wins over what was discovered', async () => {
  const overrides = { authorization_url: `${server.url}/override` };
  const overridden = targetOf('generic-oidc', { params: { issuer: server.url }, overrides });
  expect(new URL(unwrap(await begin(overridden)).url).pathname).toBe('/override');
});

describe('fails', () => {
  const cases: [string, () => Scripted, object][] = [
    [
      'on another issuer',
      () => ({ body: document({ issuer: 'https://attacker.example' }) }),
      { kind: 'misconfigured', code: 'issuer_mismatch' },
    ],
    [
      'on an issuer that differs by a slash',
      () => ({ body: document({ issuer: `${server.url}/` }) }),
      { kind: 'misconfigured', code: 'issuer_mismatch' },
    ],
    ['where there is none', () => ({ status: 404 }), { kind: 'misconfigured', code: 'http_404' }],
    [
      'on a page of HTML',
      () => ({ headers: { 'content-type': 'text/html' }, body: '<h1>' }),
      { kind: 'misconfigured' },
    ],
    [
      'on broken JSON',
      () => ({ headers: { 'content-type': 'application/json' }, body: '{' }),
      { kind: 'misconfigured' },
    ],
    [
      'on a document without the endpoint',
      () => ({ body: { issuer: server.url } }),
      { kind: 'misconfigured', code: 'missing_endpoint' },
    ],
    ['on a redirect', () => ({ status: 302, headers: { location: '/' } }), { kind: 'misconfigured', code: 'redirect' }],
    [
      'for now, while the issuer is down',
      () => ({ status: 503, headers: { 'retry-after': '7' } }),
      { kind: 'transient', retryAfter: 7 },
    ],
    ['for now, when the connection breaks', () => 'drop', { kind: 'transient', outcomeUnknown: false }],
  ];
  test.each(cases)('%s', async (_, scripted, expected) => {
    answer = scripted();
    expect(faultOf(await begin())).toMatchObject(expected);
  });

  test('once, and is asked again the next time', async () => {
    answer = { status: 503 };
    faultOf(await begin());
    answer = { body: document() };
    expect(await pathOf()).toBe('/first');
  });

  test('without having spent the refresh token', async () => {
    answer = 'drop';
    const fault = faultOf(await refresh(adapter.client, target, { refreshToken: 'rt-0123456789' }));
    expect(fault).toMatchObject({ kind: 'transient', outcomeUnknown: false });
    expect(server.received.map(({ form }) => form.has('refresh_token'))).toEqual([false]);
  });
});

describe('offline access', () => {
  const asked = async (change: object) => {
    answer = { body: document(change) };
    const to = { ...request, scopes: ['openid', 'offline_access'] };
    const { searchParams } = new URL(unwrap(await adapter.client.authorizationUrl(target, to)).url);
    return { scope: searchParams.get('scope'), prompt: searchParams.get('prompt') };
  };

  test('is asked for with the prompt that it needs', async () => {
    const expected = { scope: 'openid offline_access', prompt: 'consent' };
    expect(await asked({ scopes_supported: ['openid', 'offline_access'] })).toEqual(expected);
  });

  test('is asked for where the provider does not list its scopes', async () => {
    expect(await asked({})).toEqual({ scope: 'openid offline_access', prompt: 'consent' });
  });

  test('is left out where the provider lists its scopes without it', async () => {
    expect(await asked({ scopes_supported: ['openid', 'email'] })).toEqual({ scope: 'openid', prompt: null });
  });
});
