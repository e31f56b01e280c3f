// Look-ups after connecting: values are captured, failures are ignored, and the token is sent only to the catalogue's URLs.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { pendingLookups, type Target } from '../../../src/domain/target.ts';
import { createTarget, REDIRECT_URI, startTestAdapter, type TestAdapter, unwrap } from '../../support/oauth.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.ts';

const TOKEN = 'access-token-canary';

let server: ScriptedServer;
let elsewhere: ScriptedServer;
let adapter: TestAdapter;
let answer: Record<string, ScriptedResponse>;

beforeAll(async () => {
  server = await startScriptedServer(({ path }) => answer[path.split('?')[0]!] ?? { status: 404 });
  elsewhere = await startScriptedServer(() => ({ body: { id: 'stolen' } }));
  adapter = startTestAdapter();
});
beforeEach(() => {
  server.received.length = 0;
  elsewhere.received.length = 0;
  answer = {
    '/token': { body: { access_token: TOKEN, token_type: 'Bearer', api: elsewhere.url, refresh_token: 'next' } },
    '/me': { body: { id: 42, name: 'Ada' } },
    '/tenants': { body: [{ id: 't1', url: 'https://one.test' }, { id: 't2' }] },
  };
});
afterAll(async () => {
  await adapter.close();
  await Promise.all([server.close(), elsewhere.close()]);
});

const me = () => ({ url: `${server.url}/me`, capture: { user_id: 'id', user_name: 'name', nothing: 'no.such' } });
const tenants = () => ({
  url: `${server.url}/tenants`,
  capture: { tenant_ids: '[].id', site: '[0].url', sites: '[].url' },
});

function target(lookups: object[], more: object = {}, settings: object = {}): Target {
  const urls = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const tenant = { title: 'tenant', pattern: '.*', optional: true };
  return createTarget({ auth: [{ mode: 'oauth2_code', ...urls, params: { tenant }, lookups, ...more }] }, settings);
}

async function connected(at: Target, by = adapter) {
  const expected = {
    state: 's',
    nonce: 'n',
    verifier: 'v'.repeat(43),
    redirectUri: REDIRECT_URI,
    scopes: [],
    issuer: null,
  };
  return unwrap(await by.client.exchange(at, new URLSearchParams({ code: 'c', state: 's' }), expected));
}

async function renewed(at: Target, captured: Record<string, unknown>) {
  const grant = { accessToken: 'before', refreshToken: 'spent', idToken: null, credentials: null };
  return unwrap(
    await adapter.client.refresh(at, {
      credentials: grant,
      identity: null,
      scopes: [],
      captured,
      redirectUri: REDIRECT_URI,
    }),
  );
}

const asked = () => server.received.map(({ path }) => path).filter((path) => path !== '/token');
const toLookups = (): ReceivedRequest[] => server.received.filter(({ path }) => path !== '/token');

describe('look-ups after connecting', () => {
  test('capture values besides those of the token response', async () => {
    const at = target([me(), tenants()], { token_answer: { capture: { api: 'api' } } });
    expect((await connected(at)).captured).toEqual({
      api: elsewhere.url,
      user_id: 42,
      user_name: 'Ada',
      tenant_ids: ['t1', 't2'],
      site: 'https://one.test',
      sites: ['https://one.test'],
    });
    for (const { method, headers } of toLookups())
      expect([method, headers.authorization, headers.accept]).toEqual(['GET', `Bearer ${TOKEN}`, 'application/json']);
  });

  test('send the token as the catalogue says', async () => {
    const headers = {
      Authorization: 'OAuth {access_token}',
      'Acme-Client': '{client_id}',
      'X-Secret': '{client_secret}',
    };
    await connected(target([{ ...me(), method: 'POST', headers }]));
    const [lookup] = toLookups();
    expect(lookup).toMatchObject({
      method: 'POST',
      headers: { authorization: `OAuth ${TOKEN}`, 'acme-client': 'client' },
    });
    expect(lookup!.headers).not.toHaveProperty('x-secret');
  });

  const failing: [string, ScriptedResponse][] = [
    ['refused', { status: 403, body: { id: 1 } }],
    ['down', { status: 503 }],
    ['cut off', 'drop'],
    ['of nonsense', { body: '<h1>no' }],
    ['null', { body: 'null' }],
  ];
  test.each(failing)('ignore one that is %s, and use the others', async (_, said) => {
    answer['/me'] = said;
    const { accessToken, captured } = await connected(target([me(), tenants()]));
    expect(accessToken).toBe(TOKEN);
    expect(captured).toEqual({ tenant_ids: ['t1', 't2'], site: 'https://one.test', sites: ['https://one.test'] });
  });

  test('time out when one hangs, and the connection succeeds', async () => {
    answer['/me'] = 'hang';
    expect((await connected(target([me()]))).captured).toEqual({});
  });
});

