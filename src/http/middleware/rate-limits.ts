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
  /** Counts a request. Undefined: the caller has no limit. Counts are lost at a restart. */
  count(principal: Principal): Promise<RateLimitStatus | undefined>;
}

/** The window of a caller, with the request that was counted. */
export interface CountedRequests {
  requests: number;
  /** Ms until the window ends. */
  endsInMs: number;
}

export interface RequestCounts {
  /** Counts a request, also one beyond the limit. */
  add(callerId: string, limit: RateLimit): Promise<CountedRequests>;
}

/** In the memory of this process. */
export function createRequestCounts(): RequestCounts {
  const limiters = new Map<string, RateLimiterMemory>();

  function limiterOf({ requests, window }: RateLimit): RateLimiterMemory {
    const name = `${requests}/${window}`;
    const known = limiters.get(name) ?? new RateLimiterMemory({ points: requests, duration: window });
    limiters.set(name, known);
    return known;
  }

  return {
    async add(callerId, limit) {
      const { consumedPoints, msBeforeNext } = await limiterOf(limit)
        .consume(callerId)
        .catch((exceeded: unknown) => {
          if (exceeded instanceof RateLimiterRes) return exceeded;
          throw exceeded;
        });
      return { requests: consumedPoints, endsInMs: msBeforeNext };
    },
  };
}

export function createLimits(counts: RequestCounts = createRequestCounts()): Limits {
  return {
    async count({ caller, rateLimit: limit }) {
      if (!limit) return undefined;
      const { requests, endsInMs } = await counts.add(caller.id, limit);
      const resetIn = Math.max(1, Math.ceil(endsInMs / 1_000));
      return {
        exceeded: requests > limit.requests,
        resetIn,
        limit,
        headers: {
          'ratelimit-policy': `"caller";q=${limit.requests};w=${limit.window}`,
          ratelimit: `"caller";r=${Math.max(0, limit.requests - requests)};t=${resetIn}`,
        },
      };
    },
  };
}
