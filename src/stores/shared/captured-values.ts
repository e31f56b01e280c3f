// Which of a connection's captured values a change replaces, for the table of any dialect.
import { and, type Column, eq, or, type SQL, sql } from 'drizzle-orm';
import type { CapturedValue } from '../../domain/captured-values.ts';
import type { Connection } from '../../domain/connection.ts';

type Columns = Record<'connectionId' | 'key', Column>;

/** What a new or renewed grant replaces: all that `src/domain/captured-values.ts` makes, and nothing else under this id. */
export const ofGrant = (table: Columns, connectionId: string): SQL | undefined =>
  and(eq(table.connectionId, connectionId), or(isRefreshed(table), sql`substr(${table.key}, 1, 7) = 'params.'`));

/** What a refresh replaces. */
export const ofRefresh = (table: Columns, connectionId: string): SQL | undefined =>
  and(eq(table.connectionId, connectionId), isRefreshed(table));

/** Digests of the refresh token. */
export const ofTokens = (table: Columns, connectionId: string): SQL | undefined =>
  and(eq(table.connectionId, connectionId), sql`substr(${table.key}, 1, 14) = 'refresh_token.'`);

/** The digest of an imported refresh token, which is known by it as long as its successors are stored. */
export const ofImport = (table: Columns, connectionId: string): SQL | undefined =>
  and(eq(table.connectionId, connectionId), eq(table.key, 'imported.refresh_token'));

export const tokenDigestRows = (
  { id: connectionId, integration }: Pick<Connection, 'id' | 'integration'>,
  digests: Readonly<Record<string, string>>,
): CapturedValue[] =>
  Object.entries(digests).map(([key, value]) => ({
    id: `${connectionId}:${key}`,
    connectionId,
    integration,
    key,
    value,
  }));

const isRefreshed = ({ key }: Columns): SQL =>
  sql`(${key} in ('account.id', 'identity.sub') or substr(${key}, 1, 9) = 'captured.')`;
