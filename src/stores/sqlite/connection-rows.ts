// Rows of connections, mapped here and not by drizzle, whose mapping takes as long as SQLite does: for the reads that serve
// tokens and refresh them.
import { getTableColumns } from 'drizzle-orm';
import type { Connection, ConnectionStatus } from '../../domain/connection.ts';
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

const [integrationOf, tokenTypeOf, statusOf, scopesOf] = [
  shared<string>(),
  shared<string>(),
  shared<ConnectionStatus>(),
  // Not frozen: `JSON.stringify` takes 1.5 µs more of a body with a frozen array.
  shared<string[], string>((text) => JSON.parse(text)),
];

/**
 * Member by member: to copy the row as a whole takes three times as long. What else the row has is left out. What many have in
 * common is one object in memory: tens of thousands of them are cached, and each is copied twice until it is old.
 */
export const connectionOf = (row: ConnectionRow): Connection => ({
  id: row.id,
  integration: integrationOf(row.integration),
  owner: row.owner,
  label: row.label,
  status: statusOf(row.status),
  reason: row.reason,
  scopes: scopesOf(row.scopes),
  metadata: recordOf(row.metadata),
  params: recordOf(row.params),
  captured: recordOf(row.captured),
  identity: parsed(row.identity),
  account: parsed(row.account),
  tokenType: tokenTypeOf(row.tokenType),
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

/** Most have none. */
const NONE = Object.freeze({});
const recordOf = (text: string) => (text === '{}' ? NONE : JSON.parse(text));

/** The value of a text: the same one as of the text before, if that is equal. */
function shared<T, Text extends string = T & string>(
  read: (text: Text) => T = (text) => text as unknown as T,
): (text: Text) => T {
  let last: Text | undefined;
  let value: T;
  return (text) => {
    if (text !== last) [last, value] = [text, read(text)];
    return value;
  };
}

const parsed = (text: string | null) => (text === null ? null : JSON.parse(text));
