// The SQLite file: where it lies, who may read it, and how it is opened.
import { closeSync, existsSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import Sqlite, { type Database } from 'better-sqlite3';
import { SQLITE_BUSY_TIMEOUT_MS, SQLITE_OPEN_BUSY_TIMEOUT_MS } from '../../domain/time-limits.ts';
import { StoreError } from '../../ports/index.ts';
import { makeFolder, PRIVATE, reserveOwnFile } from '../shared/own-files.ts';
import { assertOurs, MIGRATIONS, migrateFile } from './migrations.ts';
import { overwriteDeleted, REBUILD_AT_START_BYTES, rebuildOnce } from './secure-delete.ts';
import { storeError } from './store-error.ts';

/**
 * Opens `file:<path>` or `file::memory:`, and brings its tables up to date. A missing folder is made with mode 0700, the
 * file with 0600. Throws a `StoreError`, also when this version must not use the database (`assertUsable`), or when a
 * data migration into it is unfinished, unless it is the one from `migratingFrom`. A file of an earlier release is rebuilt once
 * if it has no more bytes than `rebuildUpTo`.
 */
export function openDatabase(
  url: string,
  migrations: string = MIGRATIONS,
  migratingFrom?: string,
  rebuildUpTo: number = REBUILD_AT_START_BYTES,
): Database {
  let client: Database | undefined;
  try {
    const path = pathOf(url);
    if (path !== ':memory:') reserve(path);
    client = new Sqlite(path, { timeout: SQLITE_OPEN_BUSY_TIMEOUT_MS });
    // First: a database that is refused stays as it was.
    assertOurs(client, migrations, migratingFrom);
    useWriteAheadLog(client);
    // A committed write survives a power cut: NORMAL would fsync only at checkpoints. The store does that itself (GroupCommit).
    client.pragma('synchronous = FULL');
    // What a savepoint may have to undo stays in memory: otherwise each commit of any size makes a file and removes it.
    client.pragma('temp_store = MEMORY');
    overwriteDeleted(client);
    migrateFile(client, migrations);
    if (path !== ':memory:') rebuildOnce(client, rebuildUpTo);
    client.pragma('foreign_keys = ON');
    client.pragma(`busy_timeout = ${SQLITE_BUSY_TIMEOUT_MS}`);
    return client;
  } catch (cause) {
    client?.close();
    if ((cause as { code?: string }).code === 'SQLITE_NOTADB')
      throw new StoreError(`${pathOf(url)} is no SQLite database: name another file`, { cause });
    throw storeError(cause);
  }
}

/** SQLite does not wait for other processes here, whatever the timeout: several may make the same file at once. */
function useWriteAheadLog(client: Database): void {
  const until = performance.now() + SQLITE_OPEN_BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      client.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      const isBusy = (error as { code?: string }).code?.startsWith('SQLITE_BUSY') ?? false;
      if (!isBusy || performance.now() > until) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SQLITE_BUSY_TIMEOUT_MS);
    }
  }
}

export function pathOf(url: string): string {
  if (!url.startsWith('file:') || url === 'file:') throw new StoreError('a SQLite URL is file:<path> or file::memory:');
  return url.startsWith('file://') ? fileURLToPath(url) : url.slice('file:'.length);
}

/** For who reads a database and must not make one, where its URL has a typing error. Throws `StoreError`. */
export function existingPath(url: string): string {
  const path = pathOf(url);
  if (path === ':memory:' || !existsSync(path)) throw new StoreError(`there is no database file at ${path}`);
  return path;
}

/** SQLite gives its WAL and index files the mode of the database file. */
function reserve(path: string): void {
  makeFolder(dirname(path));
  closeSync(openSync(path, 'a', PRIVATE));
}

/** Makes a file beside the database. Throws `StoreError` if something else than a regular file is there. */
export function reserveBeside(path: string): void {
  makeFolder(dirname(path));
  reserveOwnFile(path);
}
