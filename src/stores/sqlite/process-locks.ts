// Process locks as SQLite takes them: an exclusive transaction on an empty database is a lock of the operating system.
import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { isOwnFile } from '../shared/own-files.ts';
import type { ProcessLocks } from '../shared/process-locks.ts';
import { reserveBeside } from './database.ts';
import { storeError } from './store-error.ts';

/** `path`: of the data; the files of the locks lie beside it. Registers this process. Throws `StoreError`. */
export function openProcessLocks(path: string): ProcessLocks {
  const { folder, prefix, fileOf } = lockFiles(path);
  const { holder, file } = register(fileOf);
  const stateOf = (name: string) => {
    if (name === holder) return 'alive';
    // The name of a holder comes from the database: it is never a path.
    if (!/^[0-9a-f-]{36}$/.test(name) || !isOwnFile(fileOf(name))) return 'unknown';
    return isLocked(fileOf(name)) ? 'alive' : 'dead';
  };
  const namesThatAre = (state: ReturnType<typeof stateOf>) =>
    readdirSync(folder)
      .filter((entry) => entry.startsWith(prefix))
      .map((entry) => entry.slice(prefix.length))
      .filter((name) => stateOf(name) === state);
  return {
    holder,
    stateOf,
    alive: () => namesThatAre('alive'),
    dead: () => namesThatAre('dead'),
    removeDead(name) {
      if (!isOwnFile(fileOf(name))) return false;
      // A process that starts has its file before it has the lock: it may live though none was held a moment ago.
      const dead = lock(fileOf(name));
      if (!dead) return false;
      rmSync(fileOf(name), { force: true });
      dead.close();
      return true;
    },
    release() {
      file.close();
      rmSync(fileOf(holder), { force: true });
    },
    abandon: () => void file.close(),
  };
}

/** Whether any broker has the database at this path open. */
export function isInUse(path: string): boolean {
  const { folder, prefix } = lockFiles(path);
  return readdirSync(folder)
    .filter((entry) => entry.startsWith(prefix))
    .some((entry) => isOwnFile(join(folder, entry)) && isLocked(join(folder, entry)));
}

function lockFiles(path: string) {
  const prefix = `${basename(path)}-alive-`;
  const folder = dirname(path);
  return { folder, prefix, fileOf: (name: string) => join(folder, `${prefix}${name}`) };
}

/** Another process that cleans up may remove a file before it is locked: then under another name. */
function register(fileOf: (name: string) => string): { holder: string; file: Database } {
  try {
    for (;;) {
      const holder = randomUUID();
      reserveBeside(fileOf(holder));
      const file = lock(fileOf(holder));
      if (file && isOwnFile(fileOf(holder))) return { holder, file };
      file?.close();
    }
  } catch (cause) {
    throw storeError(cause);
  }
}

function isLocked(path: string): boolean {
  const file = lock(path);
  file?.close();
  return file === undefined;
}

/** The file, locked until it is closed; undefined: another process has locked it. */
function lock(path: string): Database | undefined {
  const file = new Sqlite(path, { timeout: 0 });
  try {
    file.pragma('journal_mode = MEMORY');
    file.exec('BEGIN EXCLUSIVE');
    return file;
  } catch (cause) {
    file.close();
    if ((cause as { code?: string }).code?.startsWith('SQLITE_BUSY')) return undefined;
    throw cause;
  }
}
