// The PostgreSQL tables of counters: connections by integration and state, and what happened by the hour.
import { bigint, index, pgTable } from 'drizzle-orm/pg-core';
import type { HourlyMetric } from '../../domain/hourly-counts.ts';
import type { CountedState } from '../shared/connection-counts.ts';
import { text, time } from './columns.ts';

/**
 * Kept exact by triggers on `connections`, in the commits that change them, so that replicas of earlier releases count as
 * well. Each commit inserts what it adds or takes away, and waits for no other; a count is the sum of its rows, which
 * housekeeping folds into one (`foldConnectionCounts`).
 */
export const connectionCounts = pgTable('connection_counts', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  integration: text('integration').notNull(),
  state: text('state').$type<CountedState>().notNull(),
  count: bigint('count', { mode: 'number' }).notNull(),
});

/** `id`: hour, metric, outcome and integration. `hour`: when it began. `integration` empty: of none. */
export const hourlyCounts = pgTable(
  'hourly_counts',
  {
    id: text('id').primaryKey(),
    hour: time('hour').notNull(),
    integration: text('integration').notNull(),
    metric: text('metric').$type<HourlyMetric>().notNull(),
    outcome: text('outcome').notNull(),
    count: bigint('count', { mode: 'number' }).notNull(),
  },
  (t) => [index('hourly_counts_at').on(t.hour), index('hourly_counts_of_integration').on(t.integration, t.hour)],
);
