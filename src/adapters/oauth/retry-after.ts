// Retry-After (RFC 9110 10.2.3) of a token endpoint: how long it asks to wait.
import { retryAfterMs } from '../../domain/retry-after.ts';
import { RETRY_AFTER_REMEMBERED_MAX_MS } from '../../domain/time-limits.ts';

const MAX_SECONDS = RETRY_AFTER_REMEMBERED_MAX_MS / 1_000;

/**
 * Whole seconds, at most `RETRY_AFTER_REMEMBERED_MAX_MS`; of several values, the longest. Undefined when it is absent or unreadable. A
 * date in the past asks for nothing: 0. `now` in milliseconds since the epoch.
 */
export function parseRetryAfter(value: string | null, now: number): number | undefined {
  const ms = retryAfterMs(value ?? '', now);
  return ms === undefined ? undefined : Math.min(Math.max(0, Math.ceil(ms / 1_000)), MAX_SECONDS);
}
