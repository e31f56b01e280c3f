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

/** Member by member: to copy the row as a whole takes three times as long. What else the row has is left out. */
export const connectionOf = (row: ConnectionRow): Connection => ({
  id: row.id,
  integration: row.integration,
  owner: row.owner,
  label: row.label,
  status: row.status,
  reason: row.reason,
  scopes: JSON.parse(row.scopes),
  metadata: JSON.parse(row.metadata),
  params: JSON.parse(row.params),
  captured: JSON.parse(row.captured),
  identity: parsed(row.identity),
  account: parsed(row.account),
  tokenType: row.tokenType,
  issuedAt: row.issuedAt,
  expiresAt: row.expiresAt,
  nextRefreshAt: row.nextRefreshAt,
  reauthDueAt: row.reauthDueAt,
  lastRefreshedAt: row.lastRefreshedAt,
  lastRefreshError: parsed(row.lastRefreshError),
  lastCheckedAt: row.lastCheckedAt,
  lastCheckError: row.lastCheckError,
  failures: row.failures,
  generation: row.generation,
  upstreamRevocation: row.upstreamRevocation,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
});

const parsed = (text: string | null) => (text === null ? null : JSON.parse(text));
