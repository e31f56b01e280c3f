// How long token endpoints take to answer. A request that takes no longer than the last one is slow, not lost: a second one
// beside it would reach an overloaded provider, which may read it when the reuse window is over. In memory, of this process.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import type { Clock, ProviderResult } from '../../../ports/index.ts';

export interface ResponseTimes {
  /** Runs the request, and notes how long it takes until tokens arrive. `endpoint`: origin and path of the token endpoint. */
  measure<T>(endpoint: string, request: () => Promise<ProviderResult<T>>): Promise<ProviderResult<T>>;
  /** Whether the last tokens of this endpoint took at least so long (milliseconds). False: it has not answered yet. */
  isSlowerThan(endpoint: string, ms: number): boolean;
}

const MAX_ENDPOINTS = 10_000;

export function createResponseTimes({ clock }: { clock: Pick<Clock, 'monotonic'> }): ResponseTimes {
  const last = new LRUCache<string, number>(upTo(MAX_ENDPOINTS));
  return {
    async measure(endpoint, request) {
      const begun = clock.monotonic();
      const answer = await request();
      if (answer.ok) last.set(endpoint, clock.monotonic() - begun);
      return answer;
    },
    isSlowerThan: (endpoint, ms) => (last.get(endpoint) ?? 0) >= ms,
  };
}
