// Which processes are alive on this database: each holds a lock on a small file of its own beside it. The operating system
// releases the lock when the process ends, however it ends, so that no clock and no heartbeat is needed.
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';

export interface Liveness {
  /** Names this process in leases. */
  readonly holder: string;
  isAlive(holder: string): boolean;
  /** Releases the lock, when the process stops using the database. */
  stop(): void;
}

/** For a database in memory, which no other process can open. */
const onlyProcess = (holder: string): Liveness => ({
  holder,
  isAlive: (other) => other === holder,
  stop: () => undefined,
});

/** Registers this process, and removes the files of dead ones. */
export function startLiveness(databasePath: string): Liveness {
  if (databasePath === ':memory:') return onlyProcess(randomUUID());
  const { folder, prefix, fileOf } = lockFiles(databasePath);

  const { holder, file } = register(fileOf);
  const isAlive = (name: string): boolean => {
    if (name === holder) return true;
    // The name of a holder comes from the database: it is never a path.
    if (!/^[0-9a-f-]{36}$/.test(name) || !existsSync(fileOf(name))) return false;
    return isLocked(fileOf(name));
  };
  const remove = (name: string) => rmSync(fileOf(name), { force: true });
  for (const entry of readdirSync(folder)) {
    const name = entry.slice(prefix.length);
    if (entry.startsWith(prefix) && name !== holder && !isAlive(name)) remove(name);
  }
  return {
    holder,
    isAlive,
    stop() {
      file.close();
      remove(holder);
    },
  };
}

/** Whether any broker has the database open. */
export function isInUse(databasePath: string): boolean {
  const { folder, prefix } = lockFiles(databasePath);
  return readdirSync(folder)
    .filter((entry) => entry.startsWith(prefix))
    .some((entry) => isLocked(join(folder, entry)));
}

function lockFiles(databasePath: string) {
  const prefix = `${basename(databasePath)}-alive-`;
  const folder = dirname(databasePath);
  return { folder, prefix, fileOf: (name: string) => join(folder, `${prefix}${name}`) };
}

/** Another process that cleans up may remove a file before it is locked: then under another name. */
function register(fileOf: (name: string) => string): { holder: string; file: Database } {
  for (;;) {
    const holder = randomUUID();
    const file = lock(fileOf(holder));
    if (file && existsSync(fileOf(holder))) return { holder, file };
    file?.close();
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
