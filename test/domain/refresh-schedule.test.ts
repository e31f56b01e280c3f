// What renews a grant, when it is due, and when it ends.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newConnection } from '../../src/broker/connections/new-connection.ts';
import { AuthMode } from '../../src/domain/auth-modes.ts';
import { type Credentials, refreshDueAt } from '../../src/domain/connection.ts';
import { grantEndsAt, idleMsOf, isRenewable, renewalSecrets } from '../../src/domain/refresh-schedule.ts';

const NOW = 1_800_000_000_000;
const DAY = 86_400;

const code = (refresh: object = {}) =>
  AuthMode.parse({
    mode: 'oauth2_code',
    authorization_url: 'https://acme.test/a',
    token_url: 'https://acme.test/t',
    refresh,
  });
const minted = [
  { mode: 'oauth2_client_credentials', token_url: 'https://acme.test/t' },
  { mode: 'jwt_bearer', token_url: 'https://acme.test/t' },
  { mode: 'self_signed_jwt' },
  { mode: 'aws_sts_assume_role', token_url: 'https://sts.acme.test/', region: 'eu' },
].map((auth) => AuthMode.parse(auth));
const still = [{ mode: 'api_key' }, { mode: 'basic' }, { mode: 'aws_sigv4' }].map((auth) => AuthMode.parse(auth));

const nothing: Credentials = { accessToken: null, refreshToken: null, idToken: null, credentials: null };
const everything: Credentials = { accessToken: 'a', refreshToken: 'r', idToken: 'i', credentials: '{}' };

describe('a grant is renewed', () => {
  test('by its refresh token', () => {
    expect(renewalSecrets(code())).toEqual(['refreshToken']);
    expect(isRenewable(code(), { ...nothing, refreshToken: 'r' })).toBe(true);
    expect(isRenewable(code(), { ...everything, refreshToken: null })).toBe(false);
  });

  test('by the access token where that renews itself', () => {
    const auth = code({ spends: 'access_token' });
    expect(isRenewable(auth, { ...nothing, accessToken: 'a' })).toBe(true);
    expect(isRenewable(auth, { ...everything, accessToken: null })).toBe(false);
  });

  test('not where the system has no refreshing, whatever there is', () => {
    expect(isRenewable(code({ supported: false }), everything)).toBe(false);
  });

  test.each(minted.map((auth) => [auth.mode, auth] as const))('by what was imported, in the mode %s', (_, auth) => {
    expect(isRenewable(auth, { ...nothing, credentials: '{}' })).toBe(true);
    expect(isRenewable(auth, { ...everything, credentials: null })).toBe(false);
  });

  test.each(still.map((auth) => [auth.mode, auth] as const))('never in the mode %s', (_, auth) => {
    expect(isRenewable(auth, everything)).toBe(false);
    expect(idleMsOf(auth, 60, 60_000)).toBeUndefined();
    expect(grantEndsAt(auth, undefined, NOW, null)).toBeNull();
  });
});

describe('a grant that dies of idleness', () => {
  test('lives for as long as the provider says, else as the catalogue says, else for good', () => {
    expect(idleMsOf(code({ idle_lifetime: 14 * DAY }), 30, 3_600_000)).toBe(30_000);
    expect(idleMsOf(code({ idle_lifetime: 14 * DAY }), undefined, 3_600_000)).toBe(14 * DAY * 1_000);
    expect(idleMsOf(code(), undefined, 3_600_000)).toBeUndefined();
  });

  test('is a matter of the owner’s consent alone: made tokens have none', () => {
    for (const auth of minted) expect(idleMsOf(auth, 30, 3_600_000)).toBeUndefined();
  });
});

describe('a token that renews itself', () => {
  const auth = code({ spends: 'access_token', idle_lifetime: 90 * DAY });
  const ids = fc.string({ minLength: 1, maxLength: 30 }).map((id) => `con_${id}`);
  const lives = fc.integer({ min: 3_600, max: 365 * DAY });

  test('may be left alone for its own life and no longer, whatever else is said', () => {
    expect(idleMsOf(auth, 7, 60 * DAY * 1_000)).toBe(60 * DAY * 1_000);
    expect(idleMsOf(auth, 7, null)).toBeUndefined();
  });

  test('is due when seven tenths of its life have passed, give or take one', () => {
    fc.assert(
      fc.property(ids, lives, (id, seconds) => {
        const life = seconds * 1_000;
        const share = (refreshDueAt(id, NOW, NOW + life, idleMsOf(auth, undefined, life))! - NOW) / life;
        expect(share).toBeGreaterThanOrEqual(0.6 - 1e-6);
        expect(share).toBeLessThanOrEqual(0.8 + 1e-6);
      }),
    );
  });
});

describe('a grant ends', () => {
  const auth = code({ absolute_lifetime: 90 * DAY });

  test('when the provider says now, else when it said before, else as the catalogue says, else never', () => {
    expect(grantEndsAt(auth, 60, NOW, NOW + 5)).toBe(NOW + 60_000);
    expect(grantEndsAt(auth, undefined, NOW, NOW + 5)).toBe(NOW + 5);
    expect(grantEndsAt(auth, undefined, NOW, null)).toBe(NOW + 90 * DAY * 1_000);
    expect(grantEndsAt(code(), undefined, NOW, null)).toBeNull();
  });

  test('no later for being refreshed', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: DAY }), { maxLength: 20 }), (waits) => {
        const first = grantEndsAt(auth, undefined, NOW, null);
        let [now, end] = [NOW, first];
        for (const wait of waits) {
          now += wait * 1_000;
          end = grantEndsAt(auth, undefined, now, end);
        }
        expect(end).toBe(first);
      }),
    );
  });
});

describe('a connection that was just made', () => {
  const place = { integration: 'acme', owner: 'ada', label: '', params: {}, metadata: {} };
  const made = (
    auth: AuthMode,
    grant: Partial<Credentials>,
    expiresAt: number | null,
    said: { idleIn?: number; endsIn?: number } = {},
  ) =>
    newConnection(
      'con_1',
      place,
      auth,
      {
        grant: { ...nothing, ...grant },
        tokenType: 'Bearer',
        scopes: [],
        expiresAt,
        idleIn: said.idleIn,
        endsIn: said.endsIn,
        captured: {},
        identity: null,
      },
      NOW,
    );
  const hour = NOW + 3_600_000;

  test('is renewed ahead of time where it can be', () => {
    expect(made(code(), { accessToken: 'a', refreshToken: 'r' }, hour).nextRefreshAt).toBeGreaterThan(NOW);
    expect(made(code(), { accessToken: 'a' }, hour).nextRefreshAt).toBeNull();
    expect(made(code({ supported: false }), { accessToken: 'a', refreshToken: 'r' }, hour).nextRefreshAt).toBeNull();
    expect(made(still[0]!, { accessToken: 'a' }, null).nextRefreshAt).toBeNull();
  });

  test('waits for its first read where it has credentials and no token', () => {
    for (const auth of minted) expect(made(auth, { credentials: '{}' }, NOW).nextRefreshAt).toBeNull();
  });

  test('tells when the owner is to be asked again', () => {
    const auth = code({ absolute_lifetime: 90 * DAY });
    expect(made(auth, { refreshToken: 'r' }, hour).reauthDueAt).toBe(NOW + 90 * DAY * 1_000);
    expect(made(auth, { refreshToken: 'r' }, hour, { endsIn: 60 }).reauthDueAt).toBe(NOW + 60_000);
    expect(made(code(), { refreshToken: 'r' }, hour).reauthDueAt).toBeNull();
  });
});
