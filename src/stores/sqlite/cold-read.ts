// The cold read by id: what a token costs that is not cached.
import type { Database } from 'better-sqlite3';
import type { Ciphertext } from '../../domain/connection.ts';
import type { ConnectionStore, ServedRow, StoreError } from '../../ports/index.ts';
import { CONNECTION_COLUMNS, type ConnectionRow, connectionOf } from './connection-rows.ts';
import { storeError } from './store-error.ts';

interface PendingRead {
  id: string;
  resolve: (row: ServedRow | undefined) => void;
  reject: (error: StoreError) => void;
}

export function createColdRead(client: Database): Pick<ConnectionStore, 'servedRow'> {
  // Not a join: with one, better-sqlite3 takes three times as long for the same row.
  const one = client.prepare<[string], ServedColumns>(
    `select ${CONNECTION_COLUMNS}, (select access_token from grants where connection_id = connections.id) as "accessToken"
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
          resolve(row && { connection: connectionOf(row), accessToken: row.accessToken });
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

type ServedColumns = ConnectionRow & { accessToken: Ciphertext | null };
