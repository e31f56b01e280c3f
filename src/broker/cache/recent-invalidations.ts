// Recent invalidations: which rows may still be cached, though they were read while the store changed. What is forgotten, for
// its age or for want of room, counts against every read that began before it: forgetting never lets an old row in.
import { INVALIDATION_TTL_MS } from '../../domain/time-limits.ts';

/** How many changes were known when a read from the store began. */
export type ReadTicket = number;

export interface RecentInvalidations {
  /** To be taken before the store is read. */
  ticket(): ReadTicket;
  /** Something has changed that concerns no row of a token. */
  count(): void;
  /** From now on, only rows of at least this generation are admitted. A lower one than before changes nothing. */
  raise(id: string, minGeneration: number): void;
  /**
   * The connection has changed, it is not known how, when it was of this generation: rows up to it that were read before are not
   * admitted. One of a later generation is of a later commit.
   */
  note(id: string, generation: number): void;
  /** Any connection may have changed: the same for all of them. */
  noteAll(): void;
  /** Whether a row of this generation, read with this ticket, may be cached. */
  admits(id: string, generation: number, ticket: ReadTicket): boolean;
}

interface Invalidation {
  minGeneration: number;
  /** Reads with a lower ticket began before the last notification, which was of this generation or of a lower one. */
  notedAt: ReadTicket;
  notedGeneration: number;
}

const NONE: Invalidation = { minGeneration: -1, notedAt: 0, notedGeneration: -1 };

/** `max`: connections that are remembered, up to twice as many. `now`: milliseconds of a clock that only goes forward. */
export function createRecentInvalidations(max: number, now: () => number): RecentInvalidations {
  // Forgotten all together: a map whose oldest entries were deleted one by one takes long to find the oldest that is left.
  let recent = new Map<string, Invalidation>();
  let recentSince = now();
  let older = recent;
  /** The last change that `older` knows of. */
  let olderUpTo: ReadTicket = 0;
  let changes = 0;
  /** Reads with a lower ticket began before a change that concerns all, or that was forgotten. */
  let admittedFrom: ReadTicket = 0;

  const of = (id: string): Invalidation => recent.get(id) ?? older.get(id) ?? NONE;

  function forgetOlder(): void {
    admittedFrom = Math.max(admittedFrom, olderUpTo);
    older = recent;
    olderUpTo = changes;
    recent = new Map();
    recentSince = now();
  }

  function set(id: string, invalidation: Invalidation): void {
    if (recent.size >= max || now() - recentSince > INVALIDATION_TTL_MS) forgetOlder();
    recent.set(id, invalidation);
  }

  return {
    ticket: () => changes,
    count() {
      changes++;
    },
    raise(id, minGeneration) {
      changes++;
      const before = of(id);
      set(id, { ...before, minGeneration: Math.max(minGeneration, before.minGeneration) });
    },
    note(id, generation) {
      const notedAt = ++changes;
      const before = of(id);
      set(id, { ...before, notedAt, notedGeneration: Math.max(generation, before.notedGeneration) });
    },
    noteAll() {
      admittedFrom = ++changes;
    },
    admits(id, generation, ticket) {
      if (ticket < admittedFrom) return false;
      const { minGeneration, notedAt, notedGeneration } = of(id);
      const isNewer = ticket >= notedAt || generation > notedGeneration;
      return isNewer && generation >= minGeneration;
    },
  };
}
