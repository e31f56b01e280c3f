// Which of a connection's captured values a change replaces, for the table of any dialect.
import { and, type Column, eq, or, type SQL, sql } from 'drizzle-orm';

type Columns = Record<'connectionId' | 'key', Column>;

/** What a new or renewed grant replaces: all that `src/domain/captured-values.ts` makes, and nothing else under this id. */
export const ofGrant = (table: Columns, connectionId: string): SQL | undefined =>
  and(eq(table.connectionId, connectionId), or(isRefreshed(table), sql`substr(${table.key}, 1, 7) = 'params.'`));

/** What a refresh replaces. */
export const ofRefresh = (table: Columns, connectionId: string): SQL | undefined =>
  and(eq(table.connectionId, connectionId), isRefreshed(table));

const isRefreshed = ({ key }: Columns): SQL => sql`(${key} = 'account.id' or substr(${key}, 1, 9) = 'captured.')`;
