// Pushed authorization requests (RFC 9126), by the catalogue or by discovery; and resource indicators (RFC 8707), as
// constant parameters.
import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt, jwtVerify } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { NO_SECRETS, type Target } from '../../../src/domain/target.ts';
import {
  browseToResponse,
  connect,
  createTarget,
  expectFault,
  REDIRECT_URI,
  refreshTokens,
  startAdapterWithServer,
  startAuthorization,
  unwrap,
} from '../../support/oauth.ts';
import type { ScriptedResponse } from '../../support/scripted-server.ts';

const RESOURCE = 'https://calendar.acme.test/api';
const REQUEST_URI = 'urn:ietf:params:oauth:request_uri:abc';
const SECRET = 'client-secret-canary';

let strict: LocalProvider;
let willing: LocalProvider;
let pushed: ScriptedResponse;
const { server, adapter } = await startAdapterWithServer(({ path }) =>
  path === '/par' ? pushed : { body: { access_token: 'at', refresh_token: 'rt' } },
);

const features = (required: boolean) => ({
  devInteractions: { enabled: false },
  pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: required },
  resourceIndicators: {
    enabled: true,
    useGrantedResource: () => true,
    getResourceServerInfo: (_: unknown, audience: string) => ({
      scope: 'calendar.read',
      audience,
      accessTokenFormat: 'jwt' as const,
      jwt: { sign: { alg: 'RS256' as const } },
    }),
  },
});

beforeAll(async () => {
  const options = { redirectUris: [REDIRECT_URI], audience: RESOURCE };
  strict = await startProvider({ ...options, configuration: { features: features(true) } });
  willing = await startProvider({ ...options, configuration: { features: features(false) } });
});
beforeEach(() => {
  pushed = { status: 201, body: { request_uri: REQUEST_URI, expires_in: 60 } };
});
afterAll(() => Promise.all([strict.close(), willing.close()]));

const at = ({ issuer, clientId, clientSecret }: LocalProvider, more: object = {}): Target =>
  createTarget({ auth: [{ mode: 'oidc', issuer, ...more }] }, { clientId, clientSecret });

const named = (more: object = {}): Target => {
  const urls = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const entry = { mode: 'oauth2_code', ...urls, pushed_authorization_request_url: `${server.url}/par`, ...more };
  return createTarget({ auth: [entry] }, { clientSecret: SECRET });
};

const request = { state: 'the-state', nonce: 'n', verifier: 'v'.repeat(43), redirectUri: REDIRECT_URI, scopes: ['a'] };

