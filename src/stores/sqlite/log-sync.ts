// Brings the write-ahead log to the disk on another thread, after a commit that has not waited for it.
import { closeSync, fdatasync, openSync, realpathSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Database } from 'better-sqlite3';
import { OWN } from '../shared/own-files.ts';

export interface LogSync {
  /** Fulfilled when all that is in the log now is on the disk. One at a time. */
  sync(): Promise<void>;
  /** When none is under way. */
  close(): void;
}

/** SQLite has no locks on this file, which closing it could release, and one file for as long as the database is open. */
export function createLogSync(client: Database): LogSync {
  if (client.memory) return { sync: async () => undefined, close: () => undefined };
  const datasync = promisify(fdatasync);
  let file: number | undefined;
  return {
    async sync() {
      // SQLite has it beside the file, and not beside a link to that.
      file ??= openSync(`${realpathSync(client.name)}-wal`, OWN.change);
      await datasync(file);
    },
    close() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}
