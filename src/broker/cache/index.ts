// The cache room: tokens and callers in memory, and their invalidation by the change feed of the store.
import { setTimeout as pause } from 'node:timers/promises';
import type { CacheSize } from '../../domain/cache-bounds.ts';
import type { RateLimit } from '../../domain/caller.ts';
import { REPLICAS_WAIT_MS } from '../../domain/time-limits.ts';
import type { ChangeFeed, Clock, Logger, Store } from '../../ports/index.ts';
import { type CallerCache, createCallerCache } from './callers/caller-cache.ts';
import { type ChangeHandlers, startInvalidation } from './invalidation.ts';
import { createTokenCache, type TokenCache } from './token-cache.ts';

export type { CallerCache, WorkloadBinding } from './callers/caller-cache.ts';
export { type ReadTicket, type ServedToken, type TokenCache, toServedToken } from './token-cache.ts';

export interface Cache {
  tokens: TokenCache;
  callers: CallerCache;
  /** Starts invalidating by the change feed. Callers are in memory once it is fulfilled. Rejects with `StoreError`. */
  followChanges(handlers: ChangeHandlers): Promise<ChangeFeed>;
  /**
   * Waits until the other replicas have applied what was committed here, for `REPLICAS_WAIT_MS`; returns how many have not. If
   * that cannot be known, it is one. Never rejects: what was committed stays.
   */
  untilApplied(): Promise<number>;
  /** Stops following the change feed. */
  stop(): Promise<void>;
  /** For metrics: ms since the change feed was last read; 0 before it is followed. */
  changeFeedLagMs(): number;
}

interface Parts {
  store: Pick<
    Store,
    | 'callers'
    | 'storedKeys'
    | 'agentSessionsByDigest'
    | 'endedAgentSessions'
    | 'countSessionUse'
    | 'subscribe'
    | 'untilApplied'
    | 'connectionVersions'
    | 'traits'
  >;
  adminKey: string | undefined;
  /** For callers that have none of their own; null: none. */
  rateLimit: RateLimit | null;
  /** Of the token cache. */
  size: CacheSize;
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
}

export function createCache({ store, adminKey, rateLimit, size, clock, log }: Parts): Cache {
  const tokens = createTokenCache({ size, clock });
  const callers = createCallerCache({ store, adminKey, rateLimit, clock });
  let feed: ChangeFeed | undefined;
  return {
    tokens,
    callers,
    async followChanges(handlers) {
      feed = await startInvalidation({ ...handlers, store, tokenCache: tokens, callerCache: callers, log });
      return feed;
    },
    async untilApplied() {
      try {
        const behind = await Promise.race([
          store.untilApplied(REPLICAS_WAIT_MS),
          pause(2 * REPLICAS_WAIT_MS, 1, { ref: false }),
        ]);
        if (behind > 0) log.warn({ replicas: behind }, 'change feed: some replicas have not applied a change yet');
        return behind;
      } catch (error) {
        log.warn({ err: error }, 'change feed: whether the replicas have applied a change is not known');
        return 1;
      }
    },
    async stop() {
      await feed?.stop();
    },
    changeFeedLagMs: () => feed?.lagMs() ?? 0,
  };
}
