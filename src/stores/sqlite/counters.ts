// Counters in SQLite: of connections, kept by triggers, and by the hour.
import { asc, getTableColumns, lt, ne, sql } from 'drizzle-orm';
import type { CounterStore } from '../../ports/index.ts';
import { countsByStatus } from '../shared/connection-counts.ts';
import { isInHours, keyed } from '../shared/hourly-counts.ts';
import { deleteSome } from './chosen-rows.ts';
import type { SqliteAccess } from './client.ts';
import { prepared, runner } from './prepared-queries.ts';
import { connectionCounts, hourlyCounts } from './schema.ts';

export function createCounterStore({ orm, read, write, writeAside }: SqliteAccess): CounterStore {
  const { integration, state, count } = connectionCounts;
  const counted = prepared(() => orm.select({ integration, state, count }).from(connectionCounts).where(ne(count, 0)));
  const { id: _, ...columns } = getTableColumns(hourlyCounts);
  const add = runner(orm, () =>
    orm
      .insert(hourlyCounts)
      .values({
        id: sql.placeholder('id'),
        hour: sql.placeholder('hour'),
        integration: sql.placeholder('integration'),
        metric: sql.placeholder('metric'),
        outcome: sql.placeholder('outcome'),
        count: sql.placeholder('count'),
      })
      .onConflictDoUpdate({ target: hourlyCounts.id, set: { count: sql`${hourlyCounts.count} + excluded.count` } }),
  );

  return {
    countConnections: () => read(() => countsByStatus(counted.all())),
    // One writer at a time: each count is one row from the start.
    foldConnectionCounts: async () => false,
    addHourlyCounts: async (counts) => {
      if (counts.length === 0) return;
      await writeAside(() => {
        for (const one of keyed(counts)) add({ ...one });
      });
    },
    hourlyCounts: (range) =>
      read(() =>
        orm
          .select(columns)
          .from(hourlyCounts)
          .where(isInHours(hourlyCounts, range))
          .orderBy(asc(hourlyCounts.hour))
          .all(),
      ),
    deleteHourlyCounts: (before, limit) =>
      write(() => deleteSome(orm, hourlyCounts, hourlyCounts.id, lt(hourlyCounts.hour, before), limit)),
  };
}
