// The audit log in SQLite.
import type { Database } from 'better-sqlite3';
import { and, asc, desc, getTableColumns, gt, inArray, isNull, lt, or } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import { ANCHOR, HEAD } from '../../domain/audit-seal.ts';
import type { AuditFilter, AuditStore } from '../../ports/index.ts';
import { boundedPage, EXAMINED_PER_STEP, stepOf } from '../shared/bounded-pages.ts';
import { type AuditRange, inAuditRange, matchesEntry, sparsestAuditRange } from '../shared/filters.ts';
import type { SqliteAccess } from './client.ts';
import { audit as log } from './schema.ts';

/** All but its place in the hash chain. */
export const { position: _, ...entryColumns } = getTableColumns(log);

/** One writer at a time: places are in the order of the commits. Also after all entries of a time were deleted. */
const NEXT_POSITION = `select 1 + max(
  coalesce((select max(position) from audit), 0),
  coalesce((select to_position from audit_seals where id < '${ANCHOR}' order by id desc limit 1), 0),
  coalesce((select to_position from audit_seals where id = '${HEAD}'), 0))`;

/** Writes an entry inside an operation. Without drizzle's mapping, which does nothing here: every read writes an entry. */
export function auditWriter(client: Database): (entry: AuditEntry) => void {
  const columns = Object.entries(entryColumns);
  const names = columns.map(([, { name }]) => name).join(', ');
  const insert = client.prepare(
    `insert into audit (${names}, position) values (${columns.map(([key]) => `@${key}`).join(', ')}, (${NEXT_POSITION}))
     on conflict (id) do nothing`,
  );
  return (entry) => void insert.run(entry);
}

/** The newest entries of a range, of which those that match; and the last one that was examined. */
export function auditStep(
  orm: Pick<SqliteAccess['orm'], 'select'>,
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

export const createAuditStore = ({ orm, read, write, recordEntry }: SqliteAccess): AuditStore => ({
  appendAudit: async (entries) => {
    if (entries.length === 0) return;
    await write(() => {
      for (const entry of entries) recordEntry(entry);
    });
  },
  async audit(filter, page) {
    const range = await sparsestAuditRange(filter, (one) =>
      read(() => auditStep(orm, one, filter, page.after, EXAMINED_PER_STEP, 1).last.get()?.id),
    );
    return boundedPage(page, -1, [
      (after, examine, wanted) =>
        read(() => {
          const { matching, last } = auditStep(orm, range, filter, after, examine, wanted);
          return stepOf(matching.all(), wanted, () => last.get()?.id);
        }),
    ]);
  },
  pruneAudit: (before, limit, sealedUpTo = 0) =>
    write(() => {
      const oldest = orm
        .select({ id: log.id })
        .from(log)
        .where(and(or(isNull(log.position), gt(log.position, sealedUpTo)), lt(log.id, before)))
        .orderBy(asc(log.id))
        .limit(limit);
      return orm.delete(log).where(inArray(log.id, oldest)).run().changes;
    }),
});
