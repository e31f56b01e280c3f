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