describe('pushed authorization request', () => {
  test('is used when the metadata requires it, through the whole flow', async () => {
    const began = await startAuthorization(adapter.client, at(strict), ['openid', 'calendar.read']);
    const sent = new URL(began.url).searchParams;
    expect([...sent.keys()].sort()).toEqual(['client_id', 'request_uri']);
    const response = await browseToResponse(began, { login: 'ada' });
    const answer = unwrap(await adapter.client.exchange(at(strict), response, began.expected));
    expect(answer.identity).toMatchObject({ subject: 'ada' });
  });

  test('is used when the catalogue names the endpoint', async () => {
    const parAt = { pushed_authorization_request_url: `${willing.issuer}/request` };
    const { url } = await startAuthorization(adapter.client, at(willing, parAt));
    expect([...new URL(url).searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
    const plain = await startAuthorization(adapter.client, at(willing));
    expect(new URL(plain.url).searchParams.has('request_uri')).toBe(false);
    expect(await connect(adapter.client, at(willing, parAt))).toMatchObject({ identity: { subject: 'ada' } });
  });

  test('works without an issuer, authenticated like a token request, with no parameters in the browser’s URL', async () => {
    const target = named({ authorization_params: { audience: 'x' } });
    const { url } = unwrap(await adapter.client.authorizationUrl(target, request));
    expect(Object.fromEntries(new URL(url).searchParams)).toEqual({ client_id: 'client', request_uri: REQUEST_URI });
    const [{ form, headers }] = server.received as [(typeof server.received)[0]];
    expect(headers.authorization).toMatch(/^Basic /);
    expect(Object.fromEntries(form)).toEqual({
      audience: 'x',
      client_id: 'client',
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      state: 'the-state',
      scope: 'a',
      code_challenge: expect.any(String),
      code_challenge_method: 'S256',
    });
  });

  test('has an assertion whose audience is the endpoint when there is no issuer', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    const target = { ...named({ client_auth: ['private_key_jwt'] }), secrets: { ...NO_SECRETS, privateKey } };
    unwrap(await adapter.client.authorizationUrl(target, request));
    const assertion = server.received[0]!.form.get('client_assertion')!;
    await jwtVerify(assertion, pair.publicKey, { issuer: 'client', audience: `${server.url}/par` });
  });

  test('uses the vendor’s parameter names', async () => {
    const target = named({
      client_auth: ['client_secret_post'],
      authorization_rename: { scope: 'user_scope', client_id: 'client_key' },
    });
    const { url } = unwrap(await adapter.client.authorizationUrl(target, request));
    expect(Object.fromEntries(new URL(url).searchParams)).toEqual({ client_key: 'client', request_uri: REQUEST_URI });
    const form = Object.fromEntries(server.received[0]!.form);
    expect(form).toMatchObject({ client_key: 'client', client_secret: SECRET, user_scope: 'a' });
    expect(form).not.toHaveProperty('scope');
    expect(form).not.toHaveProperty('client_id');
  });

  const cases: [string, ScriptedResponse, object][] = [
    [
      'refuses the client',
      { status: 401, body: { error: 'invalid_client', error_description: `no: ${SECRET}` } },
      { kind: 'misconfigured', code: 'invalid_client' },
    ],
    [
      'refuses the scope',
      { status: 400, body: { error: 'invalid_scope' } },
      { kind: 'misconfigured', code: 'invalid_scope' },
    ],
    ['is overloaded', { status: 429, headers: { 'retry-after': '4' } }, { kind: 'transient', retryAfter: 4 }],
    ['is down', { status: 503 }, { kind: 'transient', code: 'http_503' }],
    ['breaks the connection', 'drop', { kind: 'transient', code: 'network_error' }],
  ];
  test.each(cases)('fails without a redirect when the endpoint %s', async (_, said, expected) => {
    pushed = said;
    const fault = expectFault(await adapter.client.authorizationUrl(named(), request));
    expect(fault).toMatchObject({ ...expected, outcomeUnknown: false });
    for (const secret of [SECRET, request.state, request.verifier]) expect(fault.detail).not.toContain(secret);
  });

  test.each([
    { body: '<h1>' },
    { status: 201, body: {} },
    { status: 201, body: { request_uri: 7, expires_in: 1 } },
  ] as ScriptedResponse[])('fails without a redirect when the response is malformed: %j', async (said) => {
    pushed = said;
    expect(expectFault(await adapter.client.authorizationUrl(named(), request))).toMatchObject({
      outcomeUnknown: false,
    });
  });
});

describe('resource indicator', () => {
  const resource = { authorization_params: { resource: RESOURCE }, token_request: { params: { resource: RESOURCE } } };

  test.each([
    ['in the browser’s request', () => willing],
    ['in the pushed one', () => strict],
  ])('%s and in token requests returns a token for that resource, also when refreshed', async (_, provider) => {
    const target = at(provider(), resource);
    const { accessToken, refreshToken } = await connect(adapter.client, target, ['openid', 'calendar.read']);
    expect(decodeJwt(accessToken).aud).toBe(RESOURCE);
    const renewed = unwrap(await refreshTokens(adapter.client, target, { refreshToken: refreshToken! }));
    expect(decodeJwt(renewed.accessToken).aud).toBe(RESOURCE);
  });

  test('is sent with both, and with client credentials', async () => {
    const target = named(resource);
    unwrap(await adapter.client.authorizationUrl(target, request));
    expect(server.received[0]!.form.get('resource')).toBe(RESOURCE);
    const expected = { ...request, issuer: null };
    unwrap(await adapter.client.exchange(target, new URLSearchParams({ code: 'c', state: 'the-state' }), expected));
    expect(server.received[1]!.form.get('resource')).toBe(RESOURCE);
    const { authorization_params: _, ...asked } = resource;
    const machine = createTarget({
      auth: [{ mode: 'oauth2_client_credentials', token_url: `${server.url}/token`, ...asked }],
    });
    const grant = { accessToken: null, refreshToken: null, idToken: null, credentials: '{}' };
    unwrap(
      await adapter.client.refresh(machine, {
        credentials: grant,
        identity: null,
        scopes: [],
        captured: {},
        redirectUri: '',
      }),
    );
    expect(server.received[2]!.form.get('resource')).toBe(RESOURCE);
  });
});
