// Responses of real token endpoints, and the classification of failures.
import { describe, expect, test } from 'vitest';
import {
  createTarget,
  expectFault,
  REDIRECT_URI,
  refreshTokens,
  startAdapterWithServer,
  startAuthorization,
  startTestAdapter,
  unwrap,
} from '../../support/oauth.ts';
import { type ScriptedResponse, startScriptedServer } from '../../support/scripted-server.ts';

let next: ScriptedResponse;
const { server, adapter } = await startAdapterWithServer(() => next);

const REFRESH_TOKEN = 'rt-canary-0123456789';
const urls = () => ({ authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token?tenant=1` });
const generic = () => createTarget('generic-oauth2', { params: urls() });
const entry = (auth: object) =>
  createTarget(
    {
      auth: [
        { mode: 'oauth2_code', authorization_url: 'https://acme.test/a', token_url: 'https://acme.test/t', ...auth },
      ],
    },
    { overrides: urls() },
  );

function refreshed(answer: ScriptedResponse, target = generic(), by = adapter) {
  next = answer;
  return refreshTokens(by.client, target, { refreshToken: REFRESH_TOKEN });
}

async function exchange(answer: ScriptedResponse, target = generic(), extra: Record<string, string> = {}) {
  const { expected } = await startAuthorization(adapter.client, target, ['a', 'b']);
  next = answer;
  return adapter.client.exchange(
    target,
    new URLSearchParams({ code: 'the-code', state: expected.state, ...extra }),
    expected,
  );
}

const token = { access_token: 'at', token_type: 'Bearer' };

describe('token response', () => {
  test('has undefined members for what it omits', async () => {
    expect(unwrap(await refreshed({ body: token }))).toEqual({
      accessToken: 'at',
      tokenType: 'Bearer',
      refreshToken: undefined,
      idToken: undefined,
      scopes: undefined,
      expiresIn: undefined,
      identity: undefined,
      captured: {},
    });
    expect(server.received[0]).toMatchObject({ method: 'POST', path: '/token?tenant=1' });
    expect(Object.fromEntries(server.received[0]!.form)).toEqual({
      grant_type: 'refresh_token',
      refresh_token: REFRESH_TOKEN,
    });
    expect(server.received[0]!.headers.authorization).toBe(
      `Basic ${Buffer.from('client:client-secret').toString('base64')}`,
    );
  });

  const odd: [string, ScriptedResponse, object][] = [
    ['without token_type', { body: { access_token: 'at' } }, { tokenType: 'Bearer' }],
    ['with a lower-case token_type', { body: { ...token, token_type: 'bearer' } }, { tokenType: 'Bearer' }],
    ['with a vendor’s token_type', { body: { ...token, token_type: 'user' } }, { tokenType: 'Bearer' }],
    ['with the token_type DPoP', { body: { ...token, token_type: 'dpop' } }, { tokenType: 'DPoP' }],
    ['with status 201', { status: 201, body: token }, { accessToken: 'at' }],
    [
      'as a form',
      {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: 'access_token=at&expires_in=8&scope=a%2Cb',
      },
      { accessToken: 'at', expiresIn: 8, scopes: ['a', 'b'] },
    ],
    [
      'as JSON that calls itself HTML',
      { headers: { 'content-type': 'text/html' }, body: JSON.stringify(token) },
      { accessToken: 'at' },
    ],
    ['with scopes in an array', { body: { ...token, scope: ['a', 'b'] } }, { scopes: ['a', 'b'] }],
    ['with scopes between spaces', { body: { ...token, scope: 'a  b' } }, { scopes: ['a', 'b'] }],
    ['with scopes between commas', { body: { ...token, scope: 'a,b' } }, { scopes: ['a', 'b'] }],
    ['with commas inside of scopes', { body: { ...token, scope: 'a,b c' } }, { scopes: ['a,b', 'c'] }],
    ['with no scope granted', { body: { ...token, scope: '' } }, { scopes: [] }],
    ['with scope null', { body: { ...token, scope: null } }, { scopes: undefined }],
    ['with expires_in as a string', { body: { ...token, expires_in: '3600' } }, { expiresIn: 3600 }],
    ['with expires_in of a fraction', { body: { ...token, expires_in: 3599.5 } }, { expiresIn: 3599 }],
    ['with expires_in 0', { body: { ...token, expires_in: 0 } }, { expiresIn: undefined }],
    ['with expires_in -1', { body: { ...token, expires_in: -1 } }, { expiresIn: undefined }],
    ['with expires_in null', { body: { ...token, expires_in: null } }, { expiresIn: undefined }],
    ['with expires_in that is no number', { body: { ...token, expires_in: 'never' } }, { expiresIn: undefined }],
    ['with refresh_token null', { body: { ...token, refresh_token: null } }, { refreshToken: undefined }],
    ['with an empty refresh_token', { body: { ...token, refresh_token: '' } }, { refreshToken: undefined }],
    [
      'with a garbage id_token of no OpenID Provider',
      { body: { ...token, id_token: 'garbage' } },
      { idToken: undefined, identity: undefined },
    ],
    ['with error null beside the token', { body: { ...token, error: null } }, { accessToken: 'at' }],
  ];
  test.each(odd)('%s', async (_, answer, expected) => {
    expect(unwrap(await refreshed(answer))).toMatchObject(expected);
    expect(unwrap(await exchange(answer))).toMatchObject(expected);
  });

  test('splits scopes by the catalogue’s separator', async () => {
    const target = entry({ token_answer: { scope_separator: ',' }, scope_separator: ',' });
    expect(unwrap(await refreshed({ body: { ...token, scope: 'a, b' } }, target)).scopes).toEqual(['a', 'b']);
    expect(new URL((await startAuthorization(adapter.client, target, ['a', 'b'])).url).searchParams.get('scope')).toBe(
      'a,b',
    );
  });

  test('has no more scopes than are kept: they are shown with the connection, and read with each token', async () => {
    const all = Array.from({ length: 50_000 }, (_, i) => `scope:${i}`);
    for (const scope of [all.join(' '), all]) {
      const { scopes = [] } = unwrap(await refreshed({ body: { ...token, scope } }));
      expect(scopes).toEqual(all.slice(0, scopes.length));
      expect(scopes.length).toBeGreaterThan(1_000);
      expect(scopes.join(' ').length).toBeLessThanOrEqual(16 * 1_024);
    }
  });

  test('has the catalogue’s token type, not its own', async () => {
    const target = entry({ send: { prefix: 'Acme-token ' } });
    for (const token_type of ['bearer', 'DPoP', 'user'])
      expect(unwrap(await refreshed({ body: { ...token, token_type } }, target)).tokenType).toBe('Acme-token');
  });

  test('has the values that the catalogue captures', async () => {
    const target = entry({ token_answer: { capture: { team: 'team.id', none: 'team.x.y' } } });
    const answer = { body: { ...token, team: { id: 'T1', name: 'n' } } };
    expect(unwrap(await exchange(answer, target)).captured).toEqual({ team: 'T1' });
    expect(unwrap(await refreshed(answer, target)).captured).toEqual({ team: 'T1' });
  });
});

describe('token request', () => {
  test('has the catalogue’s headers, parameters and client authentication', async () => {
    const target = entry({
      token_request: { headers: { Accept: 'application/vnd.acme' } },
      client_auth: ['client_secret_post'],
      authorization_params: { audience: 'x', state: 'fixed' },
    });
    const { url, expected } = await startAuthorization(adapter.client, target, []);
    const sent = new URL(url).searchParams;
    expect(sent.get('audience')).toBe('x');
    expect(sent.getAll('state')).toEqual([expected.state]);
    expect(sent.has('scope')).toBe(false);
    expect(sent.has('nonce')).toBe(false);
    await refreshed({ body: token }, target);
    expect(server.received[0]!.headers).toMatchObject({ accept: 'application/vnd.acme' });
    expect(server.received[0]!.headers.authorization).toBeUndefined();
    expect(Object.fromEntries(server.received[0]!.form)).toMatchObject({
      client_id: 'client',
      client_secret: 'client-secret',
    });
  });

  test('sends the verifier and the redirect URI with the code', async () => {
    unwrap(await exchange({ body: token }));
    const form = server.received[0]!.form;
    expect(form.get('redirect_uri')).toBe(REDIRECT_URI);
    expect(form.get('code')).toBe('the-code');
    expect(form.get('code_verifier')).toMatch(/^[\w-]{43}$/);
  });

  test('omits PKCE only where the catalogue says so', async () => {
    const target = entry({ pkce: 'none' });
    expect(new URL((await startAuthorization(adapter.client, target)).url).searchParams.has('code_challenge')).toBe(
      false,
    );
    unwrap(await exchange({ body: token }, target));
    expect(server.received[0]!.form.has('code_verifier')).toBe(false);
  });

  test('ignores the `iss` of a provider that has no issuer', async () => {
    unwrap(await exchange({ body: token }, generic(), { iss: 'https://any.example' }));
  });

  test('has no authorization URL over plain http when the token endpoint is https', async () => {
    const target = createTarget('generic-oauth2', { params: { ...urls(), token_url: 'https://acme.test/t' } });
    const request = { state: 's', nonce: 'n', verifier: 'v'.repeat(43), redirectUri: REDIRECT_URI, scopes: [] };
    const fault = expectFault(await adapter.client.authorizationUrl(target, request));
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'insecure_endpoint' });
  });

  test('uses a changed client secret at once', async () => {
    const changed = createTarget('generic-oauth2', { params: urls(), clientSecret: 'changed' });
    await refreshed({ body: token });
    await refreshed({ body: token }, changed);
    const [before, after] = server.received.map(({ headers }) => headers.authorization);
    expect(after).not.toBe(before);
  });
});

describe('error classification', () => {
  const error = (status: number, code: string, headers = {}): ScriptedResponse => ({
    status,
    headers,
    body: { error: code },
  });
  const cases: [string, ScriptedResponse, object][] = [
    [
      'invalid_grant',
      error(400, 'invalid_grant'),
      { kind: 'grant_dead', code: 'invalid_grant', outcomeUnknown: false },
    ],
    [
      'invalid_grant with 401 and a challenge',
      error(401, 'invalid_grant', { 'www-authenticate': 'Basic' }),
      { kind: 'grant_dead' },
    ],
    ['invalid_grant with 200', error(200, 'invalid_grant'), { kind: 'grant_dead' }],
    [
      'invalid_grant as a form',
      { status: 400, body: 'error=invalid_grant' },
      { kind: 'grant_dead', code: 'invalid_grant' },
    ],
    ['bad_refresh_token with 200', error(200, 'bad_refresh_token'), { kind: 'grant_dead', code: 'bad_refresh_token' }],
    ['invalid_client', error(401, 'invalid_client'), { kind: 'misconfigured', code: 'invalid_client' }],
    [
      'invalid_client with a challenge',
      error(401, 'invalid_client', { 'www-authenticate': 'Basic realm="x"' }),
      { kind: 'misconfigured', code: 'invalid_client' },
    ],
    ['unauthorized_client', error(400, 'unauthorized_client'), { kind: 'misconfigured' }],
    ['unsupported_grant_type', error(400, 'unsupported_grant_type'), { kind: 'misconfigured' }],
    ['invalid_request', error(400, 'invalid_request'), { kind: 'misconfigured' }],
    ['invalid_scope', error(400, 'invalid_scope'), { kind: 'misconfigured' }],
    ['an unknown code', error(400, 'Weird Thing!'), { kind: 'misconfigured', code: 'weird_thing_' }],
    [
      'a nested error',
      { status: 400, body: { error: { type: 'OAuthException', message: 'no', code: 190 } } },
      { kind: 'misconfigured', code: 'oauthexception' },
    ],
    [
      '401 without a word',
      { status: 401, headers: { 'www-authenticate': 'Basic' } },
      { kind: 'misconfigured', code: 'http_401' },
    ],
    [
      '403 in HTML',
      { status: 403, headers: { 'content-type': 'text/html' }, body: '<h1>no' },
      { kind: 'misconfigured', code: 'http_403' },
    ],
    ['403 with Retry-After', { status: 403, headers: { 'retry-after': '9' } }, { kind: 'transient', retryAfter: 9 }],
    ['404', { status: 404 }, { kind: 'misconfigured', code: 'http_404' }],
    [
      'a redirect',
      { status: 302, headers: { location: '/x' } },
      { kind: 'misconfigured', code: 'redirect', outcomeUnknown: false },
    ],
    ['429', error(429, 'invalid_grant', { 'retry-after': '17' }), { kind: 'transient', retryAfter: 17 }],
    ['slow_down', error(400, 'slow_down'), { kind: 'transient' }],
    ['temporarily_unavailable', error(400, 'temporarily_unavailable'), { kind: 'transient' }],
    ['500 in HTML', { status: 500, body: '<h1>oops' }, { kind: 'transient', code: 'http_500', outcomeUnknown: false }],
    [
      '503 with an OAuth error',
      error(503, 'invalid_grant', { 'retry-after': '30' }),
      { kind: 'transient', retryAfter: 30, outcomeUnknown: false },
    ],
    ['503 with a challenge', { status: 503, headers: { 'www-authenticate': 'Basic' } }, { kind: 'transient' }],
    ['504', { status: 504 }, { kind: 'transient', outcomeUnknown: true }],
    [
      '200 in HTML',
      { headers: { 'content-type': 'text/html' }, body: '<h1>maintenance' },
      { kind: 'transient', code: 'invalid_answer', outcomeUnknown: true },
    ],
    [
      '200 without access_token',
      { body: { refresh_token: 'x' } },
      { kind: 'transient', code: 'invalid_answer', outcomeUnknown: true },
    ],
    [
      '200 with an access_token that is no string',
      { body: { access_token: 7 } },
      { kind: 'transient', outcomeUnknown: true },
    ],
    ['200 with an array', { body: '[]' }, { kind: 'transient', outcomeUnknown: true }],
    ['204', { status: 204 }, { kind: 'transient', outcomeUnknown: true }],
    [
      'an answer that is too large',
      { body: 'x'.repeat(1_000_001) },
      { kind: 'transient', code: 'answer_too_large', outcomeUnknown: true },
    ],
    ['a connection that breaks', 'drop', { kind: 'transient', code: 'network_error', outcomeUnknown: true }],
  ];
  test.each(cases)('%s', async (_, answer, expected) => {
    const fault = expectFault(await refreshed(answer));
    expect(fault).toMatchObject(expected);
    expect(fault.code).toMatch(/^[a-z0-9_]{1,64}$/);
  });

  test('reads Retry-After as a date', async () => {
    const at = new Date(Math.ceil(adapter.now() / 1000) * 1000 + 120_000).toUTCString();
    const { retryAfter } = expectFault(await refreshed({ status: 503, headers: { 'retry-after': at } }));
    expect(retryAfter).toBeGreaterThan(115);
    expect(retryAfter).toBeLessThanOrEqual(122);
  });

  test('provider that hangs: transient with an unknown outcome', async () => {
    // Enough to connect and to send the request.
    const hasty = startTestAdapter({ timeoutMs: 500 });
    expect(expectFault(await refreshed('hang', generic(), hasty))).toMatchObject({
      kind: 'transient',
      code: 'timeout',
      outcomeUnknown: true,
    });
    await hasty.close();
  });

  test('provider that is down: transient with a known outcome', async () => {
    const gone = await startScriptedServer(() => 'drop');
    await gone.close();
    const target = createTarget('generic-oauth2', { params: { ...urls(), token_url: gone.url } });
    expect(expectFault(await refreshed('drop', target))).toMatchObject({
      kind: 'transient',
      code: 'network_error',
      outcomeUnknown: false,
    });
  });

  test('blocked address: misconfigured', async () => {
    const target = createTarget('generic-oauth2', {
      params: { ...urls(), token_url: 'https://169.254.169.254/token' },
    });
    expect(expectFault(await refreshed('drop', target))).toMatchObject({
      kind: 'misconfigured',
      code: 'outbound_blocked',
      outcomeUnknown: false,
    });
  });

  test('unreadable response to a code exchange: invalid', async () => {
    expect(expectFault(await exchange({ body: 'garbage' }))).toMatchObject({ kind: 'invalid', code: 'invalid_answer' });
    expect(expectFault(await exchange({ status: 503 }))).toMatchObject({ kind: 'transient' });
  });

  test('redacts secrets from any error text', async () => {
    const jwt = `eyJhbGciOiJSUzI1NiJ9.${'e30'.repeat(20)}.sig`;
    const words = `token ${REFRESH_TOKEN} of client-secret\u0000\n\u001b[31m was ${jwt}`;
    for (const code of ['invalid_grant', REFRESH_TOKEN]) {
      const fault = expectFault(await refreshed({ status: 400, body: { error: code, error_description: words } }));
      const text = JSON.stringify(fault);
      for (const secret of [REFRESH_TOKEN, REFRESH_TOKEN.replaceAll('-', '_'), 'client-secret', jwt])
        expect(text).not.toContain(secret);
      expect(fault.detail).toContain('of [secret]');
      expect(fault.detail).not.toMatch(/\p{Cc}/u);
    }
    const long = expectFault(
      await refreshed({ status: 400, body: { error: 'x', error_description: 'word '.repeat(1000) } }),
    );
    expect(long.detail.length).toBeLessThan(400);
  });

  test('error in the authorization response: denied, with redacted text', async () => {
    const target = generic();
    const { expected } = await startAuthorization(adapter.client, target);
    const response = {
      state: expected.state,
      error: 'Access Denied\u0007<script>',
      error_description: `no\u001b ${expected.verifier}`,
    };
    const fault = expectFault(await adapter.client.exchange(target, new URLSearchParams(response), expected));
    expect(fault).toMatchObject({ kind: 'denied', code: 'access_denied_script_' });
    expect(fault.detail).not.toContain(expected.verifier);
    expect(fault.detail).not.toMatch(/\p{Cc}/u);
  });
});
