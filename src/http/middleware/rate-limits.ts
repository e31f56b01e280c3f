// How often a caller may ask: a window of its own for each, and headers that tell how much of it is left.
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Principal, RateLimit } from '../../domain/caller.ts';

export interface Taken {
  exceeded: boolean;
  /** Seconds until the window ends. */
  resetIn: number;
  limit: RateLimit;
  /** The fields of draft-ietf-httpapi-ratelimit-headers. */
  headers: { 'ratelimit-policy': string; ratelimit: string };
}

export type Limits = ReturnType<typeof createLimits>;

/** Counted in this process, from the first request of a window on; forgotten at a restart. */
export function createLimits() {
  const limiters = new Map<string, RateLimiterMemory>();

  function limiterOf({ requests, window }: RateLimit): RateLimiterMemory {
    const name = `${requests}/${window}`;
    const known = limiters.get(name) ?? new RateLimiterMemory({ points: requests, duration: window });
    limiters.set(name, known);
    return known;
  }

  /** Counts a request. Undefined: the caller has no limit. */
  return async function take({ caller, rateLimit: limit }: Principal): Promise<Taken | undefined> {
    if (!limit) return undefined;
    const left = await limiterOf(limit)
      .consume(caller.id)
      .catch((exceeded: unknown) => {
        if (exceeded instanceof RateLimiterRes) return exceeded;
        throw exceeded;
      });
    const resetIn = Math.max(1, Math.ceil(left.msBeforeNext / 1_000));
    return {
      exceeded: left.consumedPoints > limit.requests,
      resetIn,
      limit,
      headers: {
        'ratelimit-policy': `"caller";q=${limit.requests};w=${limit.window}`,
        ratelimit: `"caller";r=${Math.max(0, left.remainingPoints)};t=${resetIn}`,
      },
    };
  };
}
