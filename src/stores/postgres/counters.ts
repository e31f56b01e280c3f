// Counters in PostgreSQL: of connections, kept by triggers, and by the hour.
import { asc, getTableColumns, lt, sql } from 'drizzle-orm';
import type { CounterStore } from '../../ports/index.ts';
import { countsByStatus } from '../shared/connection-counts.ts';
import { isInHours, keyed } from '../shared/hourly-counts.ts';
import { deleteSome } from './chosen-rows.ts';
import type { PostgresAccess } from './client.ts';
import { connectionCounts, hourlyCounts } from './schema.ts';

/** Rows that are folded at once; and four for each count, so that each step leaves fewer rows, however many counts there are. */
const FOLDED_AT_ONCE = 10_000;
/** With fewer rows than this beside two for each count, nothing is folded. */
const FEW_ROWS = 200;

/** Rows that another process is folding are left to it. A reader sees the rows before, or the row after, never both. */
const fold = (limit: number) => sql`
  with folded as (
    delete from connection_counts
    where id in (select id from connection_counts order by id limit ${limit} for update skip locked)
    returning integration, state, count
  )
  insert into connection_counts (integration, state, count)
  select integration, state, sum(count) from folded group by integration, state having sum(count) <> 0`;

export function createCounterStore({ autocommit, transaction }: PostgresAccess): CounterStore {
  const { integration, state } = connectionCounts;
  const { id: _, ...columns } = getTableColumns(hourlyCounts);

  return {
    countConnections: () =>
      autocommit(async (orm) =>
        countsByStatus(
          await orm
            .select({ integration, state, count: sql<number>`sum(count)`.mapWith(Number) })
            .from(connectionCounts)
            .groupBy(integration, state),
        ),
      ),
    foldConnectionCounts: () =>
      transaction(async (orm) => {
        const { rows } = await orm.execute<{ rows: number; counts: number }>(
          sql`select count(*)::int as rows, count(distinct (integration, state))::int as counts from connection_counts`,
        );
        const { rows: stored, counts } = rows[0]!;
        if (stored <= 2 * counts + FEW_ROWS) return false;
        const limit = Math.max(FOLDED_AT_ONCE, 4 * counts);
        await orm.execute(fold(limit));
        return stored > limit;
      }),
    addHourlyCounts: async (counts) => {
      if (counts.length === 0) return;
      await transaction(async (orm) => {
        await orm
          .insert(hourlyCounts)
          .values(keyed(counts))
          .onConflictDoUpdate({ target: hourlyCounts.id, set: { count: sql`${hourlyCounts.count} + excluded.count` } });
      });
    },
    hourlyCounts: (range) =>
      autocommit((orm) =>
        orm.select(columns).from(hourlyCounts).where(isInHours(hourlyCounts, range)).orderBy(asc(hourlyCounts.hour)),
      ),
    deleteHourlyCounts: (before, limit) =>
      autocommit((orm) => deleteSome(orm, hourlyCounts, hourlyCounts.id, lt(hourlyCounts.hour, before), limit)),
  };
}
