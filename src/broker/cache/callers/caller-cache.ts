// Callers by what they present, in memory, so that authenticating a request asks no store. A key is found by its digest; a
// workload's token too, once it has been verified, and the token of an agent session.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import {
  ADMIN_ID,
  ADMIN_PERMISSIONS,
  type Caller,
  type MadeBy,
  madeWith,
  type Permission,
  type Principal,
  type RateLimit,
  type Workload,
} from '../../../domain/caller.ts';
import { ADMIN_CALLER_NAME } from '../../../domain/reserved-names.ts';
import type { Clock, Store } from '../../../ports/index.ts';
import { digest, isMistyped, isSessionToken } from '../../secrets/index.ts';
import { createBatchedLookup } from './batched-lookups.ts';
import { createSessionCache, type SessionCache, type SessionMakerState, type WhyNoSession } from './session-cache.ts';

/** The caller behind `VALETKEY_ADMIN_KEY`, for the first set-up. It has every permission and is in no table. */
const ADMIN: Principal = {
  caller: {
    id: ADMIN_ID,
    name: ADMIN_CALLER_NAME,
    permissions: ADMIN_PERMISSIONS,
  },
  credential: { kind: 'key', id: 'key_admin', expiresAt: null },
  rateLimit: null,
};
const withKey = (adminKey: string): Principal => ({
  ...ADMIN,
  credential: {
    kind: 'key',
    id: ADMIN.credential.id,
    expiresAt: null,
    version: digest(`version ${adminKey}`).slice(0, 16),
  },
});

const MAX_WORKLOAD_TOKENS = 10_000;

/** A caller, and the workload binding that a token has to match. */
export interface WorkloadBinding {
  caller: Caller;
  workload: Workload;
}

/** Which state of the cache a verification started from. */
export type VerificationTicket = symbol;

