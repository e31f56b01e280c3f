// Callers and their keys, as admins manage them; and what a caller may know about itself.
import type { Caller, CallerKey, Principal, Workload } from '../../domain/caller.ts';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import type { Clock, Store } from '../../ports/index.ts';
import { type Access, type Call, callerChanges, changedNames } from '../audit/index.ts';
import type { Cache, CallerCache } from '../cache/index.ts';
import { decidedAgain, type TrustedIssuers } from '../integrations/index.ts';
import { newCallerKey, newId } from '../secrets/index.ts';
import { type CallerSetup, callerOf, keyOf, nameIssues, workloadIssues, workloadWarnings } from './caller-setup.ts';
import { mayNotDelegate, mayNotName, mayNotReplace } from './delegation/delegation.ts';

export interface CallerWithKeys {
  caller: Caller;
  keys: CallerKey[];
  /** What an earlier version has accepted of its workload bindings, and this one would refuse. */
  warnings: InputIssue[];
}

/** `secret` is the key itself: it is returned once, and only its digest is stored. */
export interface MintedKey {
  key: CallerKey;
  secret: string;
}

/**
 * All but `whoami` need the action `admin` on everything, and pass on no permission that the caller does not have itself:
 * neither in the grants of another caller, nor by a key or a workload binding of one that has more. A change holds for the next request, and what takes something away
 * waits for the other replicas.
 */
export interface CallerAdmin {
  /** With its first key; a caller with workload bindings gets none (null). `keyExpiresAt` in ms since the epoch. */
  create(
    call: Call,
    wanted: CallerSetup & { keyExpiresAt: number | null },
  ): Promise<{ caller: Caller; minted: MintedKey | null } | Refusal>;
  /** Replaces everything but the keys. */
  put(call: Call, id: string, wanted: CallerSetup): Promise<CallerWithKeys | Refusal>;
  get(call: Call, id: string): Promise<CallerWithKeys | Refusal>;
  list(call: Call): Promise<CallerWithKeys[] | Refusal>;
  /** Open to every caller. `key` is null for the admin key and for workload identities. */
  whoami(call: Call): Promise<{ principal: Principal; key: CallerKey | null }>;
  /** `expiresAt` in ms since the epoch; null: never. */
  addKey(call: Call, callerId: string, expiresAt: number | null): Promise<MintedKey | Refusal>;
  removeKey(call: Call, callerId: string, keyId: string): Promise<undefined | Refusal>;
  remove(call: Call, id: string): Promise<undefined | Refusal>;
}

export interface CallerAdminParts {
  store: Pick<Store, 'callers' | 'addCaller' | 'updateCaller' | 'deleteCaller' | 'addCallerKey' | 'deleteCallerKey'>;
  callerCache: Pick<CallerCache, 'reload'>;
  /** Waits for the other replicas. */
  untilApplied: Cache['untilApplied'];
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  access: Access;
  clock: Clock;
}