test('code exchange, look-up and refresh say that the broker sends them', async () => {
  await connected(target([me()]));
  await renewed(target([me()]), {});
  const senders = server.received.map(({ path, headers }) => [path, headers['user-agent']]);
  expect(senders).toEqual(['/token', '/me', '/me', '/token'].map((path) => [path, 'valetkey']));
});

describe('look-ups with a refresh', () => {
  test('are pending while they have something to ask and not all is captured', () => {
    const capture = { user_id: 'sub' };
    const asking = target([me()]);
    expect(pendingLookups(asking, { user_id: 42 })).toEqual([expect.objectContaining({ url: `${server.url}/me` })]);
    expect(pendingLookups(asking, { user_id: 42, user_name: 'Ada', nothing: null })).toEqual([]);
    expect(pendingLookups(target([{ capture }]), {})).toEqual([]);
    expect(pendingLookups(target([{ capture }], { userinfo_url: `${server.url}/me` }), {})).toHaveLength(1);
    expect(pendingLookups(target([me()], { dpop: 'true' }), {})).toEqual([]);
  });

  test('repeat only what is not captured yet', async () => {
    const at = target([me(), tenants()]);
    const known = { tenant_ids: [], site: 'https://one.test', sites: [] };
    expect((await renewed(at, known)).captured).toEqual({ user_id: 42, user_name: 'Ada' });
    expect(asked()).toEqual(['/me']);
    server.received.length = 0;
    expect((await renewed(at, { ...known, user_id: 42, user_name: 'Ada', nothing: 'x' })).captured).toEqual({});
    expect(asked()).toEqual([]);
  });

  test('run before the refresh token is spent, with the current access token', async () => {
    await renewed(target([me()]), {});
    expect(server.received.map(({ path }) => path)).toEqual(['/me', '/token']);
    expect(server.received[0]?.headers.authorization).toBe('Bearer before');
  });

  test('do not fail the refresh', async () => {
    answer['/me'] = 'drop';
    expect(await renewed(target([me()]), {})).toMatchObject({ accessToken: TOKEN, refreshToken: 'next', captured: {} });
  });
});

describe('the look-up’s token', () => {
  test('is not sent to a URL from a response or a captured value', async () => {
    const lookup = { url: '{api}/me', capture: { user_id: 'id' } };
    const at = target([lookup], { token_answer: { capture: { api: 'api' } } });
    expect((await connected(at)).captured).toEqual({ api: elsewhere.url });
    await renewed(at, { api: elsewhere.url });
    expect(elsewhere.received).toEqual([]);
  });

  test('is not sent to a redirect’s target', async () => {
    answer['/me'] = { status: 302, headers: { location: `${elsewhere.url}/me` } };
    expect((await connected(target([me()]))).captured).toEqual({});
    expect(elsewhere.received).toEqual([]);
  });

  test('is not sent to a blocked address', async () => {
    const at = target([{ url: 'https://169.254.169.254/latest', capture: { user_id: 'id' } }]);
    expect((await connected(at)).captured).toEqual({});
  });

  test('is not sent when the URL’s optional parameter is missing', async () => {
    const lookup = { url: `${server.url}/{tenant}/me`, capture: { user_id: 'id' } };
    answer['/T/me'] = { body: { id: 7 } };
    expect((await connected(target([lookup]))).captured).toEqual({});
    expect(asked()).toEqual([]);
    expect((await connected(target([lookup], {}, { params: { tenant: 'T' } }))).captured).toEqual({ user_id: 7 });
  });

  test('is sent to the sandbox when an override moved the provider’s origin', async () => {
    const token_url = 'https://acme.test/token';
    const at = target(
      [{ url: 'https://acme.test/me', capture: { user_id: 'id' } }],
      { token_url },
      { overrides: { token_url: `${server.url}/token` } },
    );
    expect((await connected(at)).captured).toEqual({ user_id: 42 });
  });
});
