// The adapter against a certified OpenID Provider on loopback.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import type { Target } from '../../../src/domain/target.ts';
import {
  browseToResponse,
  connect,
  createTarget,
  expectFault,
  REDIRECT_URI,
  refreshTokens,
  startAuthorization,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';

let provider: LocalProvider;
let adapter: TestAdapter;
let target: Target;

beforeAll(async () => {
  provider = await startProvider({ redirectUris: [REDIRECT_URI], accessTokenTtl: 120 });
  adapter = startTestAdapter();
  target = at(provider);
});
afterAll(async () => {
  await adapter.close();
  await provider.close();
});

const at = ({ issuer, clientId, clientSecret }: LocalProvider, secret = clientSecret) =>
  createTarget('generic-oidc', { params: { issuer }, clientId, clientSecret: secret });

async function introspect(token: string): Promise<boolean> {
  const credentials = [provider.clientId, provider.clientSecret].map(encodeURIComponent).join(':');
  const answer = await fetch(`${provider.issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
    body: new URLSearchParams({ token }),
  });
  return ((await answer.json()) as { active: boolean }).active;
}

describe('connect flow', () => {
  test('sends the browser with state, nonce and PKCE, and returns the issuer', async () => {
    const { url, expected } = await startAuthorization(adapter.client, target, ['openid', 'calendar.read']);
    const sent = new URL(url);
    expect(sent.origin).toBe(provider.issuer);
    expect(Object.fromEntries(sent.searchParams)).toEqual({
      client_id: provider.clientId,
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      scope: 'openid calendar.read',
      state: expected.state,
      nonce: expected.nonce,
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    });
    expect(expected.issuer).toBe(provider.issuer);
  });

  test('returns tokens and an identity', async () => {
    expect(await connect(adapter.client, target, ['openid', 'calendar.read'])).toEqual({
      accessToken: expect.any(String),
      refreshToken: expect.any(String),
      idToken: expect.any(String),
      tokenType: 'Bearer',
      scopes: ['openid', 'calendar.read'],
      expiresIn: 120,
      identity: { issuer: provider.issuer, subject: 'ada' },
      account: { issuer: provider.issuer, id: 'ada', name: null },
      captured: {},
    });
  });

  test('is plain OAuth without an identity when the scope openid is missing', async () => {
    const answer = await connect(adapter.client, target, ['calendar.read']);
    expect(answer).toMatchObject({ scopes: ['calendar.read'], identity: undefined, idToken: undefined });
  });

  test('is denied when the owner cancels', async () => {
    const began = await startAuthorization(adapter.client, target);
    const fault = expectFault(
      await adapter.client.exchange(target, await browseToResponse(began, { cancel: true }), began.expected),
    );
    expect(fault).toMatchObject({
      kind: 'denied',
      code: 'access_denied',
      detail: expect.stringContaining('cancelled'),
    });
  });

  test('refuses a code that is used twice', async () => {
    const began = await startAuthorization(adapter.client, target);
    const response = await browseToResponse(began);
    unwrap(await adapter.client.exchange(target, response, began.expected));
    const fault = expectFault(await adapter.client.exchange(target, response, began.expected));
    expect(fault).toMatchObject({ kind: 'grant_dead', code: 'invalid_grant', outcomeUnknown: false });
  });

  test("refuses another flow's verifier", async () => {
    const [mine, other] = [
      await startAuthorization(adapter.client, target),
      await startAuthorization(adapter.client, target),
    ];
    const expected = { ...mine.expected, verifier: other.expected.verifier };
    expect(expectFault(await adapter.client.exchange(target, await browseToResponse(mine), expected))).toMatchObject({
      code: 'invalid_grant',
    });
  });

  test("refuses another flow's nonce", async () => {
    const began = await startAuthorization(adapter.client, target);
    const expected = { ...began.expected, nonce: 'another' };
    const fault = expectFault(await adapter.client.exchange(target, await browseToResponse(began), expected));
    expect(fault).toMatchObject({
      kind: 'invalid',
      code: 'invalid_id_token',
      detail: expect.stringContaining('nonce'),
    });
  });

  test('pushes the request where the provider requires it', async () => {
    const pushed = { enabled: true, requirePushedAuthorizationRequests: true };
    const features = { devInteractions: { enabled: false }, pushedAuthorizationRequests: pushed };
    const pushing = await startProvider({ redirectUris: [REDIRECT_URI], configuration: { features } });
    const began = await startAuthorization(adapter.client, at(pushing));
    const sent = new URL(began.url).searchParams;
    expect(sent.get('request_uri')).toMatch(/^urn:ietf:params:oauth:request_uri:/);
    expect(began.url).not.toContain(began.expected.state);
    unwrap(await adapter.client.exchange(at(pushing), await browseToResponse(began), began.expected));
    await pushing.close();
  });

  test('authenticates in the body when the metadata lists nothing else', async () => {
    const posting = await startProvider({
      clients: [
        {
          client_id: 'poster',
          client_secret: 'a secret',
          redirect_uris: [REDIRECT_URI],
          token_endpoint_auth_method: 'client_secret_post',
        },
      ],
      configuration: { clientAuthMethods: ['client_secret_post'] },
    });
    expect(await connect(adapter.client, at(posting))).toMatchObject({ identity: { subject: 'ada' } });
    await posting.close();
  });

  test('authenticates by Basic with ids and secrets that need encoding (RFC 6749 2.3.1)', async () => {
    const odd = await startProvider({
      clients: [{ client_id: 'a:b c', client_secret: 'p%:+ &', redirect_uris: [REDIRECT_URI] }],
    });
    expect(await connect(adapter.client, at(odd))).toMatchObject({ identity: { subject: 'ada' } });
    await odd.close();
  });

  test('needs no secret for a public client', async () => {
    const open = await startProvider({
      clients: [{ client_id: 'public', redirect_uris: [REDIRECT_URI], token_endpoint_auth_method: 'none' }],
    });
    const target = createTarget('generic-oidc', {
      params: { issuer: open.issuer },
      clientId: 'public',
      clientSecret: null,
    });
    expect(await connect(adapter.client, target)).toMatchObject({ identity: { subject: 'ada' } });
    await open.close();
  });
});

describe('authorization response', () => {
  async function changed(change: (response: URLSearchParams) => void, walk = {}) {
    const began = await startAuthorization(adapter.client, target);
    const response = await browseToResponse(began, walk);
    change(response);
    return expectFault(await adapter.client.exchange(target, response, began.expected));
  }

  test('is refused with another issuer', async () => {
    const fault = await changed((response) => response.set('iss', 'https://attacker.example'));
    expect(fault).toMatchObject({ kind: 'invalid', code: 'issuer_mismatch' });
  });

  test('is refused without an issuer when the metadata announces one', async () => {
    const fault = await changed((response) => response.delete('iss'));
    expect(fault).toMatchObject({ kind: 'invalid', code: 'issuer_mismatch' });
  });

  test('is refused with another issuer even when it is an error', async () => {
    const fault = await changed((response) => response.set('iss', 'https://attacker.example'), { cancel: true });
    expect(fault).toMatchObject({ kind: 'invalid', code: 'issuer_mismatch' });
  });

  test('is refused with another state, a doubled parameter, or no code', async () => {
    expect(await changed((response) => response.set('state', 'another'))).toMatchObject({ code: 'state_mismatch' });
    expect(await changed((response) => response.append('code', 'another'))).toMatchObject({ code: 'invalid_response' });
    expect(await changed((response) => response.delete('code'))).toMatchObject({ code: 'invalid_response' });
  });

  test('is refused when the integration has another issuer now', async () => {
    const began = await startAuthorization(adapter.client, target);
    const expected = { ...began.expected, issuer: 'https://before.example' };
    const fault = expectFault(await adapter.client.exchange(target, await browseToResponse(began), expected));
    expect(fault).toMatchObject({ kind: 'invalid', code: 'issuer_mismatch' });
  });
});

describe('refresh', () => {
  test('rotates the refresh token, and keeps the identity', async () => {
    const { refreshToken, identity } = await connect(adapter.client, target);
    const answer = unwrap(
      await refreshTokens(adapter.client, target, { refreshToken: refreshToken!, identity: identity! }),
    );
    expect(answer).toMatchObject({
      tokenType: 'Bearer',
      expiresIn: 120,
      identity: { subject: 'ada' },
      idToken: expect.any(String),
    });
    expect(answer.refreshToken).toEqual(expect.any(String));
    expect(answer.refreshToken).not.toBe(refreshToken);
    expect(await introspect(answer.accessToken)).toBe(true);
  });

  test('with a spent refresh token: grant_dead', async () => {
    const { refreshToken } = await connect(adapter.client, target);
    const request = { refreshToken: refreshToken! };
    const { accessToken } = unwrap(await refreshTokens(adapter.client, target, request));
    const fault = expectFault(await refreshTokens(adapter.client, target, request));
    expect(fault).toMatchObject({ kind: 'grant_dead', code: 'invalid_grant', outcomeUnknown: false });
    expect(fault.detail).not.toContain(refreshToken);
    expect(await introspect(accessToken)).toBe(false);
  });

  test('after the owner withdrew the grant: grant_dead', async () => {
    const other = await startProvider({ redirectUris: [REDIRECT_URI] });
    const { refreshToken } = await connect(adapter.client, at(other));
    other.withdrawGrants();
    const fault = expectFault(await refreshTokens(adapter.client, at(other), { refreshToken: refreshToken! }));
    expect(fault.kind).toBe('grant_dead');
    await other.close();
  });

  test('with a wrong client secret: misconfigured, with secrets redacted', async () => {
    const { refreshToken } = await connect(adapter.client, target);
    const wrong = at(provider, 'not-the-secret');
    const fault = expectFault(await refreshTokens(adapter.client, wrong, { refreshToken: refreshToken! }));
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'invalid_client', outcomeUnknown: false });
    expect(JSON.stringify(fault)).not.toContain('not-the-secret');
  });
});

describe('revocation', () => {
  test('ends the refresh token and the access token at the provider', async () => {
    const { accessToken, refreshToken } = await connect(adapter.client, target);
    expect(await introspect(refreshToken!)).toBe(true);
    expect(unwrap(await adapter.client.revoke(target, { accessToken, refreshToken: refreshToken! }, {}))).toBe('done');
    expect(await introspect(refreshToken!)).toBe(false);
    expect(await introspect(accessToken)).toBe(false);
  });

  test('works for an access token alone, and twice', async () => {
    const { accessToken } = await connect(adapter.client, target);
    const tokens = { accessToken, refreshToken: null };
    expect(unwrap(await adapter.client.revoke(target, tokens, {}))).toBe('done');
    expect(unwrap(await adapter.client.revoke(target, tokens, {}))).toBe('done');
  });

  test('with a wrong client secret: misconfigured', async () => {
    const fault = expectFault(
      await adapter.client.revoke(at(provider, 'wrong'), { accessToken: 'a', refreshToken: 'r' }, {}),
    );
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'invalid_client' });
  });
});
