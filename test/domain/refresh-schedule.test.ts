// Which secrets renew a connection, when it is due, and when its grant ends.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newConnection } from '../../src/broker/connections/received-grant/new-connection.ts';
import { AuthMode } from '../../src/domain/auth-modes-schema.ts';
import { type Credentials, refreshDueAt } from '../../src/domain/connection.ts';
import {
  grantEndsAt,
  idleMsOf,
  isRenewable,
  isTooYoung,
  nextRefreshAt,
  renewalSecrets,
} from '../../src/domain/refresh-schedule.ts';

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
const fixed = [{ mode: 'api_key' }, { mode: 'basic' }, { mode: 'aws_sigv4' }].map((auth) => AuthMode.parse(auth));

const nothing: Credentials = { accessToken: null, refreshToken: null, idToken: null, credentials: null };
const everything: Credentials = { accessToken: 'a', refreshToken: 'r', idToken: 'i', credentials: '{}' };

describe('renewal secrets', () => {
  test('the refresh token', () => {
    expect(renewalSecrets(code())).toEqual(['refreshToken']);
    expect(isRenewable(code(), { ...nothing, refreshToken: 'r' })).toBe(true);
    expect(isRenewable(code(), { ...everything, refreshToken: null })).toBe(false);
  });

  test('the access token where it renews itself', () => {
    const auth = code({ spends: 'access_token' });
    expect(isRenewable(auth, { ...nothing, accessToken: 'a' })).toBe(true);
    expect(isRenewable(auth, { ...everything, accessToken: null })).toBe(false);
  });

  test('none where the provider has no refresh', () => {
    expect(isRenewable(code({ supported: false }), everything)).toBe(false);
  });

  test.each(minted.map((auth) => [auth.mode, auth] as const))('the imported credentials in the mode %s', (_, auth) => {
    expect(isRenewable(auth, { ...nothing, credentials: '{}' })).toBe(true);
    expect(isRenewable(auth, { ...everything, credentials: null })).toBe(false);
  });

  test.each(fixed.map((auth) => [auth.mode, auth] as const))('none in the mode %s', (_, auth) => {
    expect(isRenewable(auth, everything)).toBe(false);
    expect(idleMsOf(auth, 60, 60_000)).toBeUndefined();
    expect(grantEndsAt(auth, undefined, NOW, null)).toBeNull();
  });
});

describe('idle lifetime', () => {
  test('as the provider says, else as the catalogue says, else none', () => {
    expect(idleMsOf(code({ idle_lifetime: 14 * DAY }), 30, 3_600_000)).toBe(30_000);
    expect(idleMsOf(code({ idle_lifetime: 14 * DAY }), undefined, 3_600_000)).toBe(14 * DAY * 1_000);
    expect(idleMsOf(code(), undefined, 3_600_000)).toBeUndefined();
  });

  test('none for minted tokens', () => {
    for (const auth of minted) expect(idleMsOf(auth, 30, 3_600_000)).toBeUndefined();
  });
});

describe('token that renews itself', () => {
  const auth = code({ spends: 'access_token', idle_lifetime: 90 * DAY });
  const ids = fc.string({ minLength: 1, maxLength: 30 }).map((id) => `con_${id}`);
  const lives = fc.integer({ min: 3_600, max: 365 * DAY });

  test('has its own life as idle lifetime, whatever the provider says', () => {
    expect(idleMsOf(auth, 7, 60 * DAY * 1_000)).toBe(60 * DAY * 1_000);
    expect(idleMsOf(auth, 7, null)).toBeUndefined();
  });

  test('is due after 60 to 80 % of its life', () => {
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

describe('minimum age of a token that is renewed', () => {
  const auth = code({ min_age: 3_600 });

  test('the next refresh is never due before it', () => {
    for (const lifeMs of [60_000, 3_600_000, 3_800_000])
      expect(nextRefreshAt('con_1', auth, NOW, NOW + lifeMs, undefined)).toBe(NOW + 3_600_000);
    expect(nextRefreshAt('con_1', auth, NOW, null, 60)).toBe(NOW + 3_600_000);
    expect(nextRefreshAt('con_1', code(), NOW, NOW + 60_000, undefined)).toBeLessThan(NOW + 60_000);
  });

  test('it does not delay a later refresh, nor schedule one where nothing expires', () => {
    const expiresAt = NOW + 86_400_000;
    expect(nextRefreshAt('con_1', auth, NOW, expiresAt, undefined)).toBe(refreshDueAt('con_1', NOW, expiresAt));
    expect(nextRefreshAt('con_1', auth, NOW, null, undefined)).toBeNull();
  });

  test.each([
    [0, true],
    [3_599_999, true],
    [3_600_000, false],
    [-1, false],
  ])('an age of %i ms is too young: %s', (ageMs, expected) => {
    expect(isTooYoung(auth, ageMs)).toBe(expected);
    expect(isTooYoung(code(), ageMs)).toBe(false);
    expect(isTooYoung(minted[0]!, ageMs)).toBe(false);
  });
});

describe('end of the grant', () => {
  const auth = code({ absolute_lifetime: 90 * DAY });

  test('as the provider says now, else as it said before, else as the catalogue says, else never', () => {
    expect(grantEndsAt(auth, 60, NOW, NOW + 5)).toBe(NOW + 60_000);
    expect(grantEndsAt(auth, undefined, NOW, NOW + 5)).toBe(NOW + 5);
    expect(grantEndsAt(auth, undefined, NOW, null)).toBe(NOW + 90 * DAY * 1_000);
    expect(grantEndsAt(code(), undefined, NOW, null)).toBeNull();
  });

  test('a refresh does not move it', () => {
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

describe('new connection', () => {
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
        credentials: { ...nothing, ...grant },
        tokenType: 'Bearer',
        scopes: [],
        expiresAt,
        idleIn: said.idleIn,
        endsIn: said.endsIn,
        captured: {},
        identity: null,
        account: null,
        replacesScopes: false,
      },
      NOW,
    );
  const hour = NOW + 3_600_000;

  test('is scheduled for a refresh if it is renewable', () => {
    expect(made(code(), { accessToken: 'a', refreshToken: 'r' }, hour).nextRefreshAt).toBeGreaterThan(NOW);
    expect(made(code(), { accessToken: 'a' }, hour).nextRefreshAt).toBeNull();
    expect(made(code({ supported: false }), { accessToken: 'a', refreshToken: 'r' }, hour).nextRefreshAt).toBeNull();
    expect(made(fixed[0]!, { accessToken: 'a' }, null).nextRefreshAt).toBeNull();
  });

  test('is not scheduled while it has credentials and no token: its first read mints one', () => {
    for (const auth of minted) expect(made(auth, { credentials: '{}' }, NOW).nextRefreshAt).toBeNull();
  });

  test('has the time at which the owner must connect again', () => {
    const auth = code({ absolute_lifetime: 90 * DAY });
    expect(made(auth, { refreshToken: 'r' }, hour).reauthDueAt).toBe(NOW + 90 * DAY * 1_000);
    expect(made(auth, { refreshToken: 'r' }, hour, { endsIn: 60 }).reauthDueAt).toBe(NOW + 60_000);
    expect(made(code(), { refreshToken: 'r' }, hour).reauthDueAt).toBeNull();
  });
});
