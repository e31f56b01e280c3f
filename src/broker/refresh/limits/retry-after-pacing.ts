// What providers ask to wait beyond what is honoured at a time. Until that has passed, each failure of the connection waits for as
// long as is honoured, also one that asks for nothing. Of this process, in memory: a restart asks the provider once more.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { RETRY_AFTER_MAX_MS } from '../../../domain/time-limits.ts';
import type { Clock, ProviderFault } from '../../../ports/index.ts';

export interface RetryAfterPacing {
  /** Notes the fault's `Retry-After`; how long to wait, in milliseconds, at most `RETRY_AFTER_MAX_MS`. */
  wait(connection: string, fault: Pick<ProviderFault, 'retryAfter'>): number;
  succeeded(connection: string): void;
}

const MAX_CONNECTIONS = 50_000;

export function createRetryAfterPacing({ clock }: { clock: Pick<Clock, 'monotonic'> }): RetryAfterPacing {
  /** By connection, until when (monotonic). */
  const paced = new LRUCache<string, number>(upTo(MAX_CONNECTIONS));
  return {
    wait(connection, { retryAfter = 0 }) {
      const now = clock.monotonic();
      const until = Math.max(paced.get(connection) ?? 0, now + retryAfter * 1_000);
      if (until > now + RETRY_AFTER_MAX_MS) paced.set(connection, until);
      return Math.min(until - now, RETRY_AFTER_MAX_MS);
    },
    succeeded: (connection) => void paced.delete(connection),
  };
}
