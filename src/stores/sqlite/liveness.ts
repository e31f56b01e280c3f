// Who else is alive on this database: every process that has it open holds a lock on a small file of its own beside it.
// The operating system lets go of the lock when the process ends, however it ends; no clock and no heartbeat is asked.
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';

export interface Liveness {
  /** The name of this process in leases. */
  readonly holder: string;
  isAlive(holder: string): boolean;
  /** Lets go, at the very end. */
  leave(): void;
}

/** For a database in memory, which nobody else can open. */
const ALONE = (holder: string): Liveness => ({ holder, isAlive: (other) => other === holder, leave: () => undefined });

export function announce(databasePath: string): Liveness {
  if (databasePath === ':memory:') return ALONE(randomUUID());
  const { folder, prefix, fileOf } = filesOf(databasePath);

  const { holder, mine } = enter(fileOf);
  const isAlive = (name: string): boolean => {
    if (name === holder) return true;
    // A holder's name comes from the database: it is never a path.
    if (!/^[0-9a-f-]{36}$/.test(name) || !existsSync(fileOf(name))) return false;
    const taken = locked(fileOf(name));
    taken?.close();
    return taken === undefined;
  };
  const remove = (name: string) => rmSync(fileOf(name), { force: true });
  for (const file of readdirSync(folder)) {
    const name = file.slice(prefix.length);
    if (file.startsWith(prefix) && name !== holder && !isAlive(name)) remove(name);
  }
  return {
    holder,
    isAlive,
    leave() {
      mine.close();
      remove(holder);
    },
  };
}

/** Whether any process that serves has the database open. */
export function isInhabited(databasePath: string): boolean {
  const { folder, prefix } = filesOf(databasePath);
  return readdirSync(folder)
    .filter((file) => file.startsWith(prefix))
    .some((file) => {
      const taken = locked(join(folder, file));
      taken?.close();
      return taken === undefined;
    });
}

function filesOf(databasePath: string) {
  const prefix = `${basename(databasePath)}-alive-`;
  const folder = dirname(databasePath);
  return { folder, prefix, fileOf: (name: string) => join(folder, `${prefix}${name}`) };
}

/** Another process that tidies up may take a file that is not locked yet: then under another name. */
function enter(fileOf: (name: string) => string): { holder: string; mine: Database } {
  for (;;) {
    const holder = randomUUID();
    const mine = locked(fileOf(holder));
    if (mine && existsSync(fileOf(holder))) return { holder, mine };
    mine?.close();
  }
}

/** The file with its lock held until it is closed; undefined: somebody else holds it. */
function locked(path: string): Database | undefined {
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
