// How long a live process has held a lease, as observed by this one, so that no two clocks are compared.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import { LEASE_MS } from '../../domain/time-limits.ts';

/** Leases that are observed at once. One that is evicted is observed from the start again, and so lasts longer. */
const MAX_OBSERVED = 10_000;

export interface LeaseObserver {
  /**
   * Whether this claim, identified by its fence, has been observed for `LEASE_MS`: then the lease has expired. The first
   * call starts the observation. `monotonic`: milliseconds, now, of this process.
   */
  hasExpired(connectionId: string, fence: number, monotonic: number): boolean;
  /** The fence of the claim of this connection that has expired by what was observed so far; null: none has. */
  expiredFence(connectionId: string, monotonic: number): number | null;
}

export function createLeaseObserver(): LeaseObserver {
  const observed = new LRUCache<string, { fence: number; since: number }>(upTo(MAX_OBSERVED));
  return {
    expiredFence(connectionId, monotonic) {
      const claim = observed.get(connectionId);
      return claim && monotonic - claim.since >= LEASE_MS ? claim.fence : null;
    },
    hasExpired(connectionId, fence, monotonic) {
      const claim = observed.get(connectionId);
      if (claim?.fence === fence) return monotonic - claim.since >= LEASE_MS;
      observed.set(connectionId, { fence, since: monotonic });
      return false;
    },
  };
}
