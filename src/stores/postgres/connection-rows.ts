// Rows of connections as arrays, for the statements that every refresh runs: mapped here, column by column, since the query
// builder's own mapping takes longer than the statement.
import { getTableColumns } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import type { Connection, EncryptedCredentials } from '../../domain/connection.ts';
import { connections, grants } from './schema.ts';

const { connectionId: _, ...secrets } = getTableColumns(grants);
const columnsOfConnection = Object.entries(getTableColumns(connections)) as [keyof Connection, PgColumn][];
const columnsOfCredentials = Object.entries(secrets) as [keyof EncryptedCredentials, PgColumn][];

/**
 * The columns of a connection, for a `select` from `row`: the alias of the table, or an expression of its type. All have one
 * name: rows are arrays, but `pg` makes an object of the names for each result, which is a third of its work for one row.
 */
export const connectionColumns = (row: string): string => listed(columnsOfConnection, row);
export const credentialColumns = (row: string): string => listed(columnsOfCredentials, row);

const listed = (columns: [string, PgColumn][], row: string): string =>
  columns.map(([, { name }]) => `${row}."${name}" as c`).join(', ');

/** Of a row that has these columns from `at` on. */
export const connectionAt = (row: readonly unknown[], at: number): Connection =>
  mapped<Connection>(columnsOfConnection, row, at);

/** Behind the columns of a connection. */
export const credentialsAfter = (row: readonly unknown[], at: number): EncryptedCredentials =>
  mapped<EncryptedCredentials>(columnsOfCredentials, row, at + columnsOfConnection.length);

function mapped<T>(columns: [string, PgColumn][], row: readonly unknown[], at: number): T {
  const object: Record<string, unknown> = {};
  for (const [index, [key, column]] of columns.entries()) {
    const value = row[at + index];
    object[key] = value === null ? null : column.mapFromDriverValue(value);
  }
  return object as T;
}
