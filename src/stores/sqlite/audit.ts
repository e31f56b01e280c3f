// The audit log in SQLite.
import { and, asc, desc, getTableColumns, gt, inArray, isNull, lt, or, sql } from 'drizzle-orm';
import { weekOf } from '../../domain/audit-reads.ts';
import type { AuditFilter, AuditStore } from '../../ports/index.ts';
import { type AuditRange, type Contains, inAuditRange, matchesEntry } from '../shared/audit-filters.ts';
import { type AuditStatements, auditPage } from '../shared/audit-pages.ts';
import type { SqliteAccess } from './client.ts';
import { auditReads, audit as log } from './schema.ts';

/** All but its place in the hash chain. */
export const { position: _, ...entryColumns } = getTableColumns(log);

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
      .where(matchesEntry(examined, filter, contains))
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

const contains: Contains = (column, text) => sql`instr(${column}, ${text}) > 0`;

function statementsOf({ orm, read }: SqliteAccess): AuditStatements {
  const client = orm.$client;
  const ownerOf = client.prepare<[string, string], string | null>(
    `select coalesce((select owner from connections where id = ?),
       (select owner from audit where connection_id = ? and owner is not null order by id desc limit 1))`,
  );
  // Only those that there are: a clock that was wrong may have left one far away.
  const weekBefore = client.prepare<[number], number | null>('select max(week) from audit_reads where week < ?');
  const ofWeek = client.prepare<[number, string, string, string, number], string>(OF_WEEK);
  return {
    matching: (...given) => {
      const [range, filter, after, examine, wanted] = given;
      return read(() => auditStep(orm, range, filter, after, examine, wanted).matching.all());
    },
    last: (range, filter, after, examine) =>
      read(() => auditStep(orm, range, filter, after, examine, 1).last.get()?.id),
    ownerOf: (id) => read(() => ownerOf.pluck().get(id, id) ?? undefined),
    batchesOf: (owner, { fromId = '', beforeId = '{' }, after = '{', limit) =>
      read(() => {
        const ids: string[] = [];
        const below = after < beforeId ? after : beforeId;
        const next = (week: number) => weekBefore.pluck().get(week) ?? undefined;
        for (let week = next(Number.MAX_SAFE_INTEGER); week !== undefined && ids.length < limit; week = next(week))
          ids.push(...ofWeek.pluck().all(week, owner, below, fromId, limit - ids.length));
        return ids;
      }),
    rows: (ids) =>
      read(() => orm.select(entryColumns).from(log).where(inArray(log.id, ids)).orderBy(desc(log.id)).all()),
  };
}

/** `{` is greater than every id. */
export const OF_WEEK = `select entry from audit_reads where week = ? and owner = ? and entry < ? and entry >= ?
  order by entry desc limit ?`;

export function createAuditStore(access: SqliteAccess): AuditStore {
  const { orm, read, write, recordElsewhere } = access;
  const statements = statementsOf(access);
  return {
    appendAudit: async (entries) => {
      if (entries.length > 0) await recordElsewhere(entries);
    },
    missingAuditEntries: (ids) =>
      read(() => {
        const stored = orm
          .select({ id: log.id })
          .from(log)
          .where(inArray(log.id, [...ids]))
          .all();
        const known = new Set(stored.map(({ id }) => id));
        return ids.filter((id) => !known.has(id));
      }),
    audit: (filter, page) => auditPage(statements, filter, page),
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
    pruneAuditReads: (before, limit) =>
      write(() => {
        const { week, owner, entry } = auditReads;
        const key = sql`(${week}, ${owner}, ${entry})`;
        const oldest = orm
          .select({ week, owner, entry })
          .from(auditReads)
          .where(lt(week, weekOf(before)))
          .limit(limit);
        return orm.delete(auditReads).where(sql`${key} in (${oldest})`).run().changes;
      }),
  };
}
