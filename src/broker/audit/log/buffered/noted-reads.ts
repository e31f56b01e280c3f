// Reads that were noted and are not written yet. They come by the thousand, and most are of the caller of the one before: what
// they have in common is made once.
import { LRUCache } from 'lru-cache';
import type { ReadsInCommon } from '../../../../domain/audit-reads.ts';
import { upTo } from '../../../../domain/cache-bounds.ts';
import { ReadColumns, type ReadRequest } from './read-columns.ts';

/** Reads of one caller, from one address, of one kind, at one integration. May be kept and used for as long as one likes. */
export interface ReadGroup {
  /** Adds to the count of the connection's read, if there is one since the last flush. `now` is called only for the first one. */
  note(connectionId: string, owner: string, request: ReadRequest, now: () => number): void;
}

export interface NotedReads {
  /** `make` is called only if the group is not known. */
  group(key: string, make: () => ReadsInCommon): ReadGroup;
  /** Returns all that was noted, and begins again. */
  take(): ReadColumns;
  /** Reads that were noted since then. */
  size(): number;
}

/** Groups that are kept for later reads: another one of the same key would only make smaller batches. */
const MAX_GROUPS = 1_000;

/** `onNoted` is called after each read that is not only counted. */
export function createNotedReads(onNoted: () => void): NotedReads {
  const groups = new LRUCache<string, ReadGroup>(upTo(MAX_GROUPS));
  let columns = new ReadColumns();
  /** Where the read of each connection is, in the groups that have any. */
  const noted = new Set<Map<string, number>>();

  function createGroup(common: ReadsInCommon): ReadGroup {
    const places = new Map<string, number>();
    return {
      note(connectionId, owner, request, now) {
        const known = places.get(connectionId);
        if (known !== undefined) {
          columns.repeat(known);
          return;
        }
        places.set(connectionId, columns.add(common, connectionId, owner, request, now()));
        noted.add(places);
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
      const taken = columns;
      columns = new ReadColumns();
      for (const places of noted) places.clear();
      noted.clear();
      return taken;
    },
    size: () => columns.size,
  };
}