export interface CallerCache {
  /** Undefined: unknown or expired. `now` in ms since the epoch. */
  find(presented: string, now: number): Principal | undefined;
  /**
   * For a key or a session that `find` does not know: asks the store, in case another replica has made it. `busy`: too many are
   * being looked up. Rejects with `StoreError`.
   */
  lookUp(presented: string, now: number): Promise<Principal | undefined | 'busy'>;
  /** The caller of a request as it is now; undefined: it is gone, or what authenticated the request is. */
  callerOf(principal: Principal): Pick<Caller, 'id' | 'permissions'> | undefined;
  /**
   * The caller that has made something, as it is now; undefined: it is gone, or the key or workload binding that it was made with
   * is, has expired, or is another admin key than that of the settings. `now` in ms since the epoch.
   */
  makerOf(made: MadeBy, now: number): Pick<Caller, 'id' | 'permissions'> | undefined;
  /** The same for a JWT that is the token of a session. It is known by its digest, like the others. */
  lookUpSigned(jwt: string, now: number): Promise<Principal | undefined | 'busy'>;
  /** Why a JWT that is the token of a session was not found. */
  whyNotSigned(jwt: string): WhyNoSession;
  /** Why a key or the token of a session was not found. */
  whyNot(presented: string): 'expired' | 'mistyped' | 'unknown' | 'ended' | 'used_up';
  /** Whether it can identify itself at all: by a key that has not expired, or by a workload binding. `now` in ms since the epoch. */
  canAct(callerId: string, now: number): boolean;
  /** The permissions of a caller as they are now; undefined: it is gone. */
  permissionsOf(callerId: string): readonly Permission[] | undefined;
  /** The bindings to an issuer. Pass the ticket on to `remember`. */
  boundTo(issuer: string): { bindings: readonly WorkloadBinding[]; ticket: VerificationTicket };
  /**
   * The principal of a verified token. It is cached for `forMs` at the most, so that the token need not be verified
   * again; not cached if callers or issuers have changed since the ticket was taken.
   */
  remember(
    ticket: VerificationTicket,
    token: string,
    binding: WorkloadBinding,
    credential: Principal['credential'],
    forMs: number,
  ): Principal;
  /** To be called when trusted issuers have changed: every token has to be verified again. */
  invalidateWorkloads(): void;
  /**
   * Counts a request of a session whose uses are limited, or of one below such a session. Undefined: it was counted, or need not
   * be. Rejects with `StoreError`.
   */
  countUse(principal: Principal, now: number): Promise<'used_up' | 'ended' | undefined>;
  /** These sessions have ended, here or elsewhere. */
  sessionsEnded(ids: readonly string[]): void;
  /**
   * Ends of sessions may have been missed; `of_workloads`: of those that a workload made, since a binding that is taken away and
   * given again is the same one. Rejects with `StoreError`.
   */
  recheckSessions(which: 'all' | 'of_workloads'): Promise<void>;
  /** Reads all callers. To be awaited after each change before the answer, so that a deleted key stops working at once. */
  reload(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'callers' | 'storedKeys' | 'agentSessionsByDigest' | 'endedAgentSessions' | 'countSessionUse'>;
  adminKey: string | undefined;
  /** For callers that have none of their own; null: none. */
  rateLimit: RateLimit | null;
  clock: Pick<Clock, 'monotonic'>;
}

export function createCallerCache({ store, adminKey, rateLimit, clock }: Parts): CallerCache {
  const admin = adminKey === undefined ? undefined : withKey(adminKey);
  let keys = new Map<string, Principal>();
  let bindings = new Map<string, WorkloadBinding[]>();
  /** Until when callers can act, in ms since the epoch. */
  let ableUntil = new Map<string, number>();
  let permissions = new Map<string, readonly Permission[]>();
  /** By the id of the key or of the workload binding. */
  let byCredential = new Map<string, { caller: Caller; endsAt: number }>();
  const workloadTokens = new LRUCache<string, Principal>(upTo(MAX_WORKLOAD_TOKENS));
  let current: VerificationTicket = Symbol();
  let version = Symbol();
  let loaded: string | undefined;
  /** Reloads overlap: how many have begun, and which of them brought what is in memory. */
  let begun = 0;
  let loadedBy = 0;

  function invalidateWorkloads(): void {
    current = Symbol();
    workloadTokens.clear();
  }

  const limitOf = (caller: Caller) => caller.rateLimit ?? rateLimit;

  function makerOf({ callerId, createdWith }: MadeBy): SessionMakerState | undefined {
    if (callerId === ADMIN_ID) {
      const isThere = admin !== undefined && createdWith === madeWith(admin);
      return isThere ? { caller: ADMIN.caller, rateLimit: null, endsAt: Number.POSITIVE_INFINITY } : undefined;
    }
    const found = byCredential.get(createdWith);
    return found?.caller.id === callerId ? { ...found, rateLimit: limitOf(found.caller) } : undefined;
  }

  const sessions: SessionCache = createSessionCache({
    store,
    makerOf,
    callersVersion: () => version,
    reloadCallers: () => reload(),
    clock,
  });

  function find(presented: string, now: number): Principal | undefined {
    const key = digest(presented);
    const found = keys.get(key) ?? workloadTokens.get(key);
    if (!found) return sessions.find(key, now);
    const { expiresAt } = found.credential;
    return expiresAt === null || expiresAt > now ? found : undefined;
  }

  async function reload(): Promise<void> {
    const turn = ++begun;
    const callers = await store.callers();
    // A later read has answered first: what it read is newer, and has what this call waits for.
    if (turn < loadedBy) return;
    loadedBy = turn;
    // The change feed also reports what this process has loaded already: that is no reason to verify tokens again.
    const content = contentOf(callers);
    if (content === loaded) return;
    const nextKeys = new Map<string, Principal>();
    const nextBindings = new Map<string, WorkloadBinding[]>();
    const nextByCredential = new Map<string, { caller: Caller; endsAt: number }>();
    const nextAble = new Map<string, number>();
    const nextPermissions = new Map<string, readonly Permission[]>();
    if (adminKey !== undefined && admin !== undefined) {
      nextKeys.set(digest(adminKey), admin);
      nextAble.set(ADMIN_ID, Number.POSITIVE_INFINITY);
      nextPermissions.set(ADMIN_ID, ADMIN.caller.permissions);
    }
    for (const { caller, keys: own } of callers) {
      // An earlier version let one be declared under this id: it would be taken for the admin key in the audit log.
      if (caller.id === ADMIN_ID) continue;
      const ends = [...own, ...caller.workloads.map(() => ({ expiresAt: null }))].map(
        ({ expiresAt }) => expiresAt ?? Number.POSITIVE_INFINITY,
      );
      nextAble.set(caller.id, Math.max(0, ...ends));
      nextPermissions.set(caller.id, caller.permissions);
      for (const { id } of caller.workloads) nextByCredential.set(id, { caller, endsAt: Number.POSITIVE_INFINITY });
      for (const { id, digest: known, expiresAt } of own) {
        nextByCredential.set(id, { caller, endsAt: expiresAt ?? Number.POSITIVE_INFINITY });
        nextKeys.set(known, { caller, credential: { kind: 'key', id, expiresAt }, rateLimit: limitOf(caller) });
      }
      for (const workload of caller.workloads) {
        const others = nextBindings.get(workload.issuer) ?? [];
        nextBindings.set(workload.issuer, [...others, { caller, workload }]);
      }
    }
    keys = nextKeys;
    bindings = nextBindings;
    ableUntil = nextAble;
    permissions = nextPermissions;
    byCredential = nextByCredential;
    loaded = content;
    version = Symbol();
    sessions.callersRead();
    invalidateWorkloads();
  }

  const isStored = createBatchedLookup<true>(async (digests) => {
    const found = await store.storedKeys(digests);
    if (found.length > 0) await reload();
    return new Map(found.map((one) => [one, true]));
  });

  return {
    find,

    async lookUp(presented, now) {
      const key = digest(presented);
      if (isSessionToken(presented)) return sessions.lookUp(key, now);
      const stored = await isStored(key);
      return stored === true ? find(presented, now) : stored;
    },

    lookUpSigned: (jwt, now) => sessions.lookUp(digest(jwt), now),
    whyNotSigned: (jwt) => sessions.whyNot(digest(jwt)),

    callerOf({ caller, credential, session }) {
      if (session) return sessions.callerOf(session);
      return caller.id === ADMIN_ID ? ADMIN.caller : byCredential.get(credential.id)?.caller;
    },

    makerOf(made, now) {
      const found = makerOf(made);
      return found && found.endsAt > now ? found.caller : undefined;
    },

    whyNot(presented) {
      const key = digest(presented);
      if (keys.has(key)) return 'expired';
      if (isMistyped(presented)) return 'mistyped';
      return isSessionToken(presented) ? sessions.whyNot(key) : 'unknown';
    },

    canAct: (callerId, now) => (ableUntil.get(callerId) ?? 0) > now,

    permissionsOf: (callerId) => permissions.get(callerId),

    boundTo: (issuer) => ({ bindings: bindings.get(issuer) ?? [], ticket: current }),

    remember(ticket, token, { caller }, credential, forMs) {
      const principal: Principal = { caller, credential, rateLimit: limitOf(caller) };
      if (ticket === current && forMs > 0) workloadTokens.set(digest(token), principal, { ttl: forMs });
      return principal;
    },

    invalidateWorkloads,

    countUse: async ({ session }, now) =>
      session && session.counted.length > 0 ? sessions.countUse(session, now) : undefined,
    sessionsEnded: sessions.noteEnded,
    recheckSessions: sessions.recheck,

    reload,
  };
}

/** What a principal is made of: all but when keys were last used. */
const contentOf = (callers: Awaited<ReturnType<Store['callers']>>): string =>
  JSON.stringify(callers, (name, value) => (name === 'lastUsedAt' ? undefined : value));
