// The log of unexpected errors: every defect; of a store that is unavailable, one line a second.
import { STORE_ERROR_LOG_INTERVAL_MS } from '../../domain/time-limits.ts';
import { type Clock, type Logger, StoreError } from '../../ports/index.ts';

/** Logs an error that ended a request. */
export type LogFailure = (error: unknown, requestId: string) => void;

/** While the store is unavailable every request fails alike: `suppressed` is how many were not logged since the last line. */
export function createFailureLog(log: Logger, clock: Pick<Clock, 'monotonic'>): LogFailure {
  let silentUntil = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return (err, request_id) => {
    if (!(err instanceof StoreError)) return log.error({ err, request_id }, 'request failed: unexpected error');
    const now = clock.monotonic();
    if (now < silentUntil) return void suppressed++;
    log.error({ err, request_id, suppressed }, 'request failed: the store is unavailable');
    silentUntil = now + STORE_ERROR_LOG_INTERVAL_MS;
    suppressed = 0;
  };
}
