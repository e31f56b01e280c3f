// The serving cache: opened tokens by connection, and which connections an owner has. Bounded in entries and time.
//
// It may be read at any moment, also while a read from the store is under way that began before a change. So a change
// leaves a floor behind: what was read from an older generation is not taken in any more.
import { LRUCache } from 'lru-cache';
import { type Connection, lifetime } from '../domain/connection.ts';
import type { Clock } from '../ports.ts';

/** A connection and its token in plain text. */
export interface Served {
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

/** So much may the clocks of replicas differ, or one be corrected, without a sign that one was set back. */
const CLOCKS_DIFFER_MS = 10_000;

/**
 * The token as this process will serve it. Never longer than it was issued for, whatever the wall clock says of a row
 * that another process, or an earlier one, has written.
 */
export function serve(connection: Connection, accessToken: string, clock: Clock): Served {
  const life = lifetime(connection);
  const left = life === null ? Number.POSITIVE_INFINITY : Math.min(life, connection.expiresAt! - clock.now());
  const ofUnknownAge = life !== null && connection.issuedAt - clock.now() > CLOCKS_DIFFER_MS;
  return { connection, accessToken, until: clock.monotonic() + left, ofUnknownAge };
}

/** Reads from the store during which more than this changes elsewhere are not to be expected. */
const HEARD_AT_MOST = 10_000;

/** What had been heard of changes elsewhere when the store was asked. */
export type Ticket = number;

type Slot = { served: Served } | { floor: number };

export type Serving = ReturnType<typeof createServing>;

export function createServing({ max = 50_000, ttlMs = 10 * 60_000 }: { max?: number; ttlMs?: number } = {}) {
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
  let ownerChanges = 0;
  /** By connection, the number of its last change that others have made. */
  const heard = new LRUCache<string, Ticket>({ max: HEARD_AT_MOST });
  let changes = 0;
  let allChangedAt = 0;

  const ownerKey = (integration: string, owner: string) => `${integration}\n${owner}`;
  const generationOf = (slot: Slot | undefined): number =>
    slot === undefined ? -1 : 'served' in slot ? slot.served.connection.generation : slot.floor;

  return {
    get(id: string): Served | undefined {
      const slot = slots.get(id);
      return slot && 'served' in slot ? slot.served : undefined;
    },
    /** Taken before the store is asked. */
    ticket: (): Ticket => changes,
    /** Without effect when it was changed elsewhere after the ticket: what was read may be older than that. */
    put(served: Served, ticket: Ticket): void {
      const { id, generation } = served.connection;
      if (ticket < Math.max(heard.get(id) ?? 0, allChangedAt)) return;
      if (generation >= generationOf(slots.get(id))) slots.set(id, { served });
    },

    /** The live connections of an owner at an integration, when known. */
    ofOwner: (integration: string, owner: string): readonly Connection[] | undefined =>
      owners.get(ownerKey(integration, owner)),
    /** Taken before the store is asked; what is put with it counts only if no owner's set has changed meanwhile. */
    ownerTicket: (): number => ownerChanges,
    putOwner(ticket: number, integration: string, owner: string, connections: readonly Connection[]): void {
      if (ticket !== ownerChanges) return;
      const key = ownerKey(integration, owner);
      owners.set(key, connections);
      for (const { id } of connections) listed.set(id, key);
    },

    /** Drops the token; only one of at least this generation may be served from now on. */
    drop(connection: Pick<Connection, 'id' | 'integration' | 'owner'>, floor: number): void {
      slots.set(connection.id, { floor });
      this.dropOwner(connection);
    },
    dropOwner({ integration, owner }: Pick<Connection, 'integration' | 'owner'>): void {
      ownerChanges++;
      owners.delete(ownerKey(integration, owner));
    },
    /** Somebody has changed it: what is known of its owner's set is not to be relied on, nor what is being read of it. */
    changed(id: string): void {
      heard.set(id, ++changes);
      ownerChanges++;
      const key = listed.get(id);
      if (key !== undefined) owners.delete(key);
    },
    dropSets(): void {
      ownerChanges++;
      owners.clear();
    },
    /** Nobody knows what was changed. */
    allChanged(): void {
      allChangedAt = ++changes;
      this.dropSets();
    },
    /** Which tokens are held. */
    held: (): string[] => [...slots.entries()].flatMap(([id, slot]) => ('served' in slot ? [id] : [])),
  };
}
