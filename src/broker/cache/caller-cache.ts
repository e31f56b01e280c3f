// Callers by what they present, in memory: authenticating a request asks nobody. A key is known by its digest; the token of
// a workload too, once it has been verified.
import { LRUCache } from 'lru-cache';
import type { Caller, Principal, RateLimit, Workload } from '../../domain/caller.ts';
import type { Store } from '../../ports/index.ts';
import { digest, isMistyped } from '../secrets/index.ts';

/** The caller behind `VALETKEY_ADMIN_KEY`: every right, for the first set-up. It is in no table. */
const ADMIN: Principal = {
  caller: { id: 'clr_admin', name: 'admin key', permissions: [{ actions: ['*'], integrations: ['*'], owners: ['*'] }] },
  credential: { kind: 'key', id: 'key_admin', expiresAt: null },
  rateLimit: null,
};

const ADMITTED_AT_MOST = 10_000;

/** A caller, and what makes a token one of its workload's. */
export interface WorkloadBinding {
  caller: Caller;
  workload: Workload;
}

/** What was known when a token began to be verified. */
export type VerificationTicket = symbol;

interface Parts {
  store: Pick<Store, 'callers'>;
  adminKey: string | undefined;
  /** For callers that have none of their own; null: none. */
  rateLimit: RateLimit | null;
}

export type CallerCache = ReturnType<typeof createCallerCache>;

export function createCallerCache({ store, adminKey, rateLimit }: Parts) {
  let keys = new Map<string, Principal>();
  let bindings = new Map<string, WorkloadBinding[]>();
  const admitted = new LRUCache<string, Principal>({ max: ADMITTED_AT_MOST });
  let ticket: VerificationTicket = Symbol();

  function invalidateWorkloads(): void {
    ticket = Symbol();
    admitted.clear();
  }

  const limitOf = (caller: Caller) => caller.rateLimit ?? rateLimit;

  return {
    /** Undefined: not known, or not any more. `now` in milliseconds. */
    find(presented: string, now: number): Principal | undefined {
      const key = digest(presented);
      const found = keys.get(key) ?? admitted.get(key);
      if (!found) return undefined;
      const { expiresAt } = found.credential;
      return expiresAt === null || expiresAt > now ? found : undefined;
    },

    /** Why a key was not found. */
    whyNot: (presented: string): 'expired' | 'mistyped' | 'unknown' => {
      if (keys.has(digest(presented))) return 'expired';
      return isMistyped(presented) ? 'mistyped' : 'unknown';
    },

    /** Which callers the tokens of an issuer may stand for. */
    boundTo: (issuer: string): { bindings: readonly WorkloadBinding[]; ticket: VerificationTicket } => ({
      bindings: bindings.get(issuer) ?? [],
      ticket,
    }),

    /** From now on the token is known without being verified, for `forMs` at most; unless something has changed since. */
    remember(
      since: VerificationTicket,
      token: string,
      { caller }: WorkloadBinding,
      credential: Principal['credential'],
      forMs: number,
    ) {
      const principal: Principal = { caller, credential, rateLimit: limitOf(caller) };
      if (since === ticket && forMs > 0) admitted.set(digest(token), principal, { ttl: forMs });
      return principal;
    },

    /** Tokens must be verified anew: whose are believed has changed. */
    invalidateWorkloads,

    /** After each change, before it is answered: a deleted key stops at once. */
    async reload(): Promise<void> {
      const callers = await store.callers();
      const nextKeys = new Map<string, Principal>();
      const nextBindings = new Map<string, WorkloadBinding[]>();
      if (adminKey !== undefined) nextKeys.set(digest(adminKey), ADMIN);
      for (const { caller, keys: own } of callers) {
        for (const { id, digest: known, expiresAt } of own) {
          nextKeys.set(known, { caller, credential: { kind: 'key', id, expiresAt }, rateLimit: limitOf(caller) });
        }
        for (const workload of caller.workloads) {
          const others = nextBindings.get(workload.issuer) ?? [];
          nextBindings.set(workload.issuer, [...others, { caller, workload }]);
        }
      }
      keys = nextKeys;
      bindings = nextBindings;
      invalidateWorkloads();
    },
  };
}
