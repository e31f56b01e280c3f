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
  /** When it was last changed: by tickets, and in milliseconds. */
  ticket: ReadTicket;
  at: number;
}

/** `max`: connections that are remembered. `now`: milliseconds of a clock that only goes forward. */
export function createRecentInvalidations(max: number, now: () => number): RecentInvalidations {
  /** In the order of their last change. */
  const recent = new Map<string, Invalidation>();
  let changes = 0;
  /** Reads with a lower ticket began before a change that concerns all, or that was forgotten. */
  let admittedFrom: ReadTicket = 0;

  function set(
    id: string,
    change: (ticket: ReadTicket, before: Invalidation | undefined) => Partial<Invalidation>,
  ): void {
    const ticket = ++changes;
    const before = recent.get(id);
    const next = {
      minGeneration: -1,
      notedAt: 0,
      notedGeneration: -1,
      ...before,
      ...change(ticket, before),
      ticket,
      at: now(),
    };
    recent.delete(id);
    recent.set(id, next);
    for (const [oldest, { ticket: last, at }] of recent) {
      if (recent.size <= max && next.at - at <= INVALIDATION_TTL_MS) break;
      recent.delete(oldest);
      admittedFrom = last;
    }
  }

  return {
    ticket: () => changes,
    count() {
      changes++;
    },
    raise(id, minGeneration) {
      set(id, (_, before) => ({ minGeneration: Math.max(minGeneration, before?.minGeneration ?? -1) }));
    },
    note(id, generation) {
      set(id, (notedAt, before) => ({
        notedAt,
        notedGeneration: Math.max(generation, before?.notedGeneration ?? -1),
      }));
    },
    noteAll() {
      admittedFrom = ++changes;
    },
    admits(id, generation, ticket) {
      if (ticket < admittedFrom) return false;
      const known = recent.get(id);
      if (!known) return true;
      const isNewer = ticket >= known.notedAt || generation > known.notedGeneration;
      return isNewer && generation >= known.minGeneration;
    },
  };
}
