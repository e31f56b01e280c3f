// The pace of a caller: how long an API is kept waiting for it. One that takes or sends a byte now and then would keep its call,
// and its place in the limits of the API, for as long as it likes.
import { UPSTREAM_IDLE_TIMEOUT_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';

export interface PaceLimits {
  /** How long it is waited for, as long as it moves nothing. */
  graceMs: number;
  /** While it is waited for, averaged over `graceMs`. 0: any byte is enough. Infinite: none is. */
  bytesPerS: number;
}

export interface CallerPace {
  /** From now on it is waited for. */
  wait(): void;
  /** It has moved so many bytes, and is waited for no more. */
  moved(bytes: number): void;
  /** Nothing more is to be moved. */
  end(): void;
}

/** Less than any network moves. */
export const CALLER_PACE: PaceLimits = { graceMs: UPSTREAM_IDLE_TIMEOUT_MS, bytesPerS: 10_000 };

/**
 * A bucket of waiting time, which is filled with what is moved. `tooSlow` is called when it is empty. One timer for all of a body,
 * which is never set for later than that, and looks again when it was too early.
 */
export function createCallerPace(
  { graceMs, bytesPerS }: PaceLimits,
  clock: Pick<Clock, 'monotonic'>,
  tooSlow: () => void,
): CallerPace {
  let leftMs = graceMs;
  let since: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  const look = () => {
    timer = undefined;
    if (since === undefined) return;
    const stillMs = leftMs - (clock.monotonic() - since);
    if (stillMs <= 0) tooSlow();
    else timer = setTimeout(look, stillMs);
  };
  return {
    wait() {
      since ??= clock.monotonic();
      timer ??= setTimeout(look, Math.max(0, leftMs));
    },
    moved(bytes) {
      if (since !== undefined) leftMs -= clock.monotonic() - since;
      since = undefined;
      if (bytes > 0) leftMs = Math.min(graceMs, leftMs + (bytes / bytesPerS) * 1_000);
      // The clock is ahead of the timer, where the machine has slept: the next wait is over at once.
      if (leftMs <= 0) stop();
    },
    end() {
      stop();
      since = undefined;
    },
  };
}
