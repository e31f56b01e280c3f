// Token requests with DPoP proofs (RFC 9449 5, 8), with a scripted server.
import { calculateJwkThumbprint, EmbeddedJWK, type JWK, jwtVerify } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { parseStoredCredentials, withDpopKey } from '../../../src/domain/imported-credentials.ts';
import type { Target } from '../../../src/domain/target.ts';
import type { TokenResponse } from '../../../src/ports/index.ts';
import {
  createTarget,
  expectFault,
  REDIRECT_URI,
  startAuthorization,
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
let script: ScriptedResponse[];
const token = { access_token: 'at', token_type: 'DPoP', expires_in: 60, refresh_token: 'next' };

beforeAll(async () => {
  server = await startScriptedServer(() => script.shift() ?? { body: token });
  adapter = startTestAdapter();
});
beforeEach(() => {
  server.received.length = 0;
  script = [];
});
afterAll(async () => {
  await adapter.close();
  await server.close();
});

const code = (more: object = {}, params: Record<string, string> = {}): Target => {
  const field = { title: 'DPoP', options: { on: 'true', off: 'false' }, default: 'off' };
  const urls = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  return createTarget(
    { params: { dpop: field }, auth: [{ mode: 'oauth2_code', ...urls, dpop: '{dpop}', ...more }] },
    { params },
  );
};
const on = { dpop: 'on' };

async function exchange(target: Target) {
  const { expected } = await startAuthorization(adapter.client, target, []);
  return adapter.client.exchange(target, new URLSearchParams({ code: 'c0de', state: expected.state }), expected);
}

const renew = (target: Target, dpopKey?: string, credentials: string | null = null) => {
  const grant = {
    accessToken: null,
    refreshToken: 'rt',
    idToken: null,
    credentials: withDpopKey(credentials, dpopKey),
  };
  return adapter.client.refresh(target, {
    credentials: grant,
    identity: null,
    scopes: [],
    captured: {},
    redirectUri: REDIRECT_URI,
  });
};

/** Verifies a request's proof, and returns its key and claims. */
async function proven({ headers }: ReceivedRequest) {
  const { payload, protectedHeader } = await jwtVerify(String(headers.dpop), EmbeddedJWK, { typ: 'dpop+jwt' });
  expect(payload).toMatchObject({ htm: 'POST', htu: `${server.url}/token`, jti: expect.any(String) });
  return { jkt: await calculateJwkThumbprint(protectedHeader.jwk as JWK), nonce: payload.nonce };
}

const keyOf = ({ dpopKey }: TokenResponse) => dpopKey ?? 'none';
const wantsNonce = (nonce: string): ScriptedResponse => ({
  status: 400,
  headers: { 'dpop-nonce': nonce, 'www-authenticate': 'DPoP error="use_dpop_nonce"' },
  body: { error: 'use_dpop_nonce' },
});

test('code exchange: has a proof of a new key, which the result returns', async () => {
  const [one, two] = [unwrap(await exchange(code({}, on))), unwrap(await exchange(code({}, on)))];
  expect(one).toMatchObject({ tokenType: 'DPoP', dpopKey: expect.stringContaining('BEGIN PRIVATE KEY') });
  expect(keyOf(two)).not.toBe(keyOf(one));
  const [first, second] = await Promise.all(server.received.map(proven));
  expect(first?.jkt).not.toBe(second?.jkt);
});

test('code exchange: no proof and no key unless DPoP is on', async () => {
  expect(unwrap(await exchange(code())).dpopKey).toBeUndefined();
  expect(unwrap(await renew(code())).dpopKey).toBeUndefined();
  expect(server.received.map(({ headers }) => headers.dpop)).toEqual([undefined, undefined]);
});

test('nonce: sent in an immediate retry, and the latest from the start of the next request', async () => {
  script = [wantsNonce('n1'), { headers: { 'dpop-nonce': 'n2' }, body: token }];
  const { dpopKey } = unwrap(await exchange(code({}, on)));
  unwrap(await renew(code({}, on), dpopKey));
  const dpopProofs = await Promise.all(server.received.map(proven));
  expect(dpopProofs.map(({ nonce }) => nonce)).toEqual([undefined, 'n1', 'n2']);
  expect(new Set(dpopProofs.map(({ jkt }) => jkt)).size).toBe(1);
});

test('nonce: refused twice is transient', async () => {
  script = [wantsNonce('n1'), wantsNonce('n2')];
  expect(expectFault(await renew(code({}, on)))).toMatchObject({ kind: 'transient', code: 'use_dpop_nonce' });
});

test('refresh: an imported connection without a key gets one', async () => {
  const { dpopKey } = unwrap(await renew(code({}, on)));
  const again = unwrap(await renew(code({}, on), dpopKey));
  expect(again.dpopKey).toBe(dpopKey);
});

test('refresh: a vendor’s own grant type has a proof too', async () => {
  const own = { refresh: { grant_type: 'exchange', token_param: 'token' } };
  unwrap(await renew(code(own, on)));
  expect((await proven(server.received[0]!)).jkt).toMatch(/^[\w-]{43}$/);
});

test('token type: as the response says, with or without a proof', async () => {
  script = [{ body: { ...token, token_type: 'Bearer' } }];
  expect(unwrap(await exchange(code({}, on)))).toMatchObject({ tokenType: 'Bearer', dpopKey: expect.any(String) });
});

test('client credentials: tokens stay bound to one key, which is not mistaken for an imported client', async () => {
  const target = createTarget({
    auth: [{ mode: 'oauth2_client_credentials', token_url: `${server.url}/token`, dpop: 'true' }],
  });
  const { dpopKey } = unwrap(await renew(target));
  script = [{ body: token }, { status: 401, body: { error: 'invalid_client' } }];
  expect(unwrap(await renew(target, dpopKey)).dpopKey).toBe(dpopKey);
  expect(expectFault(await renew(target, dpopKey))).toMatchObject({ kind: 'misconfigured' });
  const [first, second] = await Promise.all(server.received.map(proven));
  expect(second?.jkt).toBe(first?.jkt);
});

test('withDpopKey: stores the key beside imported credentials, and replaces an older one', () => {
  const both = withDpopKey(withDpopKey('{"client_id":"theirs"}', 'old'), 'new');
  expect(parseStoredCredentials(both)).toEqual({ imported: { client_id: 'theirs' }, dpopKey: 'new' });
  expect(withDpopKey(both, undefined)).toBe(both);
  expect(parseStoredCredentials(withDpopKey(null, 'new'))).toEqual({ imported: {}, dpopKey: 'new' });
  expect(withDpopKey(null, undefined)).toBeNull();
});
