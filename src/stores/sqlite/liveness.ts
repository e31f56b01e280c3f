// Which processes are alive on this database: each holds a lock on a small file of its own beside it. The operating system
// releases the lock when the process ends, however it ends, so that no clock and no heartbeat is needed.
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimes, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { HEARTBEAT_INTERVAL_MS, PROCESS_DEAD_AFTER_MS } from '../../domain/time-limits.ts';

export interface Liveness {
  /** Names this process in leases. */
  readonly holder: string;
  isAlive(holder: string): boolean;
  /** Tells the others that this process subscribes, and has applied all changes up to this number. */
  tellApplied(seq: number): void;
  /** The other live processes that have told. `isResponsive`: not frozen, as far as can be seen. */
  subscribers(): { appliedSeq: number; isResponsive: boolean }[];
  /** Releases the lock, when the process stops using the database. */
  stop(): void;
}

/** For a database in memory, which no other process can open. */
const onlyProcess = (holder: string): Liveness => ({
  holder,
  isAlive: (other) => other === holder,
  tellApplied: () => undefined,
  subscribers: () => [],
  stop: () => undefined,
});

/** Registers this process, and removes the files of dead ones. */
export function startLiveness(databasePath: string): Liveness {
  if (databasePath === ':memory:') return onlyProcess(randomUUID());
  const { folder, prefix, fileOf, appliedPrefix, appliedFileOf } = lockFiles(databasePath);

  const { holder, file } = register(fileOf);
  const isAlive = (name: string): boolean => {
    if (name === holder) return true;
    // The name of a holder comes from the database: it is never a path.
    if (!/^[0-9a-f-]{36}$/.test(name) || !existsSync(fileOf(name))) return false;
    return isLocked(fileOf(name));
  };
  const remove = (name: string) => {
    rmSync(fileOf(name), { force: true });
    rmSync(appliedFileOf(name), { force: true });
  };
  let beating: NodeJS.Timeout | undefined;
  for (const entry of readdirSync(folder)) {
    const name = entry.slice(prefix.length);
    if (entry.startsWith(prefix) && name !== holder && !isAlive(name)) remove(name);
  }
  return {
    holder,
    isAlive,
    tellApplied(seq) {
      // At once or not at all, so that no one reads half of a number.
      const written = `${appliedFileOf(holder)}-new`;
      writeFileSync(written, String(seq));
      renameSync(written, appliedFileOf(holder));
      beating ??= setInterval(() => {
        const now = new Date();
        utimes(appliedFileOf(holder), now, now, () => undefined);
      }, HEARTBEAT_INTERVAL_MS).unref();
    },
    subscribers: () =>
      readdirSync(folder).flatMap((entry) => {
        const name = entry.slice(appliedPrefix.length);
        if (!entry.startsWith(appliedPrefix) || name === holder || !isAlive(name)) return [];
        try {
          const appliedSeq = Number(readFileSync(appliedFileOf(name), 'utf8'));
          const age = Date.now() - statSync(appliedFileOf(name)).mtimeMs;
          return [{ appliedSeq, isResponsive: age < PROCESS_DEAD_AFTER_MS }];
        } catch {
          // It has stopped meanwhile.
          return [];
        }
      }),
    stop() {
      clearInterval(beating);
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
  const appliedPrefix = `${basename(databasePath)}-applied-`;
  const fileOf = (name: string) => join(folder, `${prefix}${name}`);
  return {
    folder,
    prefix,
    fileOf,
    appliedPrefix,
    appliedFileOf: (name: string) => join(folder, `${appliedPrefix}${name}`),
  };
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
