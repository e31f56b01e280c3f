// The cache room: tokens and callers in memory, and their invalidation by the change feed of the store.
import type { RateLimit } from '../../domain/caller.ts';
import type { ChangeFeed, Logger, Store } from '../../ports/index.ts';
import { type CallerCache, createCallerCache } from './caller-cache.ts';
import { type ChangeHandlers, startInvalidation } from './invalidation.ts';
import { createTokenCache, type TokenCache } from './token-cache.ts';

export type { CallerCache } from './caller-cache.ts';
export { type ReadTicket, type ServedToken, type TokenCache, toServedToken } from './token-cache.ts';

export interface Cache {
  tokens: TokenCache;
  callers: CallerCache;
  /** Starts invalidating by the change feed. Callers are in memory once it is fulfilled. Rejects with `StoreError`. */
  followChanges(handlers: ChangeHandlers): Promise<ChangeFeed>;
  /** Stops following the change feed. */
  stop(): Promise<void>;
  /** For metrics: ms since the change feed was last read; 0 before it is followed. */
  changeFeedLagMs(): number;
}

interface Parts {
  store: Pick<Store, 'callers' | 'subscribe' | 'connectionVersions'>;
  adminKey: string | undefined;
  /** For callers that have none of their own; null: none. */
  rateLimit: RateLimit | null;
  log: Logger;
}

export function createCache({ store, adminKey, rateLimit, log }: Parts): Cache {
  const tokens = createTokenCache();
  const callers = createCallerCache({ store, adminKey, rateLimit });
  let feed: ChangeFeed | undefined;
  return {
    tokens,
    callers,
    async followChanges(handlers) {
      feed = await startInvalidation({ ...handlers, store, tokenCache: tokens, callerCache: callers, log });
      return feed;
    },
    async stop() {
      await feed?.stop();
    },
    changeFeedLagMs: () => feed?.lagMs() ?? 0,
  };
}
