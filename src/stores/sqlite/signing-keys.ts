// Keys that the deployment signs with, in SQLite.
import { desc, eq } from 'drizzle-orm';
import type { SigningKey } from '../../domain/signing-key.ts';
import type { SigningKeyStore } from '../../ports/index.ts';
import { SIGNING_KEYS_CHANGED, signingKeyChanges } from '../shared/signing-keys.ts';
import type { SqliteAccess } from './client.ts';
import { signingKeys } from './schema.ts';

export function createSigningKeyStore({ orm, read, write, record }: SqliteAccess): SigningKeyStore {
  const { id, purpose, createdAt } = signingKeys;
  const all = (of: SigningKey['purpose']) =>
    orm.select().from(signingKeys).where(eq(purpose, of)).orderBy(desc(createdAt), desc(id)).all();

  return {
    signingKeys: (of) => read(() => all(of)),
    swapSigningKeys: (of, before, next, audit) =>
      write(() => {
        const changes = signingKeyChanges(all(of), before, next);
        if (!changes) return false;
        for (const key of changes.added) orm.insert(signingKeys).values(key).run();
        for (const one of changes.deleted) orm.delete(signingKeys).where(eq(id, one)).run();
        for (const { id: one, ...state } of changes.changed)
          orm
            .update(signingKeys)
            .set({ signingSince: state.signingSince, retiredAt: state.retiredAt })
            .where(eq(id, one))
            .run();
        for (const entry of audit) record(entry);
        record(undefined, SIGNING_KEYS_CHANGED);
        return true;
      }),
  };
}
