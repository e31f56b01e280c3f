// Reads that were noted and are not written yet. They come by the thousand, and most are of the caller of the one before: what
// they have in common is made once, and each is only what it does not have in common with the others.
import { LRUCache } from 'lru-cache';
import type { NotedRead, ReadsInCommon, ReadsOfCaller } from '../../../../domain/audit-reads.ts';
import { upTo } from '../../../../domain/cache-bounds.ts';

/** Reads of one caller, from one address, of one kind, at one integration. May be kept and used for as long as one likes. */
export interface ReadGroup {
  /** Adds to the count of the connection's read, if there is one since the last flush. `make` is called only for the first one. */
  note(connectionId: string, make: () => NotedRead): void;
}

export interface NotedReads {
  /** `make` is called only if the group is not known. */
  group(key: string, make: () => ReadsInCommon): ReadGroup;
  /** Returns all that was noted, and begins again. */
  take(): ReadsOfCaller[];
  /** Reads that were noted since then. */
  size(): number;
}

/** Groups that are kept for later reads: another one of the same key would only make smaller batches. */
const MAX_GROUPS = 1_000;

/** `onNoted` is called after each read that is not only counted. */
export function createNotedReads(onNoted: () => void): NotedReads {
  const groups = new LRUCache<string, ReadGroup>(upTo(MAX_GROUPS));
  /** What takes the reads of each group that has any. */
  const waiting = new Set<() => ReadsOfCaller>();
  let size = 0;

  function createGroup(common: ReadsInCommon): ReadGroup {
    let reads = new Map<string, NotedRead>();
    const take = () => {
      const taken = [...reads.values()];
      reads = new Map();
      return { common, reads: taken };
    };
    return {
      note(connectionId, make) {
        const first = reads.get(connectionId);
        if (first) {
          first.count++;
          return;
        }
        reads.set(connectionId, make());
        waiting.add(take);
        size++;
        onNoted();
      },
    };
  }

  return {
    group(key, make) {
      const known = groups.get(key);
      if (known) return known;
      const group = createGroup(make());
      groups.set(key, group);
      return group;
    },
    take() {
      const taken = Array.from(waiting, (take) => take());
      waiting.clear();
      size = 0;
      return taken;
    },
    size: () => size,
  };
}
