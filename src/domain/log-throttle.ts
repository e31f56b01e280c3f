// Of what happens many times a second, one line each interval is in the log.

/**
 * Returns, for each time that it happens, how many were left out since the last line; undefined: this one is left out too.
 * `monotonic`: milliseconds of a clock that only goes forward.
 *
 * @example
 * const suppressed = throttle();
 * if (suppressed !== undefined) log.warn({ suppressed }, 'failed');
 */
export function createLogThrottle(monotonic: () => number, intervalMs: number): () => number | undefined {
  let silentUntil = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return () => {
    const now = monotonic();
    const before = suppressed;
    suppressed = now < silentUntil ? suppressed + 1 : 0;
    if (suppressed > 0) return undefined;
    silentUntil = now + intervalMs;
    return before;
  };
}
