// The log of unexpected errors: every defect; of a store that is unavailable, one line a second.
import { createLogThrottle } from '../../domain/log-throttle.ts';
import { STORE_ERROR_LOG_INTERVAL_MS } from '../../domain/time-limits.ts';
import { type Clock, type Logger, StoreError } from '../../ports/index.ts';

/** Logs an error that ended a request. */
export type LogFailure = (error: unknown, requestId: string) => void;

/** While the store is unavailable every request fails alike: `suppressed` is how many were not logged since the last line. */
export function createFailureLog(log: Logger, clock: Pick<Clock, 'monotonic'>): LogFailure {
  const throttle = createLogThrottle(clock.monotonic, STORE_ERROR_LOG_INTERVAL_MS);
  return (err, request_id) => {
    if (!(err instanceof StoreError)) return log.error({ err, request_id }, 'request failed: unexpected error');
    const suppressed = throttle();
    if (suppressed !== undefined)
      log.error({ err, request_id, suppressed }, 'request failed: the store is unavailable');
  };
}
