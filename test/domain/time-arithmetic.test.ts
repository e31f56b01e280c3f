// The arithmetic of a token's life, of back-offs and of lost responses.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toServedToken } from '../../src/broker/cache/token-cache.ts';
import {
  backoff,
  circuitBackoff,
  inDoubtSince,
  isInDoubt,
  lostResponseBackoff,
  readBackoff,
  secondRequestAfter,
} from '../../src/domain/backoff.ts';
import { refreshDueAt, requiredTtlMs } from '../../src/domain/connection.ts';
import type { Clock } from '../../src/ports/index.ts';
import { aConnection, NOW } from '../stores/builders.ts';

const ids = fc.string({ minLength: 1, maxLength: 30 }).map((text) => `con_${text}`);

describe('next refresh', () => {
  test('is due five minutes ± 10 % before expiry', () => {
    fc.assert(
      fc.property(ids, fc.integer({ min: 600, max: 1e6 }), (id, seconds) => {
        const lead = NOW + seconds * 1000 - refreshDueAt(id, NOW, NOW + seconds * 1000)!;
        expect(lead).toBeGreaterThanOrEqual(270_000 - 1);
        expect(lead).toBeLessThanOrEqual(330_000 + 1);
      }),
    );
  });

  test('of a short-lived token is due at about half of its life', () => {
    fc.assert(
      fc.property(ids, fc.integer({ min: 1, max: 600 }), (id, seconds) => {
        const share = (refreshDueAt(id, NOW, NOW + seconds * 1000)! - NOW) / (seconds * 1000);
        expect(share).toBeGreaterThanOrEqual(0.44);
        expect(share).toBeLessThanOrEqual(0.56);
      }),
    );
  });

  test('is fixed for each connection, and spread over many', () => {
    const dues = Array.from({ length: 500 }, (_, i) => refreshDueAt(`con_${i}`, NOW, NOW + 3_600_000)!);
    expect(refreshDueAt('con_7', NOW, NOW + 3_600_000)).toBe(dues[7]);
    expect(Math.max(...dues) - Math.min(...dues)).toBeGreaterThan(50_000);
    expect(new Set(dues).size).toBeGreaterThan(450);
  });

  test('of an idle grant is due well before it dies, even if the token never expires', () => {
    const idle = 180 * 86_400_000;
    fc.assert(
      fc.property(ids, (id) => {
        const due = refreshDueAt(id, NOW, null, idle)! - NOW;
        expect(due).toBeGreaterThan(idle * 0.59);
        expect(due).toBeLessThan(idle * 0.81);
      }),
    );
    expect(refreshDueAt('con_1', NOW, NOW + 3_600_000, idle)).toBe(refreshDueAt('con_1', NOW, NOW + 3_600_000));
  });

  test('never comes if nothing expires', () => {
    expect(refreshDueAt('con_1', NOW, null)).toBeNull();
  });
});

describe('required life of a read', () => {
  const issuedFor = (seconds: number) => ({ issuedAt: NOW, expiresAt: NOW + seconds * 1000 });
  test.each([
    [3600, undefined, 60_000],
    [5, undefined, 2_500],
    [3600, 3000, 3_000_000],
    [3600, 3600, 1_800_000],
    [3600, 99_999, 1_800_000],
    [3600, 0, 0],
  ])('of a token of %i s, with min_ttl %s, is %i ms', (life, minTtl, expected) => {
    expect(requiredTtlMs(issuedFor(life), minTtl === undefined ? undefined : minTtl * 1000)).toBe(expected);
  });

  test('of a token that does not expire is nothing', () => {
    expect(requiredTtlMs({ issuedAt: NOW, expiresAt: null }, 3_600_000)).toBe(0);
  });
});

describe('clock that jumps', () => {
  const clockAt = (now: number, monotonic: number): Clock => ({ now: () => now, monotonic: () => monotonic });
  const connection = aConnection({ issuedAt: NOW, expiresAt: NOW + 60_000 });

  test('back: no token lives longer than it was issued for', () => {
    expect(toServedToken(connection, 'token', clockAt(NOW - 3_600_000, 500)).until).toBe(500 + 60_000);
  });

  test.each([
    [-3_600_000, true],
    [-10_001, true],
    [-10_000, false],
    [0, false],
    [3_600_000, false],
  ])('by %i ms: a token issued just before is of unknown age: %s', (ms, expected) => {
    expect(toServedToken(connection, 'token', clockAt(NOW + ms, 500)).ofUnknownAge).toBe(expected);
    expect(toServedToken({ ...connection, expiresAt: null }, 'token', clockAt(NOW + ms, 500)).ofUnknownAge).toBe(false);
  });

  test('forward: a token read from the store looks expired, one in memory is unchanged', () => {
    const served = toServedToken(connection, 'token', clockAt(NOW, 500));
    expect(served.until).toBe(60_500);
    expect(toServedToken(connection, 'token', clockAt(NOW + 3_600_000, 501)).until).toBeLessThan(501);
  });
});

describe('back-off', () => {
  test('of background work grows to half an hour, with full jitter', () => {
    expect(backoff(1, 0)).toBe(0);
    expect(backoff(1, 0.999999)).toBeCloseTo(30_000, -2);
    expect(backoff(4, 0.5)).toBe(120_000);
    expect(backoff(1000, 0.999999)).toBeCloseTo(1_800_000, -2);
  });
  test('of reads grows from a second to half a minute', () => {
    expect([1, 2, 3, 6, 500].map(readBackoff)).toEqual([1_000, 2_000, 4_000, 30_000, 30_000]);
  });
  test('of an open circuit grows to a minute, with jitter of half of it', () => {
    expect([circuitBackoff(1, 0), circuitBackoff(1, 1), circuitBackoff(3, 0), circuitBackoff(99, 1)]).toEqual([
      1_000, 2_000, 4_000, 60_000,
    ]);
  });
});

describe('lost response', () => {
  test.each([
    [-1, false],
    [0, true],
    [19_999, true],
    [20_000, false],
  ])('%i ms after its request it is in doubt: %s', (ms, expected) => {
    expect(isInDoubt(NOW, NOW + ms)).toBe(expected);
  });

  test('is in doubt since its request was sent, or since ten seconds ago if that was slow', () => {
    expect(inDoubtSince(NOW - 5_000, NOW)).toBe(NOW - 5_000);
    expect(inDoubtSince(NOW - 120_000, NOW)).toBe(NOW - 10_000);
  });

  test.each([
    ['at once if the request took a second or more', 7_500, 7_500, 0, 0],
    ['a second after a shorter request', 200, 200, 0, 800],
    ['after Retry-After if that ends within the window', 2_000, 100, 5_000, 5_000],
    ['shortly before the window ends if Retry-After is longer', 2_000, 100, 60_000, 7_000],
    ['after Retry-After once that was cut short', 9_000, 100, 60_000, 60_000],
    ['a second later after further losses', 9_000, 0, 0, 1_000],
  ])('is requested again %s', (_, age, ago, asked, expected) => {
    expect(lostResponseBackoff(NOW, NOW + age, ago, asked)).toBe(expected);
  });
});

test.each([
  ['never without a known reuse window', 0, undefined],
  ['within the window', 8_000, 6_000],
  ['once the first request is slow', 86_400_000, 10_000],
  ['once the first request is slow, where no refresh token is ever spent', Number.POSITIVE_INFINITY, 10_000],
])('slow response: a second request is sent %s', (_, windowMs, expected) => {
  expect(secondRequestAfter(windowMs, 10_000)).toBe(expected);
});
