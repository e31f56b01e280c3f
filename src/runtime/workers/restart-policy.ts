// When a worker that has ended is started again: at once if it had served for a while, later and later if it keeps ending.
import { WORKER_RESTART_MAX_MS, WORKER_RESTART_MS, WORKER_STABLE_MS } from '../../domain/time-limits.ts';

export interface RestartPolicy {
  /** `servedMs`: for how long the worker was ready. Returns how long to wait, in ms. */
  delayAfter(servedMs: number): number;
}

/** Of one worker and those that replace it. `firstMs`: the first pause. */
export function createRestartPolicy(firstMs: number = WORKER_RESTART_MS): RestartPolicy {
  /** Ends in a row that came soon. */
  let early = 0;
  return {
    delayAfter(servedMs) {
      if (servedMs >= WORKER_STABLE_MS) early = 0;
      else early++;
      return early === 0 ? 0 : Math.min(WORKER_RESTART_MAX_MS, firstMs * 2 ** (early - 1));
    },
  };
}
