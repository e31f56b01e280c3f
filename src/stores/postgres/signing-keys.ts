// Keys that the deployment signs with, in PostgreSQL.
import { and, desc, eq, gte, isNull, ne, or, sql } from 'drizzle-orm';
import type { SigningKey } from '../../domain/signing-key.ts';
import type { WebhookEndpointStore } from '../../ports/index.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { signingKeys } from './schema.ts';

/** A lock of the transaction: of two replicas that make the first key, one finds that of the other. */
const SIGNING_KEYS_LOCK = sql.raw(String(0x76_6b_73_6b));

export function createSigningKeyStore({
  autocommit,
  transaction,
  record,
}: PostgresAccess): Pick<WebhookEndpointStore, 'signingKeys' | 'addSigningKey'> {
  const { id, purpose, retiredAt } = signingKeys;
  const signing = (orm: Orm, of: SigningKey['purpose'], retiredSince: number) =>
    orm
      .select()
      .from(signingKeys)
      .where(and(eq(purpose, of), or(isNull(retiredAt), gte(retiredAt, retiredSince))))
      .orderBy(desc(id));

  return {
    signingKeys: (of, retiredSince) => autocommit((orm) => signing(orm, of, retiredSince)),
    addSigningKey: (key, unlessAny, audit) =>
      transaction(async (orm) => {
        await orm.execute(sql`select pg_advisory_xact_lock(${SIGNING_KEYS_LOCK})`);
        const current = await signing(orm, key.purpose, Number.MAX_SAFE_INTEGER);
        if (unlessAny && current.length > 0) return current;
        await orm.insert(signingKeys).values(key);
        await orm
          .update(signingKeys)
          .set({ retiredAt: key.createdAt })
          .where(and(eq(purpose, key.purpose), isNull(retiredAt), ne(id, key.id)));
        if (audit) await record(orm, audit);
        return [key];
      }),
  };
}
