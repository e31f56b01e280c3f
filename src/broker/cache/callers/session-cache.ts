// Agent sessions in memory, by the digests of their tokens: read from the store once, and narrowed to what their callers may do
// now. What has ended stays known, so that neither a late read nor a clock that is set back brings it to life again.
import { LRUCache } from 'lru-cache';
import type { AgentSession } from '../../../domain/agent-session.ts';
import { upTo } from '../../../domain/cache-bounds.ts';
import type { Caller, Principal, RateLimit } from '../../../domain/caller.ts';
import { narrowed, permissionOfSession } from '../../../domain/narrowed-permissions.ts';
import type { Clock, Store } from '../../../ports/index.ts';
import { createBatchedLookup } from './batched-lookups.ts';

/** The caller of a session as it is now. `endsAt`: when what the session was made with expires, in ms since the epoch. */
export interface SessionMakerState {
  caller: Pick<Caller, 'id' | 'name' | 'permissions' | 'maxSessionTtl' | 'audiences'>;
  rateLimit: RateLimit | null;
  endsAt: number;
}

/** Why a session cannot be used. `unknown`: it is not in memory. */
export type WhyNoSession = 'ended' | 'used_up' | 'expired' | 'unknown';

export interface SessionCache {
  /** Undefined: not in memory, or over. `now` in ms since the epoch. */
  find(digest: string, now: number): Principal | undefined;
  /** For one that is not in memory. `busy`: too many are looked up. Rejects with `StoreError`. */
  lookUp(digest: string, now: number): Promise<Principal | undefined | 'busy'>;
  whyNot(digest: string): WhyNoSession;
  /** What a session may do now; undefined: it has ended, or its caller is gone. */
  callerOf(session: AgentSession): SessionMakerState['caller'] | undefined;
  /** Counts a request against sessions with a limit of uses. Undefined: it was counted. Rejects with `StoreError`. */
  countUse(session: AgentSession, now: number): Promise<'used_up' | 'ended' | undefined>;
  /** These have ended, here or elsewhere. */
  noteEnded(ids: readonly string[]): void;
  /**
   * Ends may have been missed: asks the store which of those in memory have ended. `of_workloads`: only of those that were made
   * with a workload binding. Rejects with `StoreError`.
   */
  recheck(which: 'all' | 'of_workloads'): Promise<void>;
  /** Callers were read into memory: what has lost its caller, or what it was made with, has ended, and does not come back. */
  callersRead(): void;
}

export interface SessionCacheParts {
  store: Pick<Store, 'agentSessionsByDigest' | 'endedAgentSessions' | 'countSessionUse'>;
  /** Undefined: the caller, or what the session was made with, is gone. */
  makerOf: (session: AgentSession) => SessionMakerState | undefined;
  /** Changes when callers do. */
  callersVersion: () => symbol;
  /** Reads all callers into memory. */
  reloadCallers: () => Promise<void>;
  clock: Pick<Clock, 'monotonic'>;
}

const MAX_SESSIONS = 50_000;
const MAX_ENDED = 100_000;
/** Sessions per query. */
const AT_ONCE = 500;

interface Entry {
  session: AgentSession;
  /** Monotonic ms: a wall clock that is set back does not make a session last longer. */
  until: number;
  principal: Principal | undefined;
  version: symbol;
}

export function createSessionCache(parts: SessionCacheParts): SessionCache {
  const { store, makerOf, callersVersion, reloadCallers, clock } = parts;
  const entries = new LRUCache<string, Entry>({
    ...upTo(MAX_SESSIONS),
    dispose: ({ session }, _, reason) => {
      if (reason !== 'set') entriesById.delete(session.id);
    },
  });
  /** Those of `entries`. An end is noted there too, so that it is known for as long as the session is in memory. */
  const entriesById = new Map<string, Entry>();
  /** By id: also of those that are not in memory, but may be read at this moment. */
  const over = new LRUCache<string, 'ended' | 'used_up'>(upTo(MAX_ENDED));

  function end(id: string, why: 'ended' | 'used_up'): void {
    over.set(id, why);
    const entry = entriesById.get(id);
    if (entry) entry.until = Number.NEGATIVE_INFINITY;
  }

  function principalOf(session: AgentSession): Principal | undefined {
    const maker = makerOf(session);
    if (!maker) return undefined;
    const { id, name, permissions, maxSessionTtl, audiences } = maker.caller;
    return {
      caller: { id, name, permissions: narrowed(permissions, permissionOfSession(session)), maxSessionTtl, audiences },
      credential: { kind: 'session', id: session.id, expiresAt: Math.min(session.expiresAt, maker.endsAt) },
      session,
      rateLimit: maker.rateLimit,
    };
  }

  function current(entry: Entry): Principal | undefined {
    const version = callersVersion();
    if (entry.version !== version) Object.assign(entry, { principal: principalOf(entry.session), version });
    return entry.principal;
  }

  function find(digest: string, now: number): Principal | undefined {
    const entry = entries.get(digest);
    if (!entry || over.has(entry.session.id) || entry.until <= clock.monotonic()) return undefined;
    const principal = current(entry);
    return principal && principal.credential.expiresAt! > now ? principal : undefined;
  }

  const stored = createBatchedLookup<AgentSession>(async (digests) => {
    const found = await store.agentSessionsByDigest(digests);
    // Another replica may have made the caller a moment ago, too.
    if (found.some((one) => one.endedAt === null && !makerOf(one))) await reloadCallers();
    return new Map(found.map((one) => [one.digest, one]));
  });

  return {
    find,

    async lookUp(digest, now) {
      const session = await stored(digest);
      if (session === undefined || session === 'busy') return session;
      if (session.endedAt !== null) over.set(session.id, 'ended');
      const { createdAt, expiresAt } = session;
      const until = clock.monotonic() + Math.min(expiresAt - now, expiresAt - createdAt);
      // An entry that is there was made earlier, and ends no later than a new one.
      if (!entries.has(digest)) {
        const entry = { session, until, principal: principalOf(session), version: callersVersion() };
        entries.set(digest, entry);
        entriesById.set(session.id, entry);
      }
      return find(digest, now);
    },

    whyNot(digest) {
      const entry = entries.get(digest);
      if (!entry) return 'unknown';
      return over.get(entry.session.id) ?? (current(entry) ? 'expired' : 'ended');
    },

    callerOf(session) {
      if (over.has(session.id)) return undefined;
      // Calls that run are checked whenever a caller changes: what is in memory is narrowed once for all of them.
      const entry = entriesById.get(session.id);
      return (entry ? current(entry) : principalOf(session))?.caller;
    },

    async countUse({ id, counted }, now) {
      const outcome = await store.countSessionUse(counted, now);
      if (outcome === 'counted') return undefined;
      end(id, outcome);
      return outcome;
    },

    noteEnded(ids) {
      for (const id of ids) end(id, 'ended');
    },

    callersRead() {
      const now = clock.monotonic();
      for (const { session, until } of entries.values())
        if (until > now && makerOf(session) === undefined) end(session.id, 'ended');
    },

    async recheck(which) {
      const now = clock.monotonic();
      const isMeant = ({ createdWith }: AgentSession) => which === 'all' || createdWith.startsWith('wl_');
      const ids = [...entries.values()]
        .filter(({ session, until }) => until > now && !over.has(session.id) && isMeant(session))
        .map(({ session }) => session.id);
      for (let i = 0; i < ids.length; i += AT_ONCE)
        for (const id of await store.endedAgentSessions(ids.slice(i, i + AT_ONCE))) end(id, 'ended');
    },
  };
}
