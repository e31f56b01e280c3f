// The SQLite tables of counters: connections by integration and state, and what happened by the hour.
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { HourlyMetric } from '../../domain/hourly-counts.ts';
import type { CountedState } from '../shared/connection-counts.ts';

/**
 * Kept exact by triggers on `connections`, in the commits that change them, so that replicas of earlier releases count as
 * well. A migration that rebuilds `connections` drops its triggers: it must create them again. `id`: integration and state.
 */
export const connectionCounts = sqliteTable('connection_counts', {
  id: text('id').primaryKey(),
  integration: text('integration').notNull(),
  state: text('state').$type<CountedState>().notNull(),
  count: integer('count').notNull(),
});

/** `id`: hour, metric, outcome and integration. `hour`: when it began. `integration` empty: of none. */
export const hourlyCounts = sqliteTable(
  'hourly_counts',
  {
    id: text('id').primaryKey(),
    hour: integer('hour').notNull(),
    integration: text('integration').notNull(),
    metric: text('metric').$type<HourlyMetric>().notNull(),
    outcome: text('outcome').notNull(),
    count: integer('count').notNull(),
  },
  (t) => [index('hourly_counts_at').on(t.hour), index('hourly_counts_of_integration').on(t.integration, t.hour)],
);
