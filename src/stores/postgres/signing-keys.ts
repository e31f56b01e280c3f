// Keys that the deployment signs with, in PostgreSQL.
import { desc, eq } from 'drizzle-orm';
import type { SigningKey } from '../../domain/signing-key.ts';
import type { SigningKeyStore } from '../../ports/index.ts';
import { SIGNING_KEYS_CHANGED, signingKeyChanges } from '../shared/signing-keys.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { signingKeys } from './schema.ts';

export function createSigningKeyStore({ autocommit, transaction, locks, record }: PostgresAccess): SigningKeyStore {
  const { id, purpose, createdAt } = signingKeys;
  const all = (orm: Orm, of: SigningKey['purpose']) =>
    orm.select().from(signingKeys).where(eq(purpose, of)).orderBy(desc(createdAt), desc(id));

  return {
    signingKeys: (of) => autocommit((orm) => all(orm, of)),
    swapSigningKeys: (of, read, next, audit) =>
      transaction(async (orm) => {
        // Of two replicas that change the keys at once, one finds what the other has made of them.
        await locks.exclusive(orm, 'signing_keys');
        const changes = signingKeyChanges(await all(orm, of), read, next);
        if (!changes) return false;
        for (const key of changes.added) await orm.insert(signingKeys).values(key);
        for (const one of changes.deleted) await orm.delete(signingKeys).where(eq(id, one));
        for (const { id: one, signingSince, retiredAt } of changes.changed)
          await orm.update(signingKeys).set({ signingSince, retiredAt }).where(eq(id, one));
        for (const entry of audit) await record(orm, entry);
        await record(orm, undefined, SIGNING_KEYS_CHANGED);
        return true;
      }),
  };
}
