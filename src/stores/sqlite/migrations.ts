// The migrations of the SQLite file: which it has, and bringing it up to date.
import type { Database } from 'better-sqlite3';
import { packageFile } from '../../package-files.ts';
import {
  type DatabaseVersion,
  MIGRATED_MARKER,
  migratedAway,
  StoreError,
  UNFINISHED_MARKER,
  unfinishedMigration,
} from '../../ports/index.ts';
import {
  type AppliedMigration,
  assertUsable,
  classifyDatabase,
  JOURNAL,
  readMigrations,
  tablesOf,
} from '../shared/migration-journal.ts';

export const MIGRATIONS = packageFile('drizzle/sqlite');

const has = (client: Database, table: string): boolean =>
  client.prepare('select 1 from sqlite_master where name = ?').get(table) !== undefined;

export interface SchemaState {
  version: DatabaseVersion;
  /** Tables of another application that are in the way of the next migrations. */
  inTheWay: string[];
  /** The source of an unfinished data migration into it. */
  migratingFrom: string | undefined;
  /** The target of a data migration from it. */
  migratedTo: string | undefined;
}

/** The database that a marker table names. */
const markedIn = (client: Database, marker: string): string | undefined =>
  has(client, marker) ? client.prepare<[], string>(`select place from ${marker}`).pluck().get() : undefined;

export function schemaState(client: Database, migrationsFolder: string = MIGRATIONS): SchemaState {
  const known = readMigrations(migrationsFolder);
  const existing = new Set(client.prepare<[], string>('select name from sqlite_master').pluck().all());
  const tables = tablesOf(known).filter((table) => existing.has(table));
  const applied = has(client, JOURNAL)
    ? client
        .prepare<[], AppliedMigration>(
          `select cast(created_at as integer) as createdAt, hash from ${JOURNAL} order by 1`,
        )
        .all()
    : [];
  return {
    ...classifyDatabase(known, applied, tables),
    migratingFrom: markedIn(client, UNFINISHED_MARKER),
    migratedTo: markedIn(client, MIGRATED_MARKER),
  };
}

/**
 * Throws `StoreError` when the database is not one of this line of versions, was migrated to another one, or a data
 * migration into it is unfinished, unless it is the one from `migratingFrom`. Changes nothing.
 */
export function assertOurs(client: Database, migrationsFolder: string, migratingFrom?: string): void {
  const state = schemaState(client, migrationsFolder);
  if (state.migratingFrom !== undefined && state.migratingFrom !== migratingFrom)
    throw new StoreError(unfinishedMigration(state.migratingFrom));
  if (state.migratedTo !== undefined) throw new StoreError(migratedAway(state.migratedTo));
  assertUsable(state.version, state.inTheWay);
}

/**
 * Brings the tables up to date, all of it or nothing, and leaves `foreign_keys` off. Of several processes that start at the
 * same time, one migrates while the others wait for its lock, and find nothing to do.
 */
export function migrateFile(client: Database, migrationsFolder: string): void {
  // A migration may have to rebuild a table that others refer to, and this cannot be changed inside its transaction.
  client.pragma('foreign_keys = OFF');
  const known = readMigrations(migrationsFolder);
  const apply = client.transaction(() => {
    client.exec(
      `create table if not exists ${JOURNAL} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)`,
    );
    const applied = client.prepare<[], number>(`select count(*) from ${JOURNAL}`).pluck().get() ?? 0;
    const note = client.prepare(`insert into ${JOURNAL} (hash, created_at) values (?, ?)`);
    for (const { sql, hash, folderMillis } of known.slice(applied)) {
      for (const statement of sql) client.exec(statement);
      note.run(hash, folderMillis);
    }
  });
  if (schemaState(client, migrationsFolder).version !== 'current') apply.immediate();
}
