// Revocation, where providers differ from RFC 7009.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createTarget,
  expectFault,
  refreshTokens,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.ts';

let server: ScriptedServer;
let adapter: TestAdapter;
let answer: (request: ReceivedRequest) => ScriptedResponse;

beforeAll(async () => {
  server = await startScriptedServer((request) => answer(request));
  adapter = startTestAdapter();
});
beforeEach(() => {
  server.received.length = 0;
  answer = () => ({});
});
afterAll(async () => {
  await adapter.close();
  await server.close();
});

const tokens = { accessToken: 'at/1', refreshToken: 'rt/1' };

describe('revocation by RFC 7009', () => {
  const target = () =>
    createTarget('generic-oauth2', {
      params: {
        authorization_url: `${server.url}/a`,
        token_url: `${server.url}/t`,
        revocation_url: `${server.url}/revoke`,
      },
    });
  const revoke = (given: { accessToken: string | null; refreshToken: string | null } = tokens) =>
    adapter.client.revoke(target(), given, {});
  const refuse = (hint: string, code: string, status = 400) => {
    answer = ({ form }) => (form.get('token_type_hint') === hint ? { status, body: { error: code } } : {});
  };

  test('sends the refresh token, then the access token', async () => {
    expect(unwrap(await revoke())).toBe('done');
    expect(server.received.map(({ form }) => [form.get('token'), form.get('token_type_hint')])).toEqual([
      ['rt/1', 'refresh_token'],
      ['at/1', 'access_token'],
    ]);
  });

  test('skips a missing token', async () => {
    expect(unwrap(await revoke({ accessToken: null, refreshToken: 'rt' }))).toBe('done');
    expect(server.received.map(({ form }) => form.get('token'))).toEqual(['rt']);
    expect(unwrap(await revoke({ accessToken: null, refreshToken: null }))).toBe('done');
    expect(server.received).toHaveLength(1);
  });

  test('accepts any 2xx', async () => {
    answer = () => ({ status: 204 });
    expect(unwrap(await revoke())).toBe('done');
  });

  test('is done when only the refresh token can be revoked', async () => {
    refuse('access_token', 'unsupported_token_type');
    expect(unwrap(await revoke())).toBe('done');
    expect(unwrap(await revoke({ ...tokens, refreshToken: null }))).toBe('unsupported');
  });

  test('is unsupported when the refresh token cannot be revoked', async () => {
    refuse('refresh_token', 'unsupported_token_type');
    expect(unwrap(await revoke())).toBe('unsupported');
    expect(server.received).toHaveLength(2);
  });

  test('is done when the token is no longer valid', async () => {
    refuse('access_token', 'invalid_token');
    expect(unwrap(await revoke())).toBe('done');
  });

  test.each(['invalid_grant', 'invalid_token'])('is done when the refresh token is dead already: %s', async (code) => {
    refuse('refresh_token', code);
    expect(unwrap(await revoke())).toBe('done');
  });

  test.each<[string, ScriptedResponse]>([
    ['400 without a code', { status: 400 }],
    ['400 invalid_request', { status: 400, body: { error: 'invalid_request' } }],
    ['401 invalid_client', { status: 401, body: { error: 'invalid_client' } }],
    ['403', { status: 403, body: 'no' }],
    ['503', { status: 503 }],
    ['a dropped connection', 'drop'],
  ])('is done once the refresh token is revoked, whatever is said of the access token: %s', async (_, said) => {
    answer = ({ form }) => (form.get('token_type_hint') === 'access_token' ? said : {});
    expect(unwrap(await revoke())).toBe('done');
    expect(expectFault(await revoke({ ...tokens, refreshToken: null })).kind).not.toBe('grant_dead');
  });

  test('is transient in an outage, and stops before the second token', async () => {
    answer = () => ({ status: 503, headers: { 'retry-after': '5' } });
    expect(expectFault(await revoke())).toMatchObject({ kind: 'transient', retryAfter: 5 });
    expect(server.received).toHaveLength(1);
  });

  test('is misconfigured when the client is refused', async () => {
    refuse('refresh_token', 'invalid_client', 401);
    expect(expectFault(await revoke())).toMatchObject({ kind: 'misconfigured', code: 'invalid_client' });
  });

  test('is unsupported without an endpoint', async () => {
    const params = { authorization_url: `${server.url}/a`, token_url: `${server.url}/t` };
    expect(unwrap(await adapter.client.revoke(createTarget('generic-oauth2', { params }), tokens, {}))).toBe(
      'unsupported',
    );
    expect(server.received).toHaveLength(0);
  });
});

