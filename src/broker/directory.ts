// Callers by the digest of their keys, in memory: authenticating a request asks nobody.
import type { Principal } from '../domain/caller.ts';
import type { Store } from '../ports.ts';
import { digest } from './secrets.ts';

/** The caller behind `VALETKEY_ADMIN_KEY`: every right, for the first set-up. It is in no table. */
const ADMIN: Principal = {
  caller: { id: 'clr_admin', name: 'admin key', grants: [{ actions: ['*'], integrations: ['*'], owners: ['*'] }] },
  keyId: 'key_admin',
};

export type Directory = ReturnType<typeof createDirectory>;

export function createDirectory({ store, adminKey }: { store: Pick<Store, 'callers'>; adminKey: string | undefined }) {
  let byDigest = new Map<string, { principal: Principal; expiresAt: number | null }>();

  return {
    /** Undefined: no such key, or not any more. `now` in milliseconds. */
    find(key: string, now: number): Principal | undefined {
      const found = byDigest.get(digest(key));
      return found && (found.expiresAt === null || found.expiresAt > now) ? found.principal : undefined;
    },
    /** After each change, before it is answered: a deleted key stops at once. */
    async reload(): Promise<void> {
      const callers = await store.callers();
      const next = new Map<string, { principal: Principal; expiresAt: number | null }>();
      if (adminKey !== undefined) next.set(digest(adminKey), { principal: ADMIN, expiresAt: null });
      for (const { caller, keys } of callers) {
        for (const key of keys) {
          next.set(key.digest, { principal: { caller, keyId: key.id }, expiresAt: key.expiresAt });
        }
      }
      byDigest = next;
    },
  };
}
