// Hourly counts, for tables of any dialect: their keys, and the conditions by which they are read.
import { and, type Column, eq, gte, lt, type SQL } from 'drizzle-orm';
import type { HourlyCount } from '../../domain/hourly-counts.ts';
import type { CounterStore } from '../../ports/index.ts';

/** The integration is last: only it may hold any character. Sorted, so that no two processes wait for each other in a circle. */
export const keyed = (counts: readonly HourlyCount[]): (HourlyCount & { id: string })[] =>
  counts
    .map((one) => ({ ...one, id: `${one.hour}:${one.metric}:${one.outcome}:${one.integration}` }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));

export const isInHours = (
  counts: Record<'hour' | 'integration', Column>,
  { from, to, integration }: Parameters<CounterStore['hourlyCounts']>[0],
): SQL | undefined =>
  and(
    gte(counts.hour, from),
    lt(counts.hour, to),
    integration === undefined ? undefined : eq(counts.integration, integration),
  );
