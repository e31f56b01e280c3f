// ID tokens that must not be believed, in the code flow and in a refresh.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Target } from '../../../src/domain/target.ts';
import { type HostileProvider, startHostileProvider, tampered, unsigned } from '../../support/hostile-provider.ts';
import {
  type Adapter,
  begin,
  connect,
  faultOf,
  refresh,
  respond,
  startAdapter,
  targetOf,
  unwrap,
} from '../../support/oauth.ts';

let hostileProvider: HostileProvider;
let adapter: Adapter;
let target: Target;

beforeAll(async () => {
  hostileProvider = await startHostileProvider();
  adapter = startAdapter();
  target = targetOf('generic-oidc', { params: { issuer: hostileProvider.issuer } });
});
afterAll(async () => {
  await adapter.close();
  await hostileProvider.close();
});

const hour = 3600;
const soon = () => Math.floor(Date.now() / 1000);

describe('a code exchange', () => {
  async function exchange(by: Adapter = adapter) {
    const began = await begin(by.client, target);
    return by.client.exchange(target, await respond(began), began.expected);
  }

  test('believes an honest ID token', async () => {
    expect(unwrap(await exchange()).identity).toEqual({ issuer: hostileProvider.issuer, subject: 'johndoe' });
  });

  const claims: [string, object][] = [
    ['another nonce', { nonce: 'replayed' }],
    ['no nonce', { nonce: undefined }],
    ['another issuer', { iss: 'https://attacker.example' }],
    ['another audience', { aud: 'another-client' }],
    ['audiences beside ours, without azp', { aud: ['client', 'another-client'] }],
    ['another authorized party', { aud: ['client', 'another-client'], azp: 'another-client' }],
    ['an end that has passed', { exp: soon() - hour }],
    ['no subject', { sub: undefined }],
  ];
  test.each(claims)('refuses a well-signed ID token with %s', async (_, change) => {
    hostileProvider.nextToken(({ payload }) => Object.assign(payload, change));
    expect(faultOf(await exchange())).toMatchObject({
      kind: 'invalid',
      code: 'invalid_id_token',
      outcomeUnknown: false,
    });
  });

  test('refuses an unsigned ID token', async () => {
    hostileProvider.nextAnswer((body) => Object.assign(body, { id_token: unsigned(String(body.id_token)) }));
    expect(faultOf(await exchange())).toMatchObject({ kind: 'invalid', code: 'invalid_id_token' });
  });

  test('refuses changed claims under the old signature', async () => {
    hostileProvider.nextAnswer((body) =>
      Object.assign(body, { id_token: tampered(String(body.id_token), { sub: 'admin' }) }),
    );
    const fault = faultOf(await exchange());
    expect(fault).toMatchObject({
      kind: 'invalid',
      code: 'invalid_id_token',
      detail: expect.stringContaining('signature'),
    });
  });

  test.each([
    ['none', { id_token: undefined }],
    ['garbage', { id_token: 'garbage' }],
    ['a number', { id_token: 7 }],
    ['an encrypted one', { id_token: 'a.b.c.d.e' }],
  ])('refuses %s in place of an ID token', async (_, change) => {
    hostileProvider.nextAnswer((body) => Object.assign(body, change));
    expect(faultOf(await exchange())).toMatchObject({ kind: 'invalid', code: 'invalid_id_token' });
  });

  test('does not connect while the keys cannot be had, and says that it is for now', async () => {
    const keyless = startAdapter({ keys: async () => 'unavailable' });
    expect(faultOf(await exchange(keyless))).toMatchObject({ kind: 'transient', code: 'keys_unavailable' });
    await keyless.close();
  });

  test('takes a key that the issuer has just rotated in', async () => {
    unwrap(await exchange());
    await hostileProvider.server.issuer.keys.generate('RS256');
    // Keys take turns: with both of them, one of the two tokens is signed by the new one.
    unwrap(await exchange());
    unwrap(await exchange());
  });
});

describe('a refresh', () => {
  const identity = () => ({ issuer: hostileProvider.issuer, subject: 'johndoe' });
  const refreshed = (by: Adapter = adapter, known: { issuer: string; subject: string } | null = identity()) =>
    refresh(by.client, target, { refreshToken: 'a-refresh-token', identity: known });

  test('keeps a fine ID token', async () => {
    expect(unwrap(await refreshed())).toMatchObject({ idToken: expect.any(String), identity: identity() });
  });

  test('learns the identity where it was not known', async () => {
    expect(unwrap(await refreshed(adapter, null)).identity).toEqual(identity());
  });

  test.each([
    ['subject', { sub: 'somebody-else' }],
    ['issuer', { iss: 'https://attacker.example' }],
  ])('for another %s is a change of identity', async (_, change) => {
    hostileProvider.nextToken(({ payload }) => Object.assign(payload, change));
    expect(faultOf(await refreshed())).toMatchObject({
      kind: 'identity_changed',
      code: 'identity_changed',
      outcomeUnknown: false,
    });
  });

  test('for another subject is one even when the token cannot be validated', async () => {
    hostileProvider.nextAnswer((body) =>
      Object.assign(body, { id_token: unsigned(String(body.id_token), { sub: 'somebody-else' }) }),
    );
    expect(faultOf(await refreshed()).kind).toBe('identity_changed');
  });

  const worthless: [string, (body: Record<string, unknown>) => void][] = [
    ['unsigned', (body) => Object.assign(body, { id_token: unsigned(String(body.id_token)) })],
    [
      'of a broken signature',
      (body) => Object.assign(body, { id_token: tampered(String(body.id_token), { exp: soon() + 2 * hour }) }),
    ],
    ['garbage', (body) => Object.assign(body, { id_token: 'garbage' })],
    ['no string', (body) => Object.assign(body, { id_token: { sub: 'x' } })],
  ];
  test.each(worthless)('does not lose the grant over an ID token that is %s', async (_, change) => {
    hostileProvider.nextAnswer(change);
    const answer = unwrap(await refreshed());
    expect(answer).toMatchObject({ accessToken: expect.any(String), refreshToken: expect.any(String) });
    expect(answer).toMatchObject({ idToken: undefined, identity: undefined });
  });

  test.each([
    ['for another audience', { aud: 'another-client' }],
    ['for another authorized party', { azp: 'another-client' }],
    ['expired', { exp: soon() - hour }],
    ['without an end', { exp: undefined }],
    ['without a subject', { sub: undefined }],
  ])('nor over a well-signed one that is %s', async (_, change) => {
    hostileProvider.nextToken(({ payload }) => Object.assign(payload, change));
    expect(unwrap(await refreshed())).toMatchObject({ accessToken: expect.any(String), idToken: undefined });
  });

  test('does not lose the grant while the keys cannot be had', async () => {
    const keyless = startAdapter({ keys: async () => 'unavailable' });
    expect(unwrap(await refreshed(keyless))).toMatchObject({ accessToken: expect.any(String), idToken: undefined });
    await keyless.close();
  });
});

test('an issuer without revocation endpoint in its metadata cannot revoke', async () => {
  const bare = await startHostileProvider();
  bare.server.service.once('beforeWellKnownOpenIdConfiguration', ({ body }: { body: Record<string, unknown> }) => {
    delete body.revocation_endpoint;
  });
  const at = targetOf('generic-oidc', { params: { issuer: bare.issuer } });
  expect((await connect(adapter.client, at)).refreshToken).toEqual(expect.any(String));
  expect(unwrap(await adapter.client.revoke(at, { accessToken: 'a', refreshToken: 'r' }, {}))).toBe('unsupported');
  await bare.close();
});
