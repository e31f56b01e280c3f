// Discovery: cached, and trusted only when the document names the requested issuer.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Target } from '../../../src/domain/target.ts';
import {
  createTarget,
  expectFault,
  REDIRECT_URI,
  refreshTokens,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

let server: ScriptedServer;
let adapter: TestAdapter;
let answer: ScriptedResponse;
let target: Target;

beforeEach(async () => {
  server = await startScriptedServer(() => answer);
  adapter = startTestAdapter();
  answer = { body: document() };
  target = createTarget('generic-oidc', { params: { issuer: server.url } });
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

test('discovery: one request per hour, also for concurrent calls', async () => {
  await Promise.all([begin(), begin(), begin()]);
  await begin();
  adapter.advance(HOUR_MS - 1000);
  await begin();
  expect(server.received.map(({ path }) => path)).toEqual(['/.well-known/openid-configuration']);
});

test('discovery: refetched after an hour, and the new document is used', async () => {
  expect(await pathOf()).toBe('/first');
  answer = { body: document({ authorization_endpoint: `${server.url}/second` }) };
  adapter.advance(HOUR_MS);
  expect(await pathOf()).toBe('/second');
});

test('discovery: a stale document is used while the issuer is down, with a pause between attempts', async () => {
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

test('discovery: an override replaces a discovered endpoint', async () => {
  const overrides = { authorization_url: `${server.url}/override` };
  const overridden = createTarget('generic-oidc', { params: { issuer: server.url }, overrides });
  expect(new URL(unwrap(await begin(overridden)).url).pathname).toBe('/override');
});

describe('discovery failure', () => {
  const cases: [string, () => ScriptedResponse, object][] = [
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
    expect(expectFault(await begin())).toMatchObject(expected);
  });

  test('is not cached', async () => {
    answer = { status: 503 };
    expectFault(await begin());
    answer = { body: document() };
    expect(await pathOf()).toBe('/first');
  });

  test('spends no refresh token', async () => {
    answer = 'drop';
    const fault = expectFault(await refreshTokens(adapter.client, target, { refreshToken: 'rt-0123456789' }));
    expect(fault).toMatchObject({ kind: 'transient', outcomeUnknown: false });
    expect(server.received.map(({ form }) => form.has('refresh_token'))).toEqual([false]);
  });
});

describe('offline_access', () => {
  const asked = async (change: object, optionalScopes?: string[]) => {
    answer = { body: document(change) };
    const to = { ...request, scopes: ['openid', 'offline_access'], optionalScopes };
    const { searchParams } = new URL(unwrap(await adapter.client.authorizationUrl(target, to)).url);
    return { scope: searchParams.get('scope'), prompt: searchParams.get('prompt') };
  };

  test('is requested with prompt=consent', async () => {
    const expected = { scope: 'openid offline_access', prompt: 'consent' };
    expect(await asked({ scopes_supported: ['openid', 'offline_access'] })).toEqual(expected);
  });

  test('is requested when the provider lists no scopes', async () => {
    expect(await asked({})).toEqual({ scope: 'openid offline_access', prompt: 'consent' });
  });

  test('is omitted when the provider lists its scopes without it, unless someone named it', async () => {
    const listed = { scopes_supported: ['openid', 'email'] };
    expect(await asked(listed, ['openid', 'offline_access'])).toEqual({ scope: 'openid', prompt: null });
    expect(await asked(listed)).toEqual({ scope: 'openid offline_access', prompt: 'consent' });
  });
});
