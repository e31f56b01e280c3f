// How long a living process has held a lease, as this one has seen it: no clock is compared with anybody else's.
import { LRUCache } from 'lru-cache';
import { LEASE_MS } from '../../domain/time-limits.ts';

/** Leases watched at once; one that is forgotten is watched anew, and waited for longer. */
const MAX_WATCHED = 10_000;

export interface Patience {
  /** Whether this very claim, told by its fence, has been seen held for `LEASE_MS`. `monotonic`: now, of this process. */
  isOver(connectionId: string, fence: number, monotonic: number): boolean;
}

export function createPatience(): Patience {
  const watched = new LRUCache<string, { fence: number; since: number }>({ max: MAX_WATCHED });
  return {
    isOver(connectionId, fence, monotonic) {
      const seen = watched.get(connectionId);
      if (seen?.fence === fence) return monotonic - seen.since >= LEASE_MS;
      watched.set(connectionId, { fence, since: monotonic });
      return false;
    },
  };
}
