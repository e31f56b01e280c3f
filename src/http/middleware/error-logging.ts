// Requests that failed for no fault of the caller's, in the log: each defect; and of a store that is away, which fails all of
// them alike, one line a second.

import { STORE_ERROR_LOG_INTERVAL_MS } from '../../domain/time-limits.ts';
import { type Clock, type Logger, StoreError } from '../../ports/index.ts';

export type Failed = (error: Error, requestId: string) => void;

export function createFailed(log: Logger, clock: Pick<Clock, 'monotonic'>): Failed {
  let silentUntil = Number.NEGATIVE_INFINITY;
  let unsaid = 0;
  return (err, request_id) => {
    if (!(err instanceof StoreError)) return log.error({ err, request_id }, 'request failed');
    const now = clock.monotonic();
    if (now < silentUntil) return void unsaid++;
    log.error({ err, request_id, like_it: unsaid }, 'request failed: the store');
    silentUntil = now + STORE_ERROR_LOG_INTERVAL_MS;
    unsaid = 0;
  };
}
