// Forged ID tokens, in the code flow and in a refresh.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Target } from '../../../src/domain/target.ts';
import {
  type HostileProvider,
  startHostileProvider,
  withAlgNone,
  withOtherClaims,
} from '../../support/hostile-provider.ts';
import {
  browseToResponse,
  connect,
  createTarget,
  expectFault,
  refreshTokens,
  startAuthorization,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';

let hostileProvider: HostileProvider;
let adapter: TestAdapter;
let target: Target;

beforeAll(async () => {
  hostileProvider = await startHostileProvider();
  adapter = startTestAdapter();
  target = createTarget('generic-oidc', { params: { issuer: hostileProvider.issuer } });
});
afterAll(async () => {
  await adapter.close();
  await hostileProvider.close();
});

const hour = 3600;
const soon = () => Math.floor(Date.now() / 1000);

describe('code exchange', () => {
  async function exchange(by: TestAdapter = adapter) {
    const began = await startAuthorization(by.client, target);
    return by.client.exchange(target, await browseToResponse(began), began.expected);
  }

  test('accepts a valid ID token', async () => {
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
  test.each(claims)('refuses a signed ID token with %s', async (_, change) => {
    hostileProvider.changeNextIdToken(({ payload }) => Object.assign(payload, change));
    expect(expectFault(await exchange())).toMatchObject({
      kind: 'invalid',
      code: 'invalid_id_token',
      outcomeUnknown: false,
    });
  });

  test('refuses an unsigned ID token', async () => {
    hostileProvider.changeNextTokenResponse((body) =>
      Object.assign(body, { id_token: withAlgNone(String(body.id_token)) }),
    );
    expect(expectFault(await exchange())).toMatchObject({ kind: 'invalid', code: 'invalid_id_token' });
  });

  test('refuses changed claims under the original signature', async () => {
    hostileProvider.changeNextTokenResponse((body) =>
      Object.assign(body, { id_token: withOtherClaims(String(body.id_token), { sub: 'admin' }) }),
    );
    const fault = expectFault(await exchange());
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
    hostileProvider.changeNextTokenResponse((body) => Object.assign(body, change));
    expect(expectFault(await exchange())).toMatchObject({ kind: 'invalid', code: 'invalid_id_token' });
  });

  test('is transient while the issuer’s keys cannot be fetched', async () => {
    const keyless = startTestAdapter({ verifySignature: async () => 'unavailable' });
    expect(expectFault(await exchange(keyless))).toMatchObject({ kind: 'transient', code: 'keys_unavailable' });
    await keyless.close();
  });

  test('accepts a key that the issuer has just rotated in', async () => {
    unwrap(await exchange());
    await hostileProvider.server.issuer.keys.generate('RS256');
    // Keys alternate: one of the two tokens is signed with the new key.
    unwrap(await exchange());
    unwrap(await exchange());
  });
});

describe('refresh', () => {
  const identity = () => ({ issuer: hostileProvider.issuer, subject: 'johndoe' });
  const refreshed = (by: TestAdapter = adapter, known: { issuer: string; subject: string } | null = identity()) =>
    refreshTokens(by.client, target, { refreshToken: 'a-refresh-token', identity: known });

  test('returns a valid ID token', async () => {
    expect(unwrap(await refreshed())).toMatchObject({ idToken: expect.any(String), identity: identity() });
  });

  test('returns the identity when it was unknown', async () => {
    expect(unwrap(await refreshed(adapter, null)).identity).toEqual(identity());
  });

  test.each([
    ['subject', { sub: 'somebody-else' }],
    ['issuer', { iss: 'https://attacker.example' }],
  ])('with another %s: identity_changed', async (_, change) => {
    hostileProvider.changeNextIdToken(({ payload }) => Object.assign(payload, change));
    expect(expectFault(await refreshed())).toMatchObject({
      kind: 'identity_changed',
      code: 'identity_changed',
      outcomeUnknown: false,
    });
  });

  test('with another subject in an invalid ID token: identity_changed', async () => {
    hostileProvider.changeNextTokenResponse((body) =>
      Object.assign(body, { id_token: withAlgNone(String(body.id_token), { sub: 'somebody-else' }) }),
    );
    expect(expectFault(await refreshed()).kind).toBe('identity_changed');
  });

  const worthless: [string, (body: Record<string, unknown>) => void][] = [
    ['unsigned', (body) => Object.assign(body, { id_token: withAlgNone(String(body.id_token)) })],
    [
      'of a broken signature',
      (body) => Object.assign(body, { id_token: withOtherClaims(String(body.id_token), { exp: soon() + 2 * hour }) }),
    ],
    ['garbage', (body) => Object.assign(body, { id_token: 'garbage' })],
    ['no string', (body) => Object.assign(body, { id_token: { sub: 'x' } })],
  ];
  test.each(worthless)('succeeds without the ID token when it is %s', async (_, change) => {
    hostileProvider.changeNextTokenResponse(change);
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
  ])('succeeds without the ID token when it is signed and %s', async (_, change) => {
    hostileProvider.changeNextIdToken(({ payload }) => Object.assign(payload, change));
    expect(unwrap(await refreshed())).toMatchObject({ accessToken: expect.any(String), idToken: undefined });
  });

  test('succeeds without the ID token while the issuer’s keys cannot be fetched', async () => {
    const keyless = startTestAdapter({ verifySignature: async () => 'unavailable' });
    expect(unwrap(await refreshed(keyless))).toMatchObject({ accessToken: expect.any(String), idToken: undefined });
    await keyless.close();
  });
});

test('revocation: unsupported without an endpoint in the metadata', async () => {
  const bare = await startHostileProvider();
  bare.server.service.once('beforeWellKnownOpenIdConfiguration', ({ body }: { body: Record<string, unknown> }) => {
    delete body.revocation_endpoint;
  });
  const at = createTarget('generic-oidc', { params: { issuer: bare.issuer } });
  expect((await connect(adapter.client, at)).refreshToken).toEqual(expect.any(String));
  expect(unwrap(await adapter.client.revoke(at, { accessToken: 'a', refreshToken: 'r' }, {}))).toBe('unsupported');
  await bare.close();
});
