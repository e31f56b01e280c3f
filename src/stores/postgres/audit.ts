// The audit log in PostgreSQL.
import { asc, desc, inArray, lt } from 'drizzle-orm';
import type { AuditStore } from '../../ports/index.ts';
import { matchesEntry } from '../shared/filters.ts';
import { pageOf } from '../shared/pages.ts';
import type { PostgresAccess } from './client.ts';
import { audit as log } from './schema.ts';

/** Rows in one statement, which takes 65,535 parameters at most. */
const ROWS_PER_INSERT = 1_000;

export const createAuditStore = ({ autocommit, transaction }: PostgresAccess): AuditStore => ({
  appendAudit: async (entries) => {
    if (entries.length === 0) return;
    await transaction(async (orm) => {
      for (let i = 0; i < entries.length; i += ROWS_PER_INSERT) {
        const some = entries.slice(i, i + ROWS_PER_INSERT);
        await orm.insert(log).values(some).onConflictDoNothing();
      }
    });
  },
  audit: (filter, { limit, after }) =>
    autocommit(async (orm) => {
      const rows = await orm
        .select()
        .from(log)
        .where(matchesEntry(log, filter, after))
        .orderBy(desc(log.id))
        .limit(limit + 1);
      return pageOf(rows, limit);
    }),
  pruneAudit: (before, limit) =>
    autocommit(async (orm) => {
      const oldest = orm
        .select({ id: log.id })
        .from(log)
        .where(lt(log.id, before))
        .orderBy(asc(log.id))
        .limit(limit)
        .for('update', { skipLocked: true });
      return (await orm.delete(log).where(inArray(log.id, oldest))).rowCount ?? 0;
    }),
});
