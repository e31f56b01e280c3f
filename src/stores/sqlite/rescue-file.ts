// The rescue file: a small database of its own beside the data, for answers of providers that the store would not take.
// Its room is taken up beforehand, so that it works when the disk is full.
import { existsSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { RESCUE_FILE_BUSY_TIMEOUT_MS } from '../../domain/time-limits.ts';
import type { PendingCommit, Rescue } from '../../ports/index.ts';
import { pathOf, reserve } from './database.ts';
import { storeError } from './group-commit.ts';

/** Bytes that are kept free inside the file: some two hundred answers. */
const BALLAST = 512 * 1_024;

export interface RescueFile extends Rescue {
  close(): void;
}

/** `databaseUrl`: that of the data, or `file:` and where they would be. Throws `StoreError` when the file cannot be made or read. */
export function openRescue(databaseUrl: string): RescueFile {
  const path = pathOf(databaseUrl);
  const file = path === ':memory:' ? path : `${path}.rescue`;
  try {
    if (file !== ':memory:') reserve(file);
    const client = new Sqlite(file, { timeout: RESCUE_FILE_BUSY_TIMEOUT_MS });
    // Not WAL: the journal is kept at its size, and what is written lies in pages that are there already.
    client.pragma('journal_mode = PERSIST');
    client.pragma('synchronous = FULL');
    client.exec('create table if not exists rescued (attempt text primary key, answer text not null)');
    if ((client.pragma('freelist_count', { simple: true }) as number) === 0) {
      client.exec(`insert into rescued values ('ballast', hex(zeroblob(${BALLAST / 2})))`);
      client.exec("delete from rescued where attempt = 'ballast'");
    }
    return rescueIn(client);
  } catch (cause) {
    throw storeError(cause);
  }
}

/** How many answers wait beside the data at this path; nothing is made. Throws `StoreError`. */
export function waitingIn(path: string): number {
  const file = `${path}.rescue`;
  if (!existsSync(file)) return 0;
  try {
    // Not read-only: what a process that was killed has left half-written is undone first.
    const client = new Sqlite(file, { fileMustExist: true });
    try {
      if (client.prepare("select 1 from sqlite_master where name = 'rescued'").get() === undefined) return 0;
      return client.prepare<[], number>('select count(*) from rescued').pluck().get() ?? 0;
    } finally {
      client.close();
    }
  } catch (cause) {
    throw storeError(cause);
  }
}

function rescueIn(client: Sqlite.Database): RescueFile {
  const add = client.prepare('insert or replace into rescued values (?, ?)');
  const remove = client.prepare('delete from rescued where attempt = ?');
  const all = client.prepare('select answer from rescued order by attempt').pluck();
  return {
    async add(answer) {
      add.run(answer.attempt, JSON.stringify(answer));
    },
    async remove(attempt) {
      remove.run(attempt);
    },
    async all() {
      return (all.all() as string[]).map((text) => JSON.parse(text) as PendingCommit);
    },
    close: () => void client.close(),
  };
}
