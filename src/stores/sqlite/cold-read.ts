// The cold read by id: the one question that is asked all day. What it costs is what a token costs that is not in memory,
// so it goes past the row mapping of drizzle, which takes as long as SQLite does.
import type { Database } from 'better-sqlite3';
import { eq, type SQL, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { Ciphertext, Connection } from '../../domain/connection.ts';
import type { ServedRow, Store, StoreError } from '../../ports/index.ts';
import { storeError } from './group-commit.ts';
import { connections } from './schema.ts';

/** Not a join: with one, better-sqlite3 takes three times as long for the same row. */
export const accessTokenOf: SQL<Ciphertext | null> = sql`(select access_token from grants where connection_id = connections.id)`;

interface Waiting {
  id: string;
  resolve: (row: ServedRow | undefined) => void;
  reject: (error: StoreError) => void;
}

export function servedStore(client: Database, orm: BetterSQLite3Database): Pick<Store, 'servedRow'> {
  const byId = eq(connections.id, sql.placeholder('id'));
  const question = orm.select({ connection: connections, accessToken: accessTokenOf }).from(connections).where(byId);
  const one = client.prepare<[string], Raw>(question.toSQL().sql).raw();
  const [begin, end] = [client.prepare('BEGIN'), client.prepare('COMMIT')];
  let waiting: Waiting[] = [];

  /** All that were asked for in one turn, as of one moment: SQLite's locks cost as much as to find a row. */
  function answer(): void {
    const asked = waiting;
    waiting = [];
    try {
      begin.run();
      for (const { id, resolve, reject } of asked) {
        try {
          const row = one.get(id);
          resolve(row && served(row));
        } catch (cause) {
          reject(storeError(cause));
        }
      }
      end.run();
    } catch (cause) {
      // Without effect on those that have been answered.
      for (const { reject } of asked) reject(storeError(cause));
    }
  }

  return {
    servedRow: (id) =>
      new Promise((resolve, reject) => {
        if (waiting.push({ id, resolve, reject }) === 1) setImmediate(answer);
      }),
  };
}

const parsed = (text: string | null) => (text === null ? null : JSON.parse(text));

/** The columns of the table in their order, then the token. */
type Raw = [
  id: string,
  integration: string,
  owner: string,
  label: string,
  status: Connection['status'],
  reason: Connection['reason'],
  scopes: string,
  metadata: string,
  params: string,
  captured: string,
  identity: string | null,
  tokenType: string,
  issuedAt: number,
  expiresAt: number | null,
  nextRefreshAt: number | null,
  reauthDueAt: number | null,
  lastRefreshedAt: number | null,
  lastRefreshError: string | null,
  failures: number,
  generation: number,
  upstreamRevocation: Connection['upstreamRevocation'],
  createdAt: number,
  updatedAt: number,
  accessToken: Ciphertext | null,
];

const served = (row: Raw): ServedRow => ({
  connection: {
    id: row[0],
    integration: row[1],
    owner: row[2],
    label: row[3],
    status: row[4],
    reason: row[5],
    scopes: parsed(row[6]),
    metadata: parsed(row[7]),
    params: parsed(row[8]),
    captured: parsed(row[9]),
    identity: parsed(row[10]),
    tokenType: row[11],
    issuedAt: row[12],
    expiresAt: row[13],
    nextRefreshAt: row[14],
    reauthDueAt: row[15],
    lastRefreshedAt: row[16],
    lastRefreshError: parsed(row[17]),
    failures: row[18],
    generation: row[19],
    upstreamRevocation: row[20],
    createdAt: row[21],
    updatedAt: row[22],
  },
  accessToken: row[23],
});
