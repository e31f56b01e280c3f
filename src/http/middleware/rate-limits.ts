// Rate limits of callers: a fixed window for each, and the headers that say how much of it is left.
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Principal, RateLimit } from '../../domain/caller.ts';

export interface RateLimitStatus {
  exceeded: boolean;
  /** Seconds until the window ends. */
  resetIn: number;
  limit: RateLimit;
  /** draft-ietf-httpapi-ratelimit-headers. */
  headers: { 'ratelimit-policy': string; ratelimit: string };
}

export interface Limits {
  /** Counts a request. Undefined: the caller has no limit. Counts are of this process, and lost at a restart. */
  count(principal: Principal): Promise<RateLimitStatus | undefined>;
}

export function createLimits(): Limits {
  const limiters = new Map<string, RateLimiterMemory>();

  function limiterOf({ requests, window }: RateLimit): RateLimiterMemory {
    const name = `${requests}/${window}`;
    const known = limiters.get(name) ?? new RateLimiterMemory({ points: requests, duration: window });
    limiters.set(name, known);
    return known;
  }

  return {
    async count({ caller, rateLimit: limit }) {
      if (!limit) return undefined;
      const state = await limiterOf(limit)
        .consume(caller.id)
        .catch((exceeded: unknown) => {
          if (exceeded instanceof RateLimiterRes) return exceeded;
          throw exceeded;
        });
      const resetIn = Math.max(1, Math.ceil(state.msBeforeNext / 1_000));
      return {
        exceeded: state.consumedPoints > limit.requests,
        resetIn,
        limit,
        headers: {
          'ratelimit-policy': `"caller";q=${limit.requests};w=${limit.window}`,
          ratelimit: `"caller";r=${Math.max(0, state.remainingPoints)};t=${resetIn}`,
        },
      };
    },
  };
}
