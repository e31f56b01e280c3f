// Callers and their keys, as admins manage them; and what a caller may know of itself.
import type { Caller, CallerKey, Permission, Principal, RateLimit, Workload } from '../../domain/caller.ts';
import { type InputIssue, type Refusal, refuse } from '../../domain/errors.ts';
import type { Clock, Store } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { CallerCache } from '../cache/index.ts';
import type { TrustedIssuers } from '../integrations/index.ts';
import { digest, newCallerKey, newId } from '../secrets/index.ts';
import { workloadOf } from './workload-identity.ts';

/** Enough to recognise a key by, too little to guess it by. */
const PREFIX_LENGTH = 8;

/** A caller as it is wanted. */
export interface CallerSetup {
  name: string;
  grants: Permission[];
  workloads?: Omit<Workload, 'id'>[] | undefined;
  /** Null or undefined: the deployment's. */
  rateLimit?: RateLimit | null | undefined;
}

interface Parts {
  store: Store;
  callerCache: CallerCache;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  access: Access;
  clock: Clock;
}

export type Callers = ReturnType<typeof createCallers>;

export function createCallers({ store, callerCache, trustedIssuers, access, clock }: Parts) {
  const denied = (call: Call) => access.denied(call, 'admin', '*', '*');
  const absent = (what: string, id: string) => refuse({ code: 'not_found', what, id });

  function mint(callerId: string, expiresAt: number | null): { key: CallerKey; secret: string } {
    const secret = newCallerKey();
    return { key: keyOf(secret, callerId, clock.now(), expiresAt), secret };
  }

  async function invalid(wanted: CallerSetup | undefined, expiry?: [path: string, at: number | null]) {
    const issues = wanted ? await workloadIssues(wanted, trustedIssuers) : [];
    if (expiry && expiry[1] !== null && expiry[1] <= clock.now())
      issues.push({ path: expiry[0], message: 'lies in the past' });
    if (issues.length === 0) return undefined;
    return refuse({ code: 'invalid_request', detail: 'the caller cannot be admitted so', issues });
  }

  async function find(id: string): Promise<{ caller: Caller; keys: CallerKey[] } | Refusal> {
    const all = await store.callers();
    return all.find(({ caller }) => caller.id === id) ?? absent('caller', id);
  }

  return {
    /** The key is told here, once; only its digest is kept. One that comes with its workload's token needs none. */
    async create(
      call: Call,
      wanted: CallerSetup & { keyExpiresAt: number | null },
    ): Promise<{ caller: Caller; minted: { key: CallerKey; secret: string } | null } | Refusal> {
      const refusal = denied(call) ?? (await invalid(wanted, ['key_expires_at', wanted.keyExpiresAt]));
      if (refusal) return refusal;
      const caller = callerOf(newId('clr', clock.now()), wanted, clock.now());
      const minted = caller.workloads.length > 0 ? null : mint(caller.id, wanted.keyExpiresAt);
      const by = access.record(call, 'caller.created', { detail: caller.id });
      await store.addCaller(caller, minted?.key ?? null, by);
      await callerCache.reload();
      return { caller, minted };
    },

    /** Replaces all but its keys. */
    async put(call: Call, id: string, wanted: CallerSetup): Promise<{ caller: Caller; keys: CallerKey[] } | Refusal> {
      const refusal = denied(call) ?? (await invalid(wanted));
      if (refusal) return refusal;
      const by = access.record(call, 'caller.updated', { detail: id });
      if ((await store.updateCaller(callerOf(id, wanted, clock.now()), by)) === 'absent') return absent('caller', id);
      await callerCache.reload();
      return find(id);
    },

    async get(call: Call, id: string): Promise<{ caller: Caller; keys: CallerKey[] } | Refusal> {
      return denied(call) ?? find(id);
    },

    /** From the store: the directory does not follow when keys were last used. */
    async list(call: Call): Promise<{ caller: Caller; keys: CallerKey[] }[] | Refusal> {
      return denied(call) ?? store.callers();
    },

    /** Every caller may know who it is. Null: the admin key, which is in no table. */
    async whoami({ principal }: Call): Promise<{ principal: Principal; key: CallerKey | null }> {
      const { kind, id } = principal.credential;
      const known = kind === 'key' ? await find(principal.caller.id) : undefined;
      const key = known && 'keys' in known ? known.keys.find((own) => own.id === id) : undefined;
      return { principal, key: key ?? null };
    },

    async addKey(
      call: Call,
      callerId: string,
      expiresAt: number | null,
    ): Promise<{ key: CallerKey; secret: string } | Refusal> {
      const refusal = denied(call) ?? (await invalid(undefined, ['expires_at', expiresAt]));
      if (refusal) return refusal;
      const minted = mint(callerId, expiresAt);
      const subject = { detail: `${callerId} ${minted.key.id}` };
      if ((await store.addCallerKey(minted.key, access.record(call, 'caller.key_added', subject))) === 'absent') {
        return absent('caller', callerId);
      }
      await callerCache.reload();
      return minted;
    },

    async removeKey(call: Call, callerId: string, keyId: string): Promise<undefined | Refusal> {
      const refusal = denied(call);
      if (refusal) return refusal;
      const by = access.record(call, 'caller.key_deleted', { detail: `${callerId} ${keyId}` });
      const deleted = await store.deleteCallerKey(callerId, keyId, by);
      await callerCache.reload();
      return deleted === 'absent' ? absent('key', keyId) : undefined;
    },

    async remove(call: Call, id: string): Promise<undefined | Refusal> {
      const refusal = denied(call);
      if (refusal) return refusal;
      const deleted = await store.deleteCaller(id, access.record(call, 'caller.deleted', { detail: id }));
      await callerCache.reload();
      return deleted === 'absent' ? absent('caller', id) : undefined;
    },
  };
}

export const callerOf = (id: string, { name, grants, workloads, rateLimit }: CallerSetup, now: number): Caller => ({
  id,
  name,
  permissions: grants,
  workloads: (workloads ?? []).map(workloadOf),
  rateLimit: rateLimit ?? null,
  createdAt: now,
});

/** What speaks against binding it to these tokens. */
export async function workloadIssues(
  { workloads = [] }: CallerSetup,
  trustedIssuers: Pick<TrustedIssuers, 'find'>,
): Promise<InputIssue[]> {
  const issues: InputIssue[] = [];
  for (const [i, { issuer, claims }] of workloads.entries()) {
    if (!(await trustedIssuers.find(issuer))) {
      const message = `is not a trusted issuer: name it in trusted_issuers of the file of VALETKEY_CONFIG, or set up an OpenID integration of it`;
      issues.push({ path: `workloads.${i}.issuer`, message });
    }
    if (Object.values(claims).every((pattern) => pattern === '*'))
      issues.push({
        path: `workloads.${i}.claims`,
        message: 'name a claim that tells the workload from others of its issuer, such as "sub"',
      });
  }
  return issues;
}

export const keyOf = (secret: string, callerId: string, now: number, expiresAt: number | null): CallerKey => ({
  id: newId('key', now),
  callerId,
  digest: digest(secret),
  prefix: secret.slice(0, PREFIX_LENGTH),
  createdAt: now,
  expiresAt,
  lastUsedAt: null,
});
