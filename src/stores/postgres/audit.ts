// The audit log in PostgreSQL.
import { and, asc, desc, eq, gte, inArray, lt } from 'drizzle-orm';
import type { Store } from '../../ports/index.ts';
import { type PostgresAccess, pageOf } from './client.ts';
import { audit } from './schema.ts';

/** Rows in one statement, which has room for 65,535 values. */
const AT_ONCE = 1_000;

export const auditStore = ({ ask, write }: PostgresAccess): Pick<Store, 'appendAudit' | 'audit' | 'pruneAudit'> => ({
  appendAudit: async (entries) => {
    if (entries.length === 0) return;
    // Whoever has lost the answer to a commit brings the same entries again.
    await write(async (orm) => {
      for (let i = 0; i < entries.length; i += AT_ONCE) {
        const some = entries.slice(i, i + AT_ONCE);
        await orm.insert(audit).values(some).onConflictDoNothing();
      }
    });
  },
  audit: (filter, { limit, after }) =>
    ask(async (orm) => {
      const rows = await orm
        .select()
        .from(audit)
        .where(
          and(
            filter.integration === undefined ? undefined : eq(audit.integration, filter.integration),
            filter.owner === undefined ? undefined : eq(audit.owner, filter.owner),
            filter.connectionId === undefined ? undefined : eq(audit.connectionId, filter.connectionId),
            filter.actor === undefined ? undefined : eq(audit.actor, filter.actor),
            filter.action === undefined ? undefined : eq(audit.action, filter.action),
            filter.outcome === undefined ? undefined : eq(audit.outcome, filter.outcome),
            filter.from === undefined ? undefined : gte(audit.at, filter.from),
            filter.to === undefined ? undefined : lt(audit.at, filter.to),
            after === undefined ? undefined : lt(audit.id, after),
          ),
        )
        .orderBy(desc(audit.id))
        .limit(limit + 1);
      return pageOf(rows, limit);
    }),
  pruneAudit: (before, limit) =>
    ask(async (orm) => {
      const oldest = orm
        .select({ id: audit.id })
        .from(audit)
        .where(lt(audit.id, before))
        .orderBy(asc(audit.id))
        .limit(limit)
        .for('update', { skipLocked: true });
      return (await orm.delete(audit).where(inArray(audit.id, oldest))).rowCount ?? 0;
    }),
});
