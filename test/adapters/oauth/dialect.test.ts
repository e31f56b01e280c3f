// Token requests in a vendor's dialect: what the server receives when the catalogue differs from RFC 6749.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Credentials } from '../../../src/domain/connection.ts';
import type { Target } from '../../../src/domain/target.ts';
import {
  createTarget,
  REDIRECT_URI,
  startAuthorization,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';
import { type ReceivedRequest, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const ACCESS = 'access-token-that-was-before';
const REFRESH = 'refresh-token-that-is-spent';

let server: ScriptedServer;
let adapter: TestAdapter;

beforeAll(async () => {
  server = await startScriptedServer(() => ({ body: { access_token: 'at', token_type: 'Bearer' } }));
  adapter = startTestAdapter();
});
beforeEach(() => {
  server.received.length = 0;
});
afterAll(async () => {
  await adapter.close();
  await server.close();
});

function target(auth: object, params: Record<string, string> = {}): Target {
  const asked = { title: 'text', pattern: '.*', optional: true };
  const entry = {
    mode: 'oauth2_code',
    authorization_url: `${server.url}/authorize`,
    token_url: `${server.url}/token`,
    client_auth: ['client_secret_post'],
    pkce: 'none',
    params: { tenant: asked, lifetime: asked },
  };
  return createTarget({ auth: [{ ...entry, ...auth }] }, { params });
}

const received = (): ReceivedRequest => server.received.at(-1)!;

async function exchanged(at: Target): Promise<ReceivedRequest> {
  const { expected } = await startAuthorization(adapter.client, at, ['a', 'b']);
  const response = new URLSearchParams({ code: 'the-code', state: expected.state });
  unwrap(await adapter.client.exchange(at, response, expected));
  return received();
}

async function renewed(
  at: Target,
  captured: Record<string, unknown> = {},
  grant: Partial<Credentials> = {},
): Promise<ReceivedRequest> {
  const whole = { accessToken: ACCESS, refreshToken: REFRESH, idToken: null, credentials: null, ...grant };
  unwrap(
    await adapter.client.refresh(at, {
      credentials: whole,
      identity: null,
      scopes: ['a', 'b'],
      captured,
      redirectUri: REDIRECT_URI,
    }),
  );
  return received();
}

const query = ({ path }: ReceivedRequest) => Object.fromEntries(new URLSearchParams(path.split('?')[1]));
const client = { client_id: 'client', client_secret: 'client-secret' };

describe('JSON request', () => {
  test('has code and refresh token as members', async () => {
    const at = target({ token_request: { body: 'json', params: { expiring: '1' } } });
    const code = await exchanged(at);
    expect(code.headers['content-type']).toBe('application/json');
    expect(JSON.parse(code.body)).toEqual({
      grant_type: 'authorization_code',
      code: 'the-code',
      redirect_uri: REDIRECT_URI,
      expiring: '1',
      ...client,
    });
    expect(JSON.parse((await renewed(at)).body)).toEqual({
      grant_type: 'refresh_token',
      refresh_token: REFRESH,
      expiring: '1',
      ...client,
    });
  });

  test('preserves quotes, backslashes and line ends', async () => {
    const odd = '"quoted" \\ and\nüber';
    const at = target({ token_request: { body: 'json' } });
    expect(JSON.parse((await renewed(at, {}, { refreshToken: odd })).body).refresh_token).toBe(odd);
  });
});

describe('GET request', () => {
  test('has all parameters in the query, besides the URL’s own, and no body', async () => {
    const at = target({ token_url: `${server.url}/token?fixed=1`, token_request: { method: 'GET' } });
    const code = await exchanged(at);
    expect([code.method, code.body]).toEqual(['GET', '']);
    expect(code.path.split('?')[0]).toBe('/token');
    expect(query(code)).toEqual({
      fixed: '1',
      grant_type: 'authorization_code',
      code: 'the-code',
      redirect_uri: REDIRECT_URI,
      ...client,
    });
    expect(code.headers).not.toHaveProperty('content-type');
  });
});

describe('renamed parameters', () => {
  test('apply to the authorization request and to token requests', async () => {
    const at = target({
      authorization_rename: { client_id: 'client_key', scope: 'user_scope' },
      token_request: { rename: { client_id: 'client_key', code: 'auth_code', refresh_token: 'renewal' } },
    });
    const { url } = await startAuthorization(adapter.client, at, ['a', 'b']);
    const asked = Object.fromEntries(new URL(url).searchParams);
    expect(asked).toMatchObject({ client_key: 'client', user_scope: 'a b', response_type: 'code' });
    expect(Object.keys(asked)).not.toContain('client_id');
    expect(Object.keys(asked)).not.toContain('scope');
    const code = Object.fromEntries((await exchanged(at)).form);
    expect(code).toEqual({
      grant_type: 'authorization_code',
      auth_code: 'the-code',
      redirect_uri: REDIRECT_URI,
      client_key: 'client',
      client_secret: 'client-secret',
    });
    expect(Object.fromEntries((await renewed(at)).form)).toMatchObject({ renewal: REFRESH, client_key: 'client' });
  });
});

describe('omitted parameters', () => {
  test('are not sent', async () => {
    const at = target({
      token_request: { omit: ['redirect_uri', 'client_secret'] },
      refresh: { omit: ['grant_type'] },
    });
    expect(Object.fromEntries((await exchanged(at)).form)).toEqual({
      grant_type: 'authorization_code',
      code: 'the-code',
      client_id: 'client',
    });
    expect(Object.fromEntries((await renewed(at)).form)).toEqual({ refresh_token: REFRESH, client_id: 'client' });
  });

  test('may include the authorization header, of all requests or only of refreshes', async () => {
    const always = target({ client_auth: ['client_secret_basic'], token_request: { omit: ['authorization'] } });
    expect((await exchanged(always)).headers).not.toHaveProperty('authorization');
    expect((await renewed(always)).headers).not.toHaveProperty('authorization');
    const refreshing = target({ client_auth: ['client_secret_basic'], refresh: { omit: ['authorization'] } });
    expect((await exchanged(refreshing)).headers.authorization).toMatch(/^Basic /);
    expect((await renewed(refreshing)).headers).not.toHaveProperty('authorization');
  });
});

describe('constant parameters', () => {
  const params = { fixed: 'yes', tenant: 'of-{tenant}', both: '{tenant}/{lifetime}', secret: '{client_secret}' };

  test('are filled; one with a missing optional value is omitted', async () => {
    const at = target(
      { token_request: { params }, authorization_params: { ...params, secret: '{client_secret}' } },
      { tenant: 'T' },
    );
    expect(Object.fromEntries((await exchanged(at)).form)).toMatchObject({
      fixed: 'yes',
      tenant: 'of-T',
      secret: 'client-secret',
    });
    expect((await exchanged(at)).form.has('both')).toBe(false);
    const { url } = await startAuthorization(adapter.client, at, []);
    const asked = new URL(url).searchParams;
    expect([asked.get('fixed'), asked.get('tenant'), asked.has('both')]).toEqual(['yes', 'of-T', false]);
    // The authorization request is public.
    expect(url).not.toContain('client-secret');
  });

  test('of refreshes are added, with requested and captured values', async () => {
    const at = target({
      token_request: { params: { fixed: 'yes', audience: 'first' } },
      refresh: {
        params: {
          audience: 'second',
          scope: '{scopes} offline',
          redirect_uri: '{redirect_uri}',
          to: '{api}',
          not: '{missing}',
        },
      },
    });
    expect(Object.fromEntries((await renewed(at, { api: 'https://eu.acme.test', other: {} })).form)).toEqual({
      grant_type: 'refresh_token',
      refresh_token: REFRESH,
      fixed: 'yes',
      audience: 'second',
      scope: 'a b offline',
      redirect_uri: REDIRECT_URI,
      to: 'https://eu.acme.test',
      ...client,
    });
  });

  test('never replace standard parameters', async () => {
    const at = target({ token_request: { params: { code: 'mine', refresh_token: 'mine', grant_type: 'mine' } } });
    expect((await renewed(at)).form.getAll('refresh_token')).toEqual([REFRESH]);
    expect((await exchanged(at)).form.getAll('code')).toEqual(['the-code']);
  });
});

describe('headers', () => {
  test('are the catalogue’s, filled, in any case, and replace our own', async () => {
    const headers = {
      Accept: 'application/vnd.acme',
      'Acme-Version': '{tenant}',
      'X-Secret': '{client_secret}',
      'X-None': '{lifetime}',
    };
    const sent = (await exchanged(target({ token_request: { headers } }, { tenant: '7' }))).headers;
    expect(sent).toMatchObject({ accept: 'application/vnd.acme', 'acme-version': '7', 'x-secret': 'client-secret' });
    expect(sent).not.toHaveProperty('x-none');
  });
});

describe('refresh URL', () => {
  test('is used for refreshes with their own method, not for codes', async () => {
    const at = target(
      { refresh: { url: `${server.url}/renew/{tenant}`, method: 'GET', params: { kind: 'renewal' } } },
      { tenant: 'T' },
    );
    const { method, path } = await exchanged(at);
    expect([method, path]).toEqual(['POST', '/token']);
    const refresh = await renewed(at);
    expect([refresh.method, refresh.path.split('?')[0]]).toEqual(['GET', '/renew/T']);
    expect(query(refresh)).toEqual({ grant_type: 'refresh_token', refresh_token: REFRESH, kind: 'renewal', ...client });
  });
});

describe('an access token that is refreshed with itself', () => {
  const refresh = {
    spends: 'access_token',
    grant_type: 'ig_refresh_token',
    token_param: 'access_token',
    method: 'GET',
    omit: ['client_id', 'client_secret'],
  };

  test('is sent with the vendor’s grant type and parameter name, without a refresh token', async () => {
    const at = target({ refresh: { ...refresh, url: `${server.url}/refresh_access_token` } });
    const sent = await renewed(at, {}, { refreshToken: null });
    expect([sent.method, sent.path.split('?')[0]]).toEqual(['GET', '/refresh_access_token']);
    expect(query(sent)).toEqual({ grant_type: 'ig_refresh_token', access_token: ACCESS });
  });

  test('may be used in other parameters', async () => {
    const at = target({
      refresh: {
        ...refresh,
        method: 'POST',
        token_param: 'fb_exchange_token',
        omit: [],
        params: { again: '{access_token}' },
      },
    });
    expect(Object.fromEntries((await renewed(at)).form)).toEqual({
      grant_type: 'ig_refresh_token',
      fb_exchange_token: ACCESS,
      again: ACCESS,
      ...client,
    });
  });

  test('refresh token: sent with the vendor’s grant type and parameter name', async () => {
    const at = target({ refresh: { grant_type: 'renew', token_param: 'renewal_token' } });
    expect(Object.fromEntries((await renewed(at)).form)).toEqual({
      grant_type: 'renew',
      renewal_token: REFRESH,
      ...client,
    });
  });
});
