// The audit log in PostgreSQL.
import { and, asc, desc, getTableColumns, gt, isNull, lt, or } from 'drizzle-orm';
import type { AuditFilter, AuditStore } from '../../ports/index.ts';
import { boundedPage, EXAMINED_PER_STEP, stepOf } from '../shared/bounded-pages.ts';
import { type AuditRange, inAuditRange, matchesEntry, sparsestAuditRange } from '../shared/filters.ts';
import { isAnyOf } from './chosen-rows.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { audit as log } from './schema.ts';

/** All but its place in the hash chain, which the database gives. */
export const { position: _, ...entryColumns } = getTableColumns(log);

/** Rows in one statement, which takes 65,535 parameters at most. */
const ROWS_PER_INSERT = 1_000;

/** The newest entries of a range, of which those that match; and the last one that was examined. */
export function auditStep(
  orm: Pick<Orm, 'select'>,
  range: AuditRange,
  filter: AuditFilter,
  after: string | undefined,
  examine: number,
  wanted: number,
) {
  const inRange = inAuditRange(log, range, filter, after);
  const examined = orm
    .select(entryColumns)
    .from(log)
    .where(inRange)
    .orderBy(desc(log.id))
    .limit(examine)
    .as('examined');
  return {
    matching: orm
      .select()
      .from(examined)
      .where(matchesEntry(examined, filter))
      .orderBy(desc(examined.id))
      .limit(wanted),
    last: orm
      .select({ id: log.id })
      .from(log)
      .where(inRange)
      .orderBy(desc(log.id))
      .limit(1)
      .offset(examine - 1),
  };
}

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
  async audit(filter, page) {
    const range = await sparsestAuditRange(filter, (one) =>
      autocommit(async (orm) => (await auditStep(orm, one, filter, page.after, EXAMINED_PER_STEP, 1).last)[0]?.id),
    );
    return boundedPage(page, -1, [
      (after, examine, wanted) =>
        autocommit(async (orm) => {
          const { matching, last } = auditStep(orm, range, filter, after, examine, wanted);
          const rows = await matching;
          const [lastOne] = rows.length === wanted ? [] : await last;
          return stepOf(rows, wanted, () => lastOne?.id);
        }),
    ]);
  },
  pruneAudit: (before, limit, sealedUpTo = 0) =>
    autocommit(async (orm) => {
      const oldest = orm
        .select({ id: log.id })
        .from(log)
        .where(and(or(isNull(log.position), gt(log.position, sealedUpTo)), lt(log.id, before)))
        .orderBy(asc(log.id))
        .limit(limit)
        .for('update', { skipLocked: true });
      return (await orm.delete(log).where(isAnyOf(log.id, oldest))).rowCount ?? 0;
    }),
});
