// When a delivery is attempted again, and when its endpoint is given up: pure arithmetic. All durations are milliseconds.
import {
  DELIVERY_RETRIES_MS,
  DELIVERY_RETRY_AFTER_MAX_MS,
  DELIVERY_THROTTLED_MS,
  ENDPOINT_FAILING_MAX_MS,
  ENDPOINT_FAILURES_APART_MS,
} from './time-limits.ts';

/** Of each wait, before and after. */
const JITTER = 0.2;

/** The first, and one after each wait. */
export const MAX_DELIVERY_ATTEMPTS = DELIVERY_RETRIES_MS.length + 1;

export interface FailedAttempt {
  /** How many attempts have been made, this one included. */
  attempts: number;
  /** The endpoint asked for less: it answered 429, or too slowly. */
  isThrottled: boolean;
  /** What its `Retry-After` asks for. */
  retryAfterMs: number | undefined;
}

/** How long to wait until the next attempt; null: there is none, and the delivery is dead. `random` is in [0, 1). */
export function deliveryRetryIn({ attempts, isThrottled, retryAfterMs }: FailedAttempt, random: number): number | null {
  const wait = DELIVERY_RETRIES_MS[Math.max(attempts, 1) - 1];
  if (wait === undefined) return null;
  const jittered = wait * (1 - JITTER + 2 * JITTER * random);
  const asked = Math.min(retryAfterMs ?? 0, DELIVERY_RETRY_AFTER_MAX_MS);
  return Math.round(Math.max(jittered, asked, isThrottled ? DELIVERY_THROTTLED_MS : 0));
}

/**
 * Whether an endpoint is to be disabled at this failure. `failingSince`: its first failure since its last success; null: this
 * is the first. `attemptedBefore`: when the delivery that fails was attempted the last time before; null: never.
 */
export const isGivenUp = (failingSince: number | null, attemptedBefore: number | null, now: number): boolean =>
  failingSince !== null &&
  attemptedBefore !== null &&
  now - failingSince >= ENDPOINT_FAILING_MAX_MS &&
  attemptedBefore - failingSince >= ENDPOINT_FAILURES_APART_MS &&
  now - attemptedBefore >= ENDPOINT_FAILURES_APART_MS;
