// Token requests with proofs of a key (RFC 9449 5, 8), before a server that is told what to answer.
import { calculateJwkThumbprint, EmbeddedJWK, type JWK, jwtVerify } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openCredentials, withDpopKey } from '../../../src/domain/imported-credentials.ts';
import type { Target } from '../../../src/domain/target.ts';
import type { TokenResponse } from '../../../src/ports/index.ts';
import { type Adapter, begin, faultOf, REDIRECT_URI, startAdapter, targetOf, unwrap } from '../../support/oauth.ts';
import {
  type Received,
  type Scripted,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.ts';

let server: ScriptedServer;
let adapter: Adapter;
let script: Scripted[];
const token = { access_token: 'at', token_type: 'DPoP', expires_in: 60, refresh_token: 'next' };

beforeAll(async () => {
  server = await startScriptedServer(() => script.shift() ?? { body: token });
  adapter = startAdapter();
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
  return targetOf(
    { params: { dpop: field }, auth: [{ mode: 'oauth2_code', ...urls, dpop: '{dpop}', ...more }] },
    { params },
  );
};
const on = { dpop: 'on' };

async function exchange(target: Target) {
  const { expected } = await begin(adapter.client, target, []);
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

/** What a request proved; fails when the proof does not hold. */
async function proven({ headers }: Received) {
  const { payload, protectedHeader } = await jwtVerify(String(headers.dpop), EmbeddedJWK, { typ: 'dpop+jwt' });
  expect(payload).toMatchObject({ htm: 'POST', htu: `${server.url}/token`, jti: expect.any(String) });
  return { jkt: await calculateJwkThumbprint(protectedHeader.jwk as JWK), nonce: payload.nonce };
}

const keyOf = ({ dpopKey }: TokenResponse) => dpopKey ?? 'none';
const wantsNonce = (nonce: string): Scripted => ({
  status: 400,
  headers: { 'dpop-nonce': nonce, 'www-authenticate': 'DPoP error="use_dpop_nonce"' },
  body: { error: 'use_dpop_nonce' },
});

test('the code is exchanged with a proof of a new key, which comes back with the answer', async () => {
  const [one, two] = [unwrap(await exchange(code({}, on))), unwrap(await exchange(code({}, on)))];
  expect(one).toMatchObject({ tokenType: 'DPoP', dpopKey: expect.stringContaining('BEGIN PRIVATE KEY') });
  expect(keyOf(two)).not.toBe(keyOf(one));
  const [first, second] = await Promise.all(server.received.map(proven));
  expect(first?.jkt).not.toBe(second?.jkt);
});

test('unless it is switched on there is no proof, and no key', async () => {
  expect(unwrap(await exchange(code())).dpopKey).toBeUndefined();
  expect(unwrap(await renew(code())).dpopKey).toBeUndefined();
  expect(server.received.map(({ headers }) => headers.dpop)).toEqual([undefined, undefined]);
});

test('a nonce that is asked for is given at once, and the newest one from the start the next time', async () => {
  script = [wantsNonce('n1'), { headers: { 'dpop-nonce': 'n2' }, body: token }];
  const { dpopKey } = unwrap(await exchange(code({}, on)));
  unwrap(await renew(code({}, on), dpopKey));
  const dpopProofs = await Promise.all(server.received.map(proven));
  expect(dpopProofs.map(({ nonce }) => nonce)).toEqual([undefined, 'n1', 'n2']);
  expect(new Set(dpopProofs.map(({ jkt }) => jkt)).size).toBe(1);
});

test('a nonce that is refused twice may be right the next time', async () => {
  script = [wantsNonce('n1'), wantsNonce('n2')];
  expect(faultOf(await renew(code({}, on)))).toMatchObject({ kind: 'transient', code: 'use_dpop_nonce' });
});

test('a grant that was imported without a key is given one when it is renewed', async () => {
  const { dpopKey } = unwrap(await renew(code({}, on)));
  const again = unwrap(await renew(code({}, on), dpopKey));
  expect(again.dpopKey).toBe(dpopKey);
});

test('a grant that renews itself in a way of its own proves its key too', async () => {
  const own = { refresh: { grant_type: 'exchange', token_param: 'token' } };
  unwrap(await renew(code(own, on)));
  expect((await proven(server.received[0]!)).jkt).toMatch(/^[\w-]{43}$/);
});

test('the token type is what the answer says, with or without a proof', async () => {
  script = [{ body: { ...token, token_type: 'Bearer' } }];
  expect(unwrap(await exchange(code({}, on)))).toMatchObject({ tokenType: 'Bearer', dpopKey: expect.any(String) });
});

test('tokens by client credentials are bound to one key; it is not taken for a client that was imported', async () => {
  const target = targetOf({
    auth: [{ mode: 'oauth2_client_credentials', token_url: `${server.url}/token`, dpop: 'true' }],
  });
  const { dpopKey } = unwrap(await renew(target));
  script = [{ body: token }, { status: 401, body: { error: 'invalid_client' } }];
  expect(unwrap(await renew(target, dpopKey)).dpopKey).toBe(dpopKey);
  expect(faultOf(await renew(target, dpopKey))).toMatchObject({ kind: 'misconfigured' });
  const [first, second] = await Promise.all(server.received.map(proven));
  expect(second?.jkt).toBe(first?.jkt);
});

test('the key is kept beside what was imported, and takes the place of an older one', () => {
  const both = withDpopKey(withDpopKey('{"client_id":"theirs"}', 'old'), 'new');
  expect(openCredentials(both)).toEqual({ brought: { client_id: 'theirs' }, dpopKey: 'new' });
  expect(withDpopKey(both, undefined)).toBe(both);
  expect(openCredentials(withDpopKey(null, 'new'))).toEqual({ brought: {}, dpopKey: 'new' });
  expect(withDpopKey(null, undefined)).toBeNull();
});
