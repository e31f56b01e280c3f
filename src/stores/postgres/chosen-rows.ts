// Rows that a subquery with a limit chooses, for a statement that changes them.
import { type Column, type SQL, sql } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import type { SQLWrapper } from 'drizzle-orm/sql';
import type { Orm } from './client.ts';

/**
 * Whether the column is among the rows of `chosen`, which is run once. With `in (select … limit … for update skip locked)`,
 * PostgreSQL may run it again for each row, and choose others each time, beyond the limit.
 */
export const isAnyOf = (column: Column, chosen: SQLWrapper): SQL => sql`${column} = any(array(${chosen}))`;

/**
 * Deletes up to `limit` of these rows, for housekeeping: those that another process has locked are left to it. True: there
 * may be more.
 */
export async function deleteSome(
  orm: Orm,
  table: PgTable,
  key: PgColumn,
  which: SQL | undefined,
  limit: number,
): Promise<boolean> {
  const chosen = orm.select({ key }).from(table).where(which).limit(limit).for('update', { skipLocked: true });
  const { rowCount } = await orm.delete(table).where(isAnyOf(key, chosen));
  return (rowCount ?? 0) >= limit;
}
