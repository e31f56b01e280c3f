// Vendor extensions of the authorization response: an HMAC, parameters that must match, granted scopes; and the exchange
// of a short-lived token for a long-lived one.
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { NO_SECRETS, type Target } from '../../../src/domain/target.ts';
import {
  createTarget,
  expectFault,
  REDIRECT_URI,
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
const token: ScriptedResponse = { body: { access_token: 'short', token_type: 'Bearer', scope: 'asked' } };

beforeAll(async () => {
  server = await startScriptedServer((request) => answer(request));
  adapter = startTestAdapter();
});
beforeEach(() => {
  server.received.length = 0;
  answer = () => token;
});
afterAll(async () => {
  await adapter.close();
  await server.close();
});

function target(auth: object, params: Record<string, string> = {}, clientSecret = 'hush'): Target {
  const shop = { title: 'shop', pattern: '.*', optional: true };
  const urls = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  return createTarget(
    { auth: [{ mode: 'oauth2_code', ...urls, params: { shop }, ...auth }] },
    { params, clientSecret },
  );
}

function exchange(at: Target, response: Record<string, string> | URLSearchParams) {
  const callback = new URLSearchParams(response);
  const state = callback.get('state') ?? '';
  const expected = {
    state,
    nonce: 'n',
    verifier: 'v'.repeat(43),
    redirectUri: REDIRECT_URI,
    scopes: ['asked'],
    issuer: null,
  };
  return adapter.client.exchange(at, callback, expected);
}

describe('callback HMAC', () => {
  const hmac = { param: 'hmac', algorithm: 'sha256', encoding: 'hex' };
  const callback = { hmac, match: { shop: '{shop}.myshopify.com' } };
  const shopify = () => target({ callback }, { shop: 'some-shop' });
  // Shopify's documented example, whose secret is "hush".
  const documented = {
    code: '0907a61c0c8d55e99db179b68161bc00',
    hmac: '700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf',
    shop: 'some-shop.myshopify.com',
    state: '0.6784241404160823',
    timestamp: '1337178173',
  };

  test('accepts the documented example, with its parameters in any order', async () => {
    expect(unwrap(await exchange(shopify(), documented)).accessToken).toBe('short');
    const reversed = Object.fromEntries(Object.entries(documented).reverse());
    expect(unwrap(await exchange(shopify(), reversed)).accessToken).toBe('short');
  });

  test.each([
    ['a changed code', { ...documented, code: '0907a61c0c8d55e99db179b68161bc01' }],
    ['a changed state', { ...documented, state: '0.1' }],
    ['a parameter more', { ...documented, host: 'x' }],
    ['a changed signature', { ...documented, hmac: documented.hmac.replace('7', '8') }],
    ['half of the signature', { ...documented, hmac: documented.hmac.slice(0, 32) }],
    ['a signature with something behind it', { ...documented, hmac: `${documented.hmac}00` }],
    ['an empty signature', { ...documented, hmac: '' }],
    ['no signature', Object.fromEntries(Object.entries(documented).filter(([name]) => name !== 'hmac'))],
  ])('refuses %s, before the code is spent', async (_, response) => {
    const fault = expectFault(await exchange(shopify(), response as Record<string, string>));
    expect(fault).toMatchObject({ kind: 'invalid', code: 'invalid_response' });
    expect(server.received).toEqual([]);
  });

  test('refuses an HMAC with another secret, and any without a client secret', async () => {
    const other = target({ callback }, { shop: 'some-shop' }, 'another');
    expect(expectFault(await exchange(other, documented))).toMatchObject({ code: 'invalid_response' });
    const without = { ...shopify(), secrets: NO_SECRETS };
    expect(expectFault(await exchange(without, documented))).toMatchObject({ kind: 'misconfigured' });
  });

  test('supports base64 and SHA-512, over the decoded values', async () => {
    const at = target({ callback: { hmac: { param: 'sig', algorithm: 'sha512', encoding: 'base64' } } });
    const sig = createHmac('sha512', 'hush').update('a=ü &=+&code=c&state=s').digest('base64');
    expect(unwrap(await exchange(at, { state: 's', sig, code: 'c', a: 'ü &=+' })).accessToken).toBe('short');
    const wrong = createHmac('sha512', 'hush').update('code=c&state=s').digest('base64');
    expect(expectFault(await exchange(at, { state: 's', sig: wrong, code: 'c', a: 'ü &=+' })).code).toBe(
      'invalid_response',
    );
  });
});

describe('callback parameter that must match', () => {
  const at = (params = {}) => target({ callback: { match: { shop: '{shop}.acme.test', kind: 'store' } } }, params);
  const response = { code: 'c', state: 's', kind: 'store' };

  test('accepts only the requested value', async () => {
    unwrap(await exchange(at({ shop: 'mine' }), { ...response, shop: 'mine.acme.test' }));
    for (const shop of ['other.acme.test', 'mine.acme.test.evil.test', '']) {
      const fault = expectFault(await exchange(at({ shop: 'mine' }), { ...response, shop }));
      expect(fault).toMatchObject({ kind: 'invalid', code: 'invalid_response' });
    }
    expect(expectFault(await exchange(at({ shop: 'mine' }), response)).code).toBe('invalid_response');
    expect(expectFault(await exchange(at(), { ...response, kind: 'other' })).code).toBe('invalid_response');
  });

  test('is not checked when the connection has no such parameter', async () => {
    unwrap(await exchange(at(), response));
  });
});

describe('granted scopes', () => {
  test('come from the callback where the catalogue says so', async () => {
    const at = target({ callback: { scope: { param: 'scope', separator: ',' } } });
    expect(unwrap(await exchange(at, { code: 'c', state: 's', scope: 'read,activity:read' })).scopes).toEqual([
      'read',
      'activity:read',
    ]);
    expect(unwrap(await exchange(at, { code: 'c', state: 's' })).scopes).toEqual(['asked']);
    expect(unwrap(await exchange(target({}), { code: 'c', state: 's', scope: 'read' })).scopes).toEqual(['asked']);
  });
});

describe('short-lived token', () => {
  const params = {
    grant_type: 'swap',
    client_id: '{client_id}',
    client_secret: '{client_secret}',
    swap: '{access_token}',
    none: '{shop}',
  };
  const at = (more: object = {}) =>
    target({
      token_exchange: { url: `${server.url}/long?fixed=1`, params, ...more },
      token_answer: { capture: { user: 'user.id', page: 'page' } },
    });
  const long = (said: ScriptedResponse) => {
    answer = ({ path }) =>
      path.startsWith('/long')
        ? said
        : { body: { access_token: 'short', scope: 'asked', user: { id: 7 }, expires_in: 60 } };
  };
  const callback = { code: 'the-code', state: 's' };

  test('is exchanged for a long-lived one, with the values of both responses', async () => {
    long({ body: { access_token: 'long', token_type: 'bearer', expires_in: 5_184_000, page: 'p' } });
    expect(unwrap(await exchange(at(), callback))).toMatchObject({
      accessToken: 'long',
      expiresIn: 5_184_000,
      scopes: ['asked'],
      captured: { user: 7, page: 'p' },
    });
    const [, swap] = server.received;
    expect([swap!.method, swap!.path]).toEqual(['POST', '/long?fixed=1']);
    expect(Object.fromEntries(swap!.form)).toEqual({
      grant_type: 'swap',
      client_id: 'client',
      client_secret: 'hush',
      swap: 'short',
    });
    expect(swap!.headers).not.toHaveProperty('authorization');
  });

  test('is exchanged with a GET where the catalogue says so', async () => {
    long({ body: { access_token: 'long' } });
    expect(unwrap(await exchange(at({ method: 'GET' }), callback)).accessToken).toBe('long');
    const [, swap] = server.received;
    expect(swap!.method).toBe('GET');
    expect(Object.fromEntries(new URLSearchParams(swap!.path.split('?')[1]))).toEqual({
      fixed: '1',
      grant_type: 'swap',
      client_id: 'client',
      client_secret: 'hush',
      swap: 'short',
    });
  });

  test.each([
    [
      'refused',
      { status: 400, body: { error: 'invalid_client', error_description: 'no hush, no short-lived: short' } },
      { kind: 'misconfigured', code: 'invalid_client' },
    ],
    ['not possible now', { status: 503, headers: { 'retry-after': '3' } }, { kind: 'transient', retryAfter: 3 }],
    ['answered with nonsense', { body: '<h1>' }, { kind: 'invalid', code: 'invalid_answer' }],
    ['cut off', 'drop', { kind: 'transient', code: 'network_error' }],
  ] as [string, ScriptedResponse, object][])('is not kept when the swap is %s', async (_, said, expected) => {
    long(said);
    expect(expectFault(await exchange(at(), callback))).toMatchObject(expected);
  });

  test('is redacted from errors of the exchange', async () => {
    answer = ({ path, form }) =>
      path.startsWith('/long')
        ? {
            status: 400,
            body: { error: 'x', error_description: `${form.get('swap')} and ${form.get('client_secret')}` },
          }
        : { body: { access_token: 'short-lived-canary' } };
    const secret = 'client-secret-canary';
    const made = target({ token_exchange: { url: `${server.url}/long`, params } }, {}, secret);
    const { detail } = expectFault(await exchange(made, callback));
    expect(detail).toContain('[secret] and [secret]');
  });
});
