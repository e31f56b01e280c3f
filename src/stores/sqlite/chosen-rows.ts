// Rows that a subquery with a limit chooses, for a statement that deletes them.
import { inArray, type SQL } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { SqliteAccess } from './client.ts';

/** Deletes up to `limit` of these rows, for housekeeping. True: there may be more. */
export function deleteSome(
  orm: SqliteAccess['orm'],
  table: SQLiteTable,
  key: SQLiteColumn,
  which: SQL | undefined,
  limit: number,
): boolean {
  const chosen = orm.select({ key }).from(table).where(which).limit(limit);
  return orm.delete(table).where(inArray(key, chosen)).run().changes >= limit;
}
