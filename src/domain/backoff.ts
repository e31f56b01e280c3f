// When to try again: pure arithmetic, without a clock or randomness of its own. All durations are milliseconds.
import {
  BACKGROUND_BACKOFF_FIRST_MS,
  BACKGROUND_BACKOFF_MAX_MS,
  CIRCUIT_BACKOFF_FIRST_MS,
  CIRCUIT_BACKOFF_MAX_MS,
  LOST_RESPONSE_RETRY_MS,
  READ_BACKOFF_FIRST_MS,
  READ_BACKOFF_MAX_MS,
  REUSE_WINDOW_MS,
  SLOW_REFRESH_MS,
} from './time-limits.ts';

/** `first` doubled with each time after the first, up to `max`. */
const exponential = (times: number, first: number, max: number): number =>
  Math.min(max, first * 2 ** Math.min(Math.max(times, 1) - 1, 20));

/** For work that no reader waits for: exponential backoff with full jitter. `random` is in [0, 1). */
export const backoff = (failures: number, random: number): number =>
  Math.round(random * exponential(failures, BACKGROUND_BACKOFF_FIRST_MS, BACKGROUND_BACKOFF_MAX_MS));

/** How soon a read may try again after this many failures: someone waits for it. */
export const readBackoff = (failures: number): number =>
  exponential(failures, READ_BACKOFF_FIRST_MS, READ_BACKOFF_MAX_MS);

/** How long a circuit breaker stays open, the n-th time in a row: jitter of half of the backoff spreads the probes. */
export const circuitBackoff = (openings: number, random: number): number =>
  Math.round(exponential(openings, CIRCUIT_BACKOFF_FIRST_MS, CIRCUIT_BACKOFF_MAX_MS) * (0.5 + random / 2));

/**
 * Whether a lost response may still be obtained by sending the refresh token again. `since`: when it was first sent, or
 * about to be (undefined: never); the provider may have spent it as late as such a request becomes slow.
 */
export const isInDoubt = (since: number | undefined, now: number): boolean =>
  since !== undefined && now >= since && now < since + SLOW_REFRESH_MS + REUSE_WINDOW_MS;

/**
 * A request was sent at `sentAt`, and its response was lost just now: since when it is in doubt. A slow request may have been
 * carried out a moment ago.
 */
export const inDoubtSince = (sentAt: number, now: number): number => Math.max(sentAt, now - SLOW_REFRESH_MS);

/**
 * How long an unanswered request is waited for before the same refresh token is sent once more beside it; undefined: never.
 * `reuseWindowMs`: how long the provider accepts a spent one; 0: not known to.
 */
export const secondRequestAfter = (reuseWindowMs: number, slowMs: number): number | undefined =>
  reuseWindowMs > 0 ? Math.min(slowMs, 0.75 * reuseWindowMs) : undefined;

/**
 * How long to wait before a lost response is requested again, `sinceLastMs` after the last request for it. A `Retry-After`
 * (`askedMs`) is honoured if it ends within the reuse window; otherwise it is cut short, once, to shortly before the end
 * of the window.
 */
export function lostResponseBackoff(since: number, now: number, sinceLastMs: number, askedMs: number): number {
  const left = since + REUSE_WINDOW_MS - LOST_RESPONSE_RETRY_MS - now;
  const asked = askedMs > left && left >= LOST_RESPONSE_RETRY_MS ? left : askedMs;
  return Math.max(0, LOST_RESPONSE_RETRY_MS - sinceLastMs, asked);
}
