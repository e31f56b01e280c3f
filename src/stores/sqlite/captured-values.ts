// The values that webhooks find their connections by, in SQLite: written in the commits that change them.
import { eq, type SQL } from 'drizzle-orm';
import { capturedValues } from '../../domain/captured-values.ts';
import type { Connection, WrittenCredentials } from '../../domain/connection.ts';
import { ofGrant, ofImport, ofRefresh, ofTokens, tokenDigestRows } from '../shared/captured-values.ts';
import type { SqliteAccess } from './client.ts';
import { connections, capturedValues as table } from './schema.ts';

type Orm = SqliteAccess['orm'];
type Valued = Parameters<typeof capturedValues>[0];

/** Inside the operation that creates or renews it. */
export const replaceCapturedValues = (orm: Orm, connection: Pick<Connection, 'id'> & Valued): void =>
  write(orm, ofGrant(table, connection.id), connection, true);

/** Inside the operation that commits its refresh: of the row as it is written by then. */
export function refreshCapturedValues(orm: Orm, id: string): void {
  const connection = orm.select().from(connections).where(eq(connections.id, id)).get();
  if (connection) write(orm, ofRefresh(table, id), connection, false);
}

/** Inside the operation that revokes it. */
export const deleteCapturedValues = (orm: Orm, id: string): void =>
  void orm.delete(table).where(eq(table.connectionId, id)).run();

function write(orm: Orm, replaced: SQL | undefined, connection: Valued, withParams: boolean): void {
  orm.delete(table).where(replaced).run();
  const rows = capturedValues(withParams ? connection : { ...connection, params: {} });
  for (const row of rows) orm.insert(table).values(row).run();
}

/** Inside the operation that renews it with another refresh token. */
export const forgetImport = (orm: Orm, id: string): void => void orm.delete(table).where(ofImport(table, id)).run();

/** Inside the operation that writes the credentials. Undefined: those that are there stay. */
export function replaceTokenDigests(
  orm: Orm,
  connection: Pick<Connection, 'id' | 'integration'>,
  digests: WrittenCredentials['tokenDigests'],
): void {
  if (digests === undefined) return;
  orm.delete(table).where(ofTokens(table, connection.id)).run();
  for (const row of tokenDigestRows(connection, digests)) orm.insert(table).values(row).run();
}
