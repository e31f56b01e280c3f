// The serving cache: opened tokens by connection, and which connections an owner has. Bounded in entries and time.
//
// It may be read at any moment, also while a read from the store is under way that began before a change. So a change
// leaves a floor behind: what was read from an older generation is not taken in any more. Of what another process has
// changed, the generation does not tell everything: nothing is taken in whose reading began before the news of it.
import { LRUCache } from 'lru-cache';
import { type Connection, lifetime } from '../../domain/connection.ts';
import { CLOCK_SKEW_MAX_MS, INVALIDATION_TTL_MS, TOKEN_CACHE_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';

/** A connection and its token in plain text. */
export interface ServedToken {
  connection: Connection;
  accessToken: string;
  /** Until when it lives, in milliseconds of the monotonic clock: a wall clock that jumps does not change that. */
  until: number;
  /**
   * By our clock it was issued in the future: that was set back since, and nobody knows how old the token is. A newer one
   * is asked for; it is served only where none can be had.
   */
  ofUnknownAge: boolean;
}

/**
 * The token as this process will serve it. Never longer than it was issued for, whatever the wall clock says of a row
 * that another process, or an earlier one, has written.
 */
export function toServedToken(connection: Connection, accessToken: string, clock: Clock): ServedToken {
  const life = lifetime(connection);
  const left = life === null ? Number.POSITIVE_INFINITY : Math.min(life, connection.expiresAt! - clock.now());
  const ofUnknownAge = life !== null && connection.issuedAt - clock.now() > CLOCK_SKEW_MAX_MS;
  return { connection, accessToken, until: clock.monotonic() + left, ofUnknownAge };
}

/** What was known when a read from the store began. */
export type ReadTicket = number;

type Slot = { served: ServedToken } | { floor: number };

export type TokenCache = ReturnType<typeof createTokenCache>;

export function createTokenCache({ max = 50_000, ttlMs = TOKEN_CACHE_TTL_MS }: { max?: number; ttlMs?: number } = {}) {
  // Each entry counts as one. With `max` instead, there would be room for all of them from the start.
  const bounds = { maxSize: max, sizeCalculation: () => 1, ttl: ttlMs };
  const slots = new LRUCache<string, Slot>(bounds);
  /** Whose set a connection is in. */
  const listed = new Map<string, string>();
  const owners = new LRUCache<string, readonly Connection[]>({
    ...bounds,
    dispose: (connections) => {
      for (const { id } of connections) listed.delete(id);
    },
  });
  /** Counts what makes reads that are under way suspect: of the sets; of one token, when it was last told of; of all. */
  let changes = 0;
  const toldOf = new LRUCache<string, ReadTicket>({ ...bounds, ttl: INVALIDATION_TTL_MS });
  let toldOfAll = 0;

  const ownerKey = (integration: string, owner: string) => `${integration}\n${owner}`;
  const generationOf = (slot: Slot | undefined): number =>
    slot === undefined ? -1 : 'served' in slot ? slot.served.connection.generation : slot.floor;

  return {
    get(id: string): ServedToken | undefined {
      const slot = slots.get(id);
      return slot && 'served' in slot ? slot.served : undefined;
    },
    /** `ticket`: of when the row was read. */
    put(served: ServedToken, ticket: ReadTicket): void {
      const { id, generation } = served.connection;
      if (ticket < Math.max(toldOfAll, toldOf.get(id) ?? 0)) return;
      if (generation >= generationOf(slots.get(id))) slots.set(id, { served });
    },

    /** The live connections of an owner at an integration, when known. */
    ofOwner: (integration: string, owner: string): readonly Connection[] | undefined =>
      owners.get(ownerKey(integration, owner)),
    /** Taken before the store is asked. A set that is put with it counts only if no owner's has changed meanwhile. */
    ticket: (): ReadTicket => changes,
    putOwner(ticket: ReadTicket, integration: string, owner: string, connections: readonly Connection[]): void {
      if (ticket !== changes) return;
      const key = ownerKey(integration, owner);
      owners.set(key, connections);
      for (const { id } of connections) listed.set(id, key);
    },

    /** Drops the token; only one of at least this generation may be served from now on. */
    invalidate(connection: Pick<Connection, 'id' | 'integration' | 'owner'>, floor: number): void {
      slots.set(connection.id, { floor });
      this.invalidateOwner(connection);
    },
    invalidateOwner({ integration, owner }: Pick<Connection, 'integration' | 'owner'>): void {
      changes++;
      owners.delete(ownerKey(integration, owner));
    },
    /** Somebody else has changed it: its owner's set, and what is just being read, are not to be relied on. */
    invalidateOwnerOf(id: string): void {
      toldOf.set(id, ++changes);
      const key = listed.get(id);
      if (key !== undefined) owners.delete(key);
    },
    invalidateOwners(): void {
      changes++;
      owners.clear();
    },
    /** Nobody knows what has changed. The tokens that are held stay: they can be compared. */
    invalidateReads(): void {
      toldOfAll = ++changes;
      owners.clear();
    },
    /** Which tokens are held. */
    cachedIds: (): string[] => [...slots.entries()].flatMap(([id, slot]) => ('served' in slot ? [id] : [])),
  };
}
