// The values that webhooks find their connections by, in PostgreSQL: written in the commits that change them.
import { eq, type SQL } from 'drizzle-orm';
import { capturedValues } from '../../domain/captured-values.ts';
import type { Connection, WrittenCredentials } from '../../domain/connection.ts';
import { ofGrant, ofImport, ofRefresh, ofTokens, tokenDigestRows } from '../shared/captured-values.ts';
import type { Orm } from './client.ts';
import { connections, capturedValues as table } from './schema.ts';

type Valued = Parameters<typeof capturedValues>[0];

/** Inside the transaction that creates or renews it. */
export const replaceCapturedValues = (orm: Orm, connection: Pick<Connection, 'id'> & Valued): Promise<void> =>
  write(orm, ofGrant(table, connection.id), connection, true);

/** Inside the transaction that commits its refresh: of the row as it is written by then. */
export async function refreshCapturedValues(orm: Orm, id: string): Promise<void> {
  const [connection] = await orm.select().from(connections).where(eq(connections.id, id));
  if (connection) await write(orm, ofRefresh(table, id), connection, false);
}

/** Inside the transaction that revokes it. */
export async function deleteCapturedValues(orm: Orm, id: string): Promise<void> {
  await orm.delete(table).where(eq(table.connectionId, id));
}

async function write(orm: Orm, replaced: SQL | undefined, connection: Valued, withParams: boolean): Promise<void> {
  await orm.delete(table).where(replaced);
  const rows = capturedValues(withParams ? connection : { ...connection, params: {} });
  if (rows.length > 0) await orm.insert(table).values(rows);
}

/** Inside the transaction that renews it with another refresh token. */
export async function forgetImport(orm: Orm, id: string): Promise<void> {
  await orm.delete(table).where(ofImport(table, id));
}

/** Inside the transaction that writes the credentials. Undefined: those that are there stay. */
export async function replaceTokenDigests(
  orm: Orm,
  connection: Pick<Connection, 'id' | 'integration'>,
  digests: WrittenCredentials['tokenDigests'],
): Promise<void> {
  if (digests === undefined) return;
  await orm.delete(table).where(ofTokens(table, connection.id));
  const rows = tokenDigestRows(connection, digests);
  if (rows.length > 0) await orm.insert(table).values(rows);
}