export function createCallerAdmin(parts: CallerAdminParts): CallerAdmin {
  const { store, callerCache, untilApplied, trustedIssuers, access, clock } = parts;
  const reload = callerCache.reload;
  async function reloadEverywhere(): Promise<void> {
    await Promise.all([reload(), untilApplied()]);
  }
  const denied = (call: Call) => access.denied(call, 'admin', '*', '*');
  const deniedRead = (call: Call) => access.denied(call, 'admin:read', '*', '*');
  const absent = (what: string, id: string) => refuse({ code: 'not_found', what, id });

  function mint(callerId: string, expiresAt: number | null): MintedKey {
    const secret = newCallerKey();
    return { key: keyOf(secret, callerId, clock.now(), expiresAt), secret };
  }

  async function invalid(
    wanted: CallerSetup | undefined,
    expiry?: [path: string, at: number | null],
    stored?: readonly Workload[],
  ) {
    const issues = wanted ? [...nameIssues(wanted), ...(await workloadIssues(wanted, trustedIssuers, stored))] : [];
    if (expiry && expiry[1] !== null && expiry[1] <= clock.now())
      issues.push({ path: expiry[0], message: 'is in the past' });
    if (issues.length === 0) return undefined;
    return refuse({ code: 'invalid_request', detail: 'the caller or key has invalid settings', issues });
  }

  async function all(): Promise<CallerWithKeys[]> {
    const stored = await store.callers();
    const warned = async (one: (typeof stored)[number]) => ({
      ...one,
      warnings: await workloadWarnings(one.caller, trustedIssuers),
    });
    return Promise.all(stored.map(warned));
  }

  async function find(id: string): Promise<CallerWithKeys | Refusal> {
    return (await all()).find(({ caller }) => caller.id === id) ?? absent('caller', id);
  }

  /** What it has may stay: that is judged by what it has when this is stored. */
  async function putOnce(call: Call, id: string, wanted: CallerSetup) {
    const before = await find(id);
    if (before instanceof Refusal) return before;
    const refusal = await invalid(wanted, undefined, before.caller.workloads);
    if (refusal) return refusal;
    const caller = callerOf(id, wanted, clock.now());
    const mayNot = mayNotReplace(access, call, before.caller, caller);
    if (mayNot) return mayNot;
    const changed = changedNames(callerChanges(before, caller, undefined));
    return store.updateCaller(caller, access.record(call, 'caller.updated', { detail: id, changed }), before.caller);
  }

  return {
    async create(call, wanted) {
      const refusal =
        denied(call) ??
        mayNotDelegate(access, call, wanted.grants) ??
        mayNotName(access, call, wanted.audiences) ??
        (await invalid(wanted, ['key_expires_at', wanted.keyExpiresAt]));
      if (refusal) return refusal;
      const caller = callerOf(newId('clr', clock.now()), wanted, clock.now());
      const minted = caller.workloads.length > 0 ? null : mint(caller.id, wanted.keyExpiresAt);
      const keys = minted ? [minted.key] : [];
      const changed = changedNames(callerChanges(undefined, caller, keys));
      const by = access.record(call, 'caller.created', { detail: caller.id, changed });
      await store.addCaller(caller, minted?.key ?? null, by);
      await reload();
      return { caller, minted };
    },

    async put(call, id, wanted) {
      const refused = denied(call);
      if (refused) return refused;
      const outcome = await decidedAgain(() => putOnce(call, id, wanted));
      if (outcome instanceof Refusal) return outcome;
      if (outcome === 'absent') return absent('caller', id);
      if (outcome === 'changed')
        return refuse({
          code: 'invalid_request',
          detail: 'The caller was changed meanwhile by someone else, again and again. Try again later.',
        });
      await reloadEverywhere();
      return find(id);
    },

    get: async (call, id) => deniedRead(call) ?? find(id),

    // From the store: the cache does not know when keys were last used.
    list: async (call) => deniedRead(call) ?? all(),

    async whoami({ principal }) {
      const { kind, id } = principal.credential;
      const known = kind === 'key' ? await find(principal.caller.id) : undefined;
      const key = known && 'keys' in known ? known.keys.find((own) => own.id === id) : undefined;
      return { principal, key: key ?? null };
    },

    async addKey(call, callerId, expiresAt) {
      const refusal = denied(call) ?? (await invalid(undefined, ['expires_at', expiresAt]));
      if (refusal) return refusal;
      const owner = await find(callerId);
      if (owner instanceof Refusal) return owner;
      const mayNot =
        mayNotDelegate(access, call, owner.caller.permissions) ?? mayNotName(access, call, owner.caller.audiences);
      if (mayNot) return mayNot;
      const minted = mint(callerId, expiresAt);
      const subject = { detail: `${callerId} ${minted.key.id}` };
      if ((await store.addCallerKey(minted.key, access.record(call, 'caller.key_added', subject))) === 'absent') {
        return absent('caller', callerId);
      }
      await reload();
      return minted;
    },

    async removeKey(call, callerId, keyId) {
      const refusal = denied(call);
      if (refusal) return refusal;
      const by = access.record(call, 'caller.key_deleted', { detail: `${callerId} ${keyId}` });
      const deleted = await store.deleteCallerKey(callerId, keyId, by);
      await reloadEverywhere();
      return deleted === 'absent' ? absent('key', keyId) : undefined;
    },

    async remove(call, id) {
      const refusal = denied(call);
      if (refusal) return refusal;
      const deleted = await store.deleteCaller(id, access.record(call, 'caller.deleted', { detail: id }));
      await reloadEverywhere();
      return deleted === 'absent' ? absent('caller', id) : undefined;
    },
  };
}