describe("revocation by the vendor's request", () => {
  test('GitHub’s: DELETE with Basic and the token in JSON', async () => {
    answer = () => ({ status: 204 });
    const target = createTarget('github', { overrides: { revocation_url: `${server.url}/applications/client/grant` } });
    expect(unwrap(await adapter.client.revoke(target, { accessToken: 'at', refreshToken: null }, {}))).toBe('done');
    expect(server.received[0]).toMatchObject({
      method: 'DELETE',
      path: '/applications/client/grant',
      headers: {
        authorization: `Basic ${Buffer.from('client:client-secret').toString('base64')}`,
        accept: 'application/vnd.github+json',
        'content-type': 'application/json',
        'user-agent': 'valetkey',
      },
    });
    expect(JSON.parse(server.received[0]!.body)).toEqual({ access_token: 'at' });
  });

  test('fills encoded tokens into URLs, and omits missing ones', async () => {
    const revocation = {
      style: 'request',
      method: 'POST',
      url: 'https://acme.test/x',
      auth: 'bearer',
      body: 'form',
      fields: { rt: '{refresh_token}', id: '{client_id}' },
    };
    const auth = {
      mode: 'oauth2_code',
      authorization_url: 'https://acme.test/a',
      token_url: 'https://acme.test/t',
      revocation,
    };
    const target = createTarget({ auth: [auth] }, { overrides: { revocation_url: `${server.url}/r/{access_token}` } });
    unwrap(await adapter.client.revoke(target, tokens, {}));
    unwrap(await adapter.client.revoke(target, { ...tokens, refreshToken: null }, {}));
    expect(server.received[0]).toMatchObject({
      path: '/r/at%2F1',
      body: 'rt=rt%2F1&id=client',
      headers: { authorization: 'Bearer at/1' },
    });
    expect(server.received[1]).toMatchObject({ body: 'id=client' });
  });

  test('is unsupported without the token that it needs', async () => {
    expect(unwrap(await adapter.client.revoke(github(), { accessToken: null, refreshToken: 'rt' }, {}))).toBe(
      'unsupported',
    );
    expect(server.received).toHaveLength(0);
  });

  const github = () => createTarget('github', { overrides: { revocation_url: `${server.url}/grant` } });
  test.each([
    [404, { ok: true, value: 'done' }],
    [401, { ok: false, fault: { kind: 'misconfigured' } }],
    [503, { ok: false, fault: { kind: 'transient' } }],
  ])('classifies status %i', async (status, expected) => {
    answer = () => ({ status });
    expect(await adapter.client.revoke(github(), tokens, {})).toMatchObject(expected);
  });
});

test('understands GitHub’s form-encoded responses and errors with status 200', async () => {
  const overrides = { authorization_url: `${server.url}/a`, token_url: `${server.url}/t` };
  const target = createTarget('github', { overrides });
  answer = () => ({
    headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    body: 'access_token=ghu_1&expires_in=28800&refresh_token=ghr_2&scope=repo%2Cgist&token_type=bearer',
  });
  const request = { refreshToken: 'ghr_1' };
  expect(unwrap(await refreshTokens(adapter.client, target, request))).toMatchObject({
    accessToken: 'ghu_1',
    refreshToken: 'ghr_2',
    expiresIn: 28800,
    scopes: ['repo', 'gist'],
    tokenType: 'Bearer',
  });
  expect(server.received[0]!.form.get('client_secret')).toBe('client-secret');
  answer = () => ({
    body: { error: 'bad_refresh_token', error_description: 'The refresh token passed is incorrect or expired.' },
  });
  expect(expectFault(await refreshTokens(adapter.client, target, request))).toMatchObject({
    kind: 'grant_dead',
    code: 'bad_refresh_token',
  });
  answer = () => ({ body: { error: 'incorrect_client_credentials' } });
  expect(expectFault(await refreshTokens(adapter.client, target, request))).toMatchObject({ kind: 'misconfigured' });
});
