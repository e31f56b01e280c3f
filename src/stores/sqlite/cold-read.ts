// The cold read by id: what a token costs that is not cached, so its rows are mapped here and not by drizzle, whose mapping
// takes as long as SQLite does.
import type { Database } from 'better-sqlite3';
import { getTableColumns } from 'drizzle-orm';
import type { Ciphertext, Connection } from '../../domain/connection.ts';
import type { ConnectionStore, ServedRow, StoreError } from '../../ports/index.ts';
import { storeError } from './group-commit.ts';
import { connections } from './schema.ts';

interface PendingRead {
  id: string;
  resolve: (row: ServedRow | undefined) => void;
  reject: (error: StoreError) => void;
}

export function createColdRead(client: Database): Pick<ConnectionStore, 'servedRow'> {
  const columns = Object.entries(getTableColumns(connections)).map(([key, { name }]) => `"${name}" as "${key}"`);
  // Not a join: with one, better-sqlite3 takes three times as long for the same row.
  const one = client.prepare<[string], StoredRow>(
    `select ${columns}, (select access_token from grants where connection_id = connections.id) as "accessToken"
     from connections where id = ?`,
  );
  const [begin, end] = [client.prepare('BEGIN'), client.prepare('COMMIT')];
  let pending: PendingRead[] = [];

  /** All reads of one turn of the event loop, from one snapshot: SQLite's locks cost as much as finding a row. */
  function readAll(): void {
    const batch = pending;
    pending = [];
    try {
      begin.run();
      for (const { id, resolve, reject } of batch) {
        try {
          const row = one.get(id);
          resolve(row && servedRowOf(row));
        } catch (cause) {
          reject(storeError(cause));
        }
      }
      end.run();
    } catch (cause) {
      // Without effect on those that have been resolved.
      for (const { reject } of batch) reject(storeError(cause));
    }
  }

  return {
    servedRow: (id) =>
      new Promise((resolve, reject) => {
        if (pending.push({ id, resolve, reject }) === 1) setImmediate(readAll);
      }),
  };
}

/** Lists and records are JSON text in the database: one that is not parsed below is a type error. */
type StoredRow = { accessToken: Ciphertext | null } & {
  [C in keyof Connection]: NonNullable<Connection[C]> extends object
    ? string | Extract<Connection[C], null>
    : Connection[C];
};

const servedRowOf = ({ accessToken, ...row }: StoredRow): ServedRow => ({
  connection: {
    ...row,
    scopes: parsed(row.scopes),
    metadata: parsed(row.metadata),
    params: parsed(row.params),
    captured: parsed(row.captured),
    identity: parsed(row.identity),
    account: parsed(row.account),
    lastRefreshError: parsed(row.lastRefreshError),
  },
  accessToken,
});

const parsed = (text: string | null) => (text === null ? null : JSON.parse(text));
