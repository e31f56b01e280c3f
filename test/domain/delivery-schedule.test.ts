// When deliveries are attempted again, and when endpoints are given up.
import { describe, expect, test } from 'vitest';
import { deliveryRetryIn, isGivenUp, MAX_DELIVERY_ATTEMPTS } from '../../src/domain/delivery-schedule.ts';
import { DAY_MS, DELIVERY_RETRIES_MS } from '../../src/domain/time-limits.ts';

const S = 1_000;
const M = 60 * S;
const H = 60 * M;
const retryIn = (attempts: number, random = 0.5, more: { isThrottled?: boolean; retryAfterMs?: number } = {}) =>
  deliveryRetryIn({ attempts, isThrottled: false, retryAfterMs: undefined, ...more }, random);

describe('the schedule of a delivery', () => {
  test('has ten attempts, then the delivery is dead', () => {
    const waits = [5 * S, 5 * M, 30 * M, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H, 24 * H];
    expect(DELIVERY_RETRIES_MS).toEqual(waits);
    expect(waits.map((_, i) => retryIn(i + 1))).toEqual(waits);
    expect(MAX_DELIVERY_ATTEMPTS).toBe(10);
    expect(retryIn(10)).toBeNull();
    expect(retryIn(11, 0, { retryAfterMs: 1 })).toBeNull();
  });

  test('is jittered by 20 percent, both ways', () => {
    expect(retryIn(2, 0)).toBe(4 * M);
    expect(retryIn(2, 0.999_999_9)).toBe(6 * M);
  });

  test('honours Retry-After up to a day, and no less than the schedule', () => {
    expect(retryIn(1, 0.5, { retryAfterMs: 10 * M })).toBe(10 * M);
    expect(retryIn(2, 0.5, { retryAfterMs: 1 * S })).toBe(5 * M);
    expect(retryIn(1, 0.5, { retryAfterMs: 90 * H })).toBe(24 * H);
  });

  test('leaves a throttling or slow endpoint alone for a minute at least', () => {
    expect(retryIn(1, 0.5, { isThrottled: true })).toBe(60 * S);
    expect(retryIn(2, 0.5, { isThrottled: true })).toBe(5 * M);
  });
});

test.each([
  ['its first failure', null, 30 * H, false],
  ['five days of failures, and one six hours ago', 5 * DAY_MS, 6 * H, true],
  ['not quite five days', 5 * DAY_MS - 1, 30 * H, false],
  ['a delivery that was not attempted before', 9 * DAY_MS, null, false],
  ['a delivery that failed before with the first failure', 9 * DAY_MS, 9 * DAY_MS, false],
  ['a delivery that failed before less than six hours after it', 9 * DAY_MS, 9 * DAY_MS - 6 * H + 1, false],
  ['a delivery that failed before six hours after it', 9 * DAY_MS, 9 * DAY_MS - 6 * H, true],
  ['a delivery that failed before less than six hours ago', 9 * DAY_MS, 6 * H - 1, false],
  ['a first failure that is still to come, by the clock', -6 * DAY_MS, 30 * H, false],
])('whether an endpoint is given up: %s', (_, failingFor, before, expected) => {
  const now = Date.UTC(2026, 0, 20);
  const ago = (ms: number | null) => (ms === null ? null : now - ms);
  expect(isGivenUp(ago(failingFor), ago(before), now)).toBe(expected);
});
