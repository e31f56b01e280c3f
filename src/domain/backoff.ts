// When to try again: the arithmetic of waiting, without a clock or dice of its own. Milliseconds throughout.

/**
 * A lease may be taken over even from a process that lives by whoever has seen it held for so long: far longer than the
 * provider's deadline, so that a slow commit does not let two processes spend one refresh token.
 */
export const LEASE_MS = 5 * 60_000;

const BACKGROUND = { first: 30_000, most: 30 * 60_000 };
const URGENT = { first: 1_000, most: 30_000 };

/** Exponential backoff with full jitter, for work that nobody waits for. `random` is in [0, 1). */
export const backoff = (failures: number, random: number, { first, most } = BACKGROUND): number =>
  Math.round(random * Math.min(most, first * 2 ** Math.min(failures - 1, 20)));

/** How soon a read, for which somebody does wait, may try again after so many failures. */
export const urgentBackoff = (failures: number): number =>
  Math.min(URGENT.most, URGENT.first * 2 ** Math.min(Math.max(failures, 1) - 1, 20));

const BREAKER = { first: 2_000, most: 60_000 };

/** How long a circuit stays open, the n-th time in a row: at least half of an exponential pause, so that probes spread. */
export const breakerPause = (openings: number, random: number): number => {
  const most = Math.min(BREAKER.most, BREAKER.first * 2 ** Math.min(openings - 1, 20));
  return Math.round(most * (0.5 + random / 2));
};

/** How long a refresh waits for its answer: shorter than the reuse window, so that asking again still falls into it. */
export const REFRESH_DEADLINE_MS = 7_500;
/** For so long many providers answer a refresh token that was spent with the same successor again. */
const REUSE_WINDOW_MS = 10_000;
/** A lost answer is asked for again so long after its request, and so long before the window closes at the latest. */
const LOST_AGAIN_MS = 1_000;

/**
 * Whether what was lost may still be had by asking again. `since`: when the refresh token was first sent, or about to
 * be; it may have been spent as late as the deadline of that request.
 */
export const isInDoubt = (since: number, now: number): boolean =>
  now >= since && now < since + REFRESH_DEADLINE_MS + REUSE_WINDOW_MS;

/**
 * How long to wait before a lost answer is asked for again, `agoMs` after the last request for it. What the provider asks
 * to wait is kept to when it ends within the window; else it is cut short, once, to shortly before the window's end.
 */
export function lostBackoff(since: number, now: number, agoMs: number, askedMs: number): number {
  const room = since + REUSE_WINDOW_MS - LOST_AGAIN_MS - now;
  const asked = askedMs > room && room >= LOST_AGAIN_MS ? room : askedMs;
  return Math.max(0, LOST_AGAIN_MS - agoMs, asked);
}
