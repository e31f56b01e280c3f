// The SQLite file: where it lies, who may read it, how it is opened, and which version its tables have.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import Sqlite, { type Database } from 'better-sqlite3';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { SQLITE_BUSY_TIMEOUT_MS, SQLITE_OPEN_BUSY_TIMEOUT_MS } from '../../domain/time-limits.ts';
import { packageFile } from '../../package-files.ts';
import { halfMoved, MARK, type PlaceStanding, StoreError } from '../../ports/index.ts';
import { storeError } from './group-commit.ts';

const MIGRATIONS = packageFile('drizzle/sqlite');

/**
 * Opens `file:<path>` or `file::memory:`, and brings its tables up to date. A folder that is missing is made with mode
 * 0700, the file with 0600. Throws a `StoreError`, also when a newer version made the database, or when a move into it
 * has not ended, unless it is the one from `movingFrom`.
 */
export function openDatabase(url: string, migrations: string = MIGRATIONS, movingFrom?: string): Database {
  let client: Database | undefined;
  try {
    const path = pathOf(url);
    if (path !== ':memory:') reserve(path);
    client = new Sqlite(path, { timeout: SQLITE_OPEN_BUSY_TIMEOUT_MS });
    client.pragma('journal_mode = WAL');
    // An answered write survives a power cut: NORMAL would fsync only at checkpoints.
    client.pragma('synchronous = FULL');
    // What a savepoint may have to undo: otherwise each commit of any size makes a file for it, and removes it again.
    client.pragma('temp_store = MEMORY');
    // Pages. A checkpoint stops the event loop like four commits: a quarter as often as SQLite would have it.
    client.pragma('wal_autocheckpoint = 4000');
    // What a savepoint could undo is kept in memory, not in a file of its own for each commit.
    client.pragma('temp_store = MEMORY');
    const mark = markIn(client);
    if (mark !== undefined && mark !== movingFrom) throw new StoreError(halfMoved(mark));
    migrateTo(client, migrations);
    client.pragma('foreign_keys = ON');
    client.pragma(`busy_timeout = ${SQLITE_BUSY_TIMEOUT_MS}`);
    return client;
  } catch (cause) {
    client?.close();
    throw storeError(cause);
  }
}

export function pathOf(url: string): string {
  if (!url.startsWith('file:') || url === 'file:') throw new StoreError('a SQLite URL is file:<path> or file::memory:');
  return url.startsWith('file://') ? fileURLToPath(url) : url.slice('file:'.length);
}

/** SQLite gives its WAL and index files the mode of the database file. */
export function reserve(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, 'a', 0o600));
}

function migrateTo(client: Database, migrationsFolder: string): void {
  refuseNewer(client, migrationsFolder);
  // A migration may have to rebuild a table that others refer to, and this cannot be changed inside its transaction.
  client.pragma('foreign_keys = OFF');
  const apply = () => migrate(drizzle(client), { migrationsFolder });
  try {
    apply();
  } catch {
    // The migrator takes no lock: another process may have been quicker, and then there is nothing left to do.
    apply();
  }
}

function refuseNewer(client: Database, migrationsFolder: string): void {
  if (versionOf(client, migrationsFolder) === 'newer')
    throw new StoreError('the database was made by a newer version of Valetkey than this one');
}

const has = (client: Database, table: string): boolean =>
  client.prepare('select 1 from sqlite_master where name = ?').get(table) !== undefined;

/** What made the tables. */
export function versionOf(client: Database, migrationsFolder: string = MIGRATIONS): PlaceStanding['version'] {
  if (!has(client, '__drizzle_migrations')) return 'empty';
  const known = new Set(readMigrationFiles({ migrationsFolder }).map((m) => m.folderMillis));
  const applied = client.prepare('select created_at from __drizzle_migrations').pluck().all().map(Number);
  if (applied.some((at) => !known.has(at))) return 'newer';
  if (applied.length === 0) return 'empty';
  return applied.length < known.size ? 'older' : 'current';
}

/** Where data come from that are being moved into this database; undefined when none are. */
export const markIn = (client: Database): string | undefined =>
  has(client, MARK) ? client.prepare<[], string>(`select place from ${MARK}`).pluck().get() : undefined;
