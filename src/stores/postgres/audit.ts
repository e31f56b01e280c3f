// The audit log in PostgreSQL.
import { and, asc, desc, getTableColumns, gt, isNull, lt, or, type SQL, sql } from 'drizzle-orm';
import type { StoredAuditEntry } from '../../domain/audit.ts';
import { isBatch, ownersIn, weekOf } from '../../domain/audit-reads.ts';
import type { AuditFilter, AuditStore } from '../../ports/index.ts';
import { type AuditRange, type Contains, inAuditRange, matchesEntry } from '../shared/audit-filters.ts';
import { type AuditStatements, auditPage } from '../shared/audit-pages.ts';
import { isAnyOf } from './chosen-rows.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { auditReads, audit as log } from './schema.ts';

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

const contains: Contains = (column, text) => sql`strpos(${column}, ${text}) > 0`;

/**
 * Of each week that there is, as many as are wanted in all: there are few weeks, though a clock that was wrong may have left one
 * far away.
 */
export const batchesOf = (
  orm: Pick<Orm, 'execute'>,
  owner: string,
  { fromId, beforeId }: AuditFilter,
  after: string | undefined,
  limit: number,
) => {
  const inRange = and(
    fromId === undefined ? undefined : sql`entry >= ${fromId}`,
    beforeId === undefined ? undefined : sql`entry < ${beforeId}`,
    after === undefined ? undefined : sql`entry < ${after}`,
  );
  return orm.execute<{ entry: string }>(sql`
    with recursive weeks(week) as (
      select max(week) from audit_reads
      union all
      select (select max(week) from audit_reads where week < weeks.week) from weeks where weeks.week is not null
    )
    select found.entry
    from weeks
    cross join lateral (
      select entry from audit_reads
      where ${and(sql`week = weeks.week`, sql`owner = ${sql.param(owner, auditReads.owner)}`, inRange)}
      order by entry desc limit ${limit}
    ) as found
    order by found.entry desc limit ${limit}`);
};

const statementsOf = ({ autocommit }: PostgresAccess): AuditStatements => ({
  matching: (...given) => {
    const [range, filter, after, examine, wanted] = given;
    return autocommit((orm) => auditStep(orm, range, filter, after, examine, wanted).matching);
  },
  last: (range, filter, after, examine) =>
    autocommit(async (orm) => (await auditStep(orm, range, filter, after, examine, 1).last)[0]?.id),
  ownerOf: (id) =>
    autocommit(async (orm) => {
      const param = sql.param(id, log.connectionId);
      const { rows } = await orm.execute<{ owner: string | null }>(sql`
        select coalesce((select owner from connections where id = ${param}),
          (select owner from audit where connection_id = ${param} and owner is not null order by id desc limit 1)) as owner`);
      return rows[0]?.owner ?? undefined;
    }),
  batchesOf: (owner, filter, after, limit) =>
    autocommit(async (orm) => (await batchesOf(orm, owner, filter, after, limit)).rows.map(({ entry }) => entry)),
  rows: (ids) =>
    autocommit((orm) =>
      orm
        .select(entryColumns)
        .from(log)
        .where(sql`${log.id} = any(${sql.param(ids)}::text[])`)
        .orderBy(desc(log.id)),
    ),
});

export function createAuditStore(access: PostgresAccess): AuditStore {
  const { autocommit, transaction } = access;
  const statements = statementsOf(access);
  return {
    appendAudit: async (entries) => {
      if (entries.length === 0) return;
      const batches = entries.filter(isBatch);
      await transaction(async (orm) => {
        for (let i = 0; i < entries.length; i += ROWS_PER_INSERT) {
          const some = entries.slice(i, i + ROWS_PER_INSERT);
          await orm.insert(log).values(some).onConflictDoNothing();
        }
        if (batches.length > 0) await orm.execute(addReads(batches));
      });
    },
    missingAuditEntries: (ids) =>
      autocommit(async (orm) => {
        const stored = orm
          .select({ id: log.id })
          .from(log)
          .where(sql`${log.id} = any(${sql.param(ids)}::text[])`);
        const known = new Set((await stored).map(({ id }) => id));
        return ids.filter((id) => !known.has(id));
      }),
    audit: (filter, page) => auditPage(statements, filter, page),
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
    pruneAuditReads: (before, limit) =>
      autocommit(async (orm) => {
        const oldest = orm
          .select({ row: sql`ctid` })
          .from(auditReads)
          .where(lt(auditReads.week, weekOf(before)))
          .limit(limit)
          .for('update', { skipLocked: true });
        return (await orm.delete(auditReads).where(sql`ctid = any(array(${oldest}))`)).rowCount ?? 0;
      }),
  };
}

type Batches = readonly Pick<
  StoredAuditEntry,
  'id' | 'at' | 'action' | 'outcome' | 'owner' | 'connectionId' | 'detail'
>[];

/** The rows that find the batches by their owners. One parameter for each column, however many rows. */
function readsOf(batches: Batches): SQL {
  const rows = batches.flatMap((batch) =>
    ownersIn(batch).map((owner) => ({
      week: weekOf(batch.at),
      owner: auditReads.owner.mapToDriverValue(owner),
      entry: batch.id,
    })),
  );
  const column = (name: 'week' | 'owner' | 'entry') => sql.param(rows.map((row) => row[name]));
  return sql`unnest(${column('week')}::int[], ${column('owner')}::text[], ${column('entry')}::text[])`;
}

export const addReads = (batches: Batches): SQL =>
  sql`insert into audit_reads (week, owner, entry) select * from ${readsOf(batches)} on conflict do nothing`;

export const countUnlisted = (batches: Batches): SQL => sql`
  select count(*) from ${readsOf(batches)} as asked(week, owner, entry) where not exists (
    select from audit_reads r where r.week = asked.week and r.owner = asked.owner and r.entry = asked.entry)`;
