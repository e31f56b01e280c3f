// Rows of connections, mapped here and not by drizzle, whose mapping takes as long as SQLite does: for the reads that serve
// tokens and refresh them.
import { getTableColumns } from 'drizzle-orm';
import type { Connection } from '../../domain/connection.ts';
import { connections } from './schema.ts';

/** The columns of a row, for a `select` from `connections`. */
export const CONNECTION_COLUMNS = Object.entries(getTableColumns(connections))
  .map(([key, { name }]) => `"${name}" as "${key}"`)
  .join(', ');

/** As SQLite has it. Lists and records are JSON text: one that is not parsed below is a type error. */
export type ConnectionRow = {
  [C in keyof Connection]: NonNullable<Connection[C]> extends object
    ? string | Extract<Connection[C], null>
    : Connection[C];
};

export const connectionOf = (row: ConnectionRow): Connection => ({
  ...row,
  scopes: parsed(row.scopes),
  metadata: parsed(row.metadata),
  params: parsed(row.params),
  captured: parsed(row.captured),
  identity: parsed(row.identity),
  account: parsed(row.account),
  lastRefreshError: parsed(row.lastRefreshError),
});

const parsed = (text: string | null) => (text === null ? null : JSON.parse(text));
