// Brings the write-ahead log to the disk on another thread, after commits that have not waited for it.
import { closeSync, fdatasync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Database } from 'better-sqlite3';

export interface LogSync {
  /** Fulfilled when all that is in the log now is on the disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** SQLite has no locks on this file, which closing it could release, and one file for as long as the database is open. */
export function createLogSync(client: Database): LogSync {
  if (client.memory) return { sync: async () => undefined, close: async () => undefined };
  const datasync = promisify(fdatasync);
  let file: number | undefined;
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  return {
    // One that runs may have begun before the last commit: all who ask meanwhile share the next.
    sync() {
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined;
          file ??= openSync(`${client.name}-wal`, 'r+');
          running = datasync(file);
          return running;
        });
      return next;
    },
    async close() {
      await Promise.allSettled([running, next]);
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}
