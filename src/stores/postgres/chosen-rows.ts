// Rows that a subquery with a limit chooses, for a statement that changes them.
import { type Column, type SQL, sql } from 'drizzle-orm';
import type { SQLWrapper } from 'drizzle-orm/sql';

/**
 * Whether the column is among the rows of `chosen`, which is run once. With `in (select … limit … for update skip locked)`,
 * PostgreSQL may run it again for each row, and choose others each time, beyond the limit.
 */
export const isAnyOf = (column: Column, chosen: SQLWrapper): SQL => sql`${column} = any(array(${chosen}))`;
