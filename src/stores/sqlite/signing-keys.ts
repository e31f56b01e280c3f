// Keys that the deployment signs with, in SQLite.
import { and, desc, eq, gte, isNull, ne, or } from 'drizzle-orm';
import type { SigningKey } from '../../domain/signing-key.ts';
import type { WebhookEndpointStore } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { signingKeys } from './schema.ts';

export function createSigningKeyStore({
  orm,
  read,
  write,
  record,
}: SqliteAccess): Pick<WebhookEndpointStore, 'signingKeys' | 'addSigningKey'> {
  const { id, purpose, retiredAt } = signingKeys;
  const signing = (of: SigningKey['purpose'], retiredSince: number) =>
    orm
      .select()
      .from(signingKeys)
      .where(and(eq(purpose, of), or(isNull(retiredAt), gte(retiredAt, retiredSince))))
      .orderBy(desc(id))
      .all();

  return {
    signingKeys: (of, retiredSince) => read(() => signing(of, retiredSince)),
    addSigningKey: (key, unlessAny, audit) =>
      write(() => {
        const current = signing(key.purpose, Number.MAX_SAFE_INTEGER).filter((one) => one.retiredAt === null);
        if (unlessAny && current.length > 0) return current;
        orm.insert(signingKeys).values(key).run();
        orm
          .update(signingKeys)
          .set({ retiredAt: key.createdAt })
          .where(and(eq(purpose, key.purpose), isNull(retiredAt), ne(id, key.id)))
          .run();
        if (audit) record(audit);
        return [key];
      }),
  };
}
