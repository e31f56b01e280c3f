// Callers and their keys, as admins manage them.
import type { Caller, CallerGrant, CallerKey } from '../domain/caller.ts';
import { type Refusal, refuse } from '../domain/errors.ts';
import type { Clock, Store } from '../ports.ts';
import type { Access, Call } from './access.ts';
import type { Directory } from './directory.ts';
import { digest, newId, newSecret } from './secrets.ts';

/** Enough to recognise a key by, too little to guess it by. */
const PREFIX_LENGTH = 8;

interface Parts {
  store: Store;
  directory: Directory;
  access: Access;
  clock: Clock;
}

export type Callers = ReturnType<typeof createCallers>;

export function createCallers({ store, directory, access, clock }: Parts) {
  const denied = (call: Call) => access.denied(call, 'admin', '*', '*');
  const absent = (what: string, id: string) => refuse({ code: 'not_found', what, id });

  function mint(callerId: string, expiresAt: number | null): { key: CallerKey; secret: string } {
    const secret = `vk_${newSecret()}`;
    return { key: keyOf(secret, callerId, clock.now(), expiresAt), secret };
  }

  return {
    /** The key is told here, once; only its digest is kept. */
    async create(
      call: Call,
      wanted: { name: string; grants: CallerGrant[] },
    ): Promise<{ caller: Caller; key: CallerKey; secret: string } | Refusal> {
      const refusal = denied(call);
      if (refusal) return refusal;
      const caller: Caller = { id: newId('clr', clock.now()), ...wanted, createdAt: clock.now() };
      const { key, secret } = mint(caller.id, null);
      await store.addCaller(caller, key, access.record(call, 'caller.created', { detail: caller.id }));
      await directory.reload();
      return { caller, key, secret };
    },

    /** From the store: the directory does not follow when keys were last used. */
    async list(call: Call): Promise<{ caller: Caller; keys: CallerKey[] }[] | Refusal> {
      return denied(call) ?? store.callers();
    },

    async addKey(
      call: Call,
      callerId: string,
      expiresAt: number | null,
    ): Promise<{ key: CallerKey; secret: string } | Refusal> {
      const refusal = denied(call);
      if (refusal) return refusal;
      const minted = mint(callerId, expiresAt);
      const subject = { detail: `${callerId} ${minted.key.id}` };
      if ((await store.addCallerKey(minted.key, access.record(call, 'caller.key_added', subject))) === 'absent') {
        return absent('caller', callerId);
      }
      await directory.reload();
      return minted;
    },

    async removeKey(call: Call, callerId: string, keyId: string): Promise<undefined | Refusal> {
      const refusal = denied(call);
      if (refusal) return refusal;
      const by = access.record(call, 'caller.key_deleted', { detail: `${callerId} ${keyId}` });
      const deleted = await store.deleteCallerKey(callerId, keyId, by);
      await directory.reload();
      return deleted === 'absent' ? absent('key', keyId) : undefined;
    },

    async remove(call: Call, id: string): Promise<undefined | Refusal> {
      const refusal = denied(call);
      if (refusal) return refusal;
      const deleted = await store.deleteCaller(id, access.record(call, 'caller.deleted', { detail: id }));
      await directory.reload();
      return deleted === 'absent' ? absent('caller', id) : undefined;
    },
  };
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
