// The token cache: decrypted tokens by connection, and which connections an owner has. Bounded in entries and in time. When it is
// full, what is read from the store gets in the second time, in the place of what was used longest ago (cache-admission.ts).
//
// It changes while reads from the store are under way, whose rows may be older than the change. So an invalidation leaves the
// minimum generation behind: older rows are not cached any more. Of a change by another replica, the generation does not say
// everything: a row is not cached if its read began before the change notification arrived (recent-invalidations.ts). Nothing
// notifies a process of its own refreshes: the token itself keeps older rows out, and when it is evicted, its time does.
import { LRUCache } from 'lru-cache';
import { createAdmission } from '../../domain/cache-admission.ts';
import { type CacheSize, upTo } from '../../domain/cache-bounds.ts';
import { type Connection, lifetime } from '../../domain/connection.ts';
import { CLOCK_SKEW_MAX_MS, TOKEN_CACHE_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';
import { createRecentInvalidations, type ReadTicket } from './recent-invalidations.ts';

export type { ReadTicket } from './recent-invalidations.ts';

/** A connection and its token in plain text. */
export interface ServedToken {
  connection: Connection;
  accessToken: string;
  /** When it expires, in milliseconds of the monotonic clock: a wall clock that jumps does not change that. */
  until: number;
  /**
   * By our clock it was issued in the future: the clock was set back since, and the token's age is unknown. Served only while
   * no newer one can be had.
   */
  ofUnknownAge: boolean;
  /** When the cache took it in. */
  cachedAt: ReadTicket;
}

/**
 * The token as this process serves it: never longer than it was issued for, whatever the wall clock says of a row that
 * another process, or an earlier one, has written.
 */
export function toServedToken(connection: Connection, accessToken: string, clock: Clock): ServedToken {
  const life = lifetime(connection);
  const left = life === null ? Number.POSITIVE_INFINITY : Math.min(life, connection.expiresAt! - clock.now());
  const ofUnknownAge = life !== null && connection.issuedAt - clock.now() > CLOCK_SKEW_MAX_MS;
  return { connection, accessToken, until: clock.monotonic() + left, ofUnknownAge, cachedAt: 0 };
}

type OwnerOf = Pick<Connection, 'integration' | 'owner'>;

export interface TokenCache {
  get(id: string): ServedToken | undefined;
  /** The connections of an owner at an integration, live and revoked. Undefined: not known. */
  ofOwner(integration: string, owner: string): readonly Connection[] | undefined;
  /** Ids of the cached tokens. */
  cachedIds(): string[];

  /** To be taken before the store is read, and passed on with what was read. */
  ticket(): ReadTicket;
  /**
   * A token that was refreshed here. Ignored when it is older than what is known of the connection, or than a change notification;
   * what it replaces is dropped all the same, and not read back. It always gets in: the store may not have it yet, and reads that began before it was committed are older.
   */
  put(served: ServedToken, ticket: ReadTicket): void;
  /** A token that was read from the store: the same, and ignored when it is not admitted. An older one in the cache is dropped. */
  putRead(served: ServedToken, ticket: ReadTicket): void;
  /** Ignored when any owner's connections have changed since the ticket, or when it is not admitted. */
  putOwner(ticket: ReadTicket, integration: string, owner: string, connections: readonly Connection[]): void;

  /** Drops the token. From now on only rows of at least `minGeneration` are cached. */
  invalidate(connection: Pick<Connection, 'id'> & OwnerOf, minGeneration: number): void;
  /** Drops what is known of an owner's connections; the tokens stay. */
  invalidateOwner(owner: OwnerOf): void;
  /**
   * Another replica has changed the connection when it was of this generation: the same for its owner, and for reads of it up to
   * that generation that are under way. The token stays.
   */
  invalidateOwnerOf(id: string, generation: number): void;
  /** Drops what is known of all owners' connections; the tokens stay. */
  invalidateOwners(): void;
  /** Change notifications may have been lost: the same, and for all reads that are under way. The tokens stay: they can be compared. */
  invalidateReads(): void;
}

/** What a cached token takes beside its own characters: measured, rounded up. */
const ENTRY_BYTES = 1_500;
/** Of an entry, for what has no size of its own. */
const USUAL_BYTES = 3_500;

/** A token counts as one entry for each that it begins: providers, and owners' own servers, may issue one of a megabyte. */
const CHARACTERS_PER_ENTRY = 16 * 1024;

/** Full of what has become too old, it has room: then what was used longest ago goes. */
function hasRoom<V extends object>(cache: LRUCache<string, V>, size: number): boolean {
  const fits = () => cache.calculatedSize + size <= cache.maxSize;
  if (fits()) return true;
  // Else its keys are without those that are too old.
  cache.allowStale = true;
  const oldest = cache.rkeys().next().value;
  cache.allowStale = false;
  return oldest !== undefined && cache.getRemainingTTL(oldest) <= 0 && cache.delete(oldest) && fits();
}

/** `size`: of the tokens; what is known of owners is bounded in proportion. `ttlMs`: how long an entry is kept, however often it is read. */
export function createTokenCache({
  size = { entries: 50_000 },
  ttlMs = TOKEN_CACHE_TTL_MS,
  clock = { monotonic: () => performance.now() },
}: {
  size?: CacheSize;
  ttlMs?: number;
  clock?: Pick<Clock, 'monotonic'>;
} = {}): TokenCache {
  const max = 'entries' in size ? size.entries : Math.ceil(size.bytes / USUAL_BYTES);
  const sizeOf = ({ accessToken: { length } }: ServedToken) =>
    'bytes' in size ? ENTRY_BYTES + length : Math.min(max, Math.ceil(length / CHARACTERS_PER_ENTRY) || 1);
  const lifetimes = { ttl: ttlMs, perf: { now: clock.monotonic } };
  const invalidations = createRecentInvalidations(max, clock.monotonic);
  /** Reads with a lower ticket may be older than a token that was evicted. */
  let readsFrom: ReadTicket = 0;
  const tokens = new LRUCache<string, ServedToken>({
    maxSize: 'entries' in size ? size.entries : size.bytes,
    sizeCalculation: sizeOf,
    ...lifetimes,
    dispose: ({ cachedAt }, _, reason) => {
      if (reason !== 'evict' || cachedAt < readsFrom) return;
      if (cachedAt === invalidations.ticket()) invalidations.count();
      readsFrom = cachedAt + 1;
    },
  });
  /** The owner's key by connection. */
  const ownerKeys = new Map<string, string>();
  const owners = new LRUCache<string, readonly Connection[]>({
    ...upTo(max),
    ...lifetimes,
    dispose: (connections) => {
      for (const { id } of connections) ownerKeys.delete(id);
    },
  });
  const [admission, ownerAdmission] = [createAdmission(max), createAdmission(max)];

  const ownerKey = (integration: string, owner: string) => `${integration}\n${owner}`;

  const isOutdated = ({ connection: { id, generation } }: ServedToken, ticket: ReadTicket, cached?: ServedToken) =>
    generation < (cached?.connection.generation ?? -1) || !invalidations.admits(id, generation, ticket);

  function keep(served: ServedToken): void {
    served.cachedAt = invalidations.ticket();
    tokens.set(served.connection.id, served);
  }

  const isOlder = (cached: ServedToken | undefined, { connection }: ServedToken) =>
    cached !== undefined && cached.connection.generation < connection.generation;

  /** A token that is not admitted, since too much has changed meanwhile: what it replaces is spent, and is not read back either. */
  function dropReplaced(by: ServedToken, cached: ServedToken | undefined): void {
    const { id, generation } = by.connection;
    if (isOlder(cached, by)) tokens.delete(id);
    invalidations.raise(id, generation);
  }

  function invalidateOwner({ integration, owner }: OwnerOf): void {
    invalidations.count();
    owners.delete(ownerKey(integration, owner));
  }

  return {
    get: (id) => tokens.get(id),
    ofOwner: (integration, owner) => owners.get(ownerKey(integration, owner)),
    cachedIds: () => [...tokens.keys()],

    ticket: invalidations.ticket,
    put(served, ticket) {
      const cached = tokens.get(served.connection.id);
      if (!isOutdated(served, ticket, cached)) keep(served);
      else dropReplaced(served, cached);
    },
    putRead(served, ticket) {
      const { id } = served.connection;
      const cached = tokens.get(id);
      if (ticket < readsFrom || isOutdated(served, ticket, cached)) {
        if (isOlder(cached, served)) dropReplaced(served, cached);
        return;
      }
      if (cached || hasRoom(tokens, sizeOf(served)) || admission.admits(id)) keep(served);
    },
    putOwner(ticket, integration, owner, connections) {
      if (ticket !== invalidations.ticket()) return;
      const key = ownerKey(integration, owner);
      if (!owners.has(key) && !hasRoom(owners, 1) && !ownerAdmission.admits(key)) return;
      owners.set(key, connections);
      for (const { id } of connections) ownerKeys.set(id, key);
    },

    invalidate(connection, minGeneration) {
      tokens.delete(connection.id);
      invalidations.raise(connection.id, minGeneration);
      invalidateOwner(connection);
    },
    invalidateOwner,
    invalidateOwnerOf(id, generation) {
      invalidations.note(id, generation);
      const key = ownerKeys.get(id);
      if (key !== undefined) owners.delete(key);
    },
    invalidateOwners() {
      invalidations.count();
      owners.clear();
    },
    invalidateReads() {
      invalidations.noteAll();
      owners.clear();
    },
  };
}
