// The rescue file: a small database beside the data, for provider answers that the store could not commit. Its space is
// allocated beforehand, so that it works when the disk is full.
import Sqlite from 'better-sqlite3';
import { RESCUE_FILE_BUSY_TIMEOUT_MS } from '../../domain/time-limits.ts';
import type { PendingCommit, Rescue, RescuedResponses } from '../../ports/index.ts';
import { assertOwnFile, isOwnFile } from '../shared/own-files.ts';
import { pathOf, reserveBeside } from './database.ts';
import { overwriteDeleted, overwriteJournal, rebuildOnce } from './secure-delete.ts';
import { storeError } from './store-error.ts';

/** Bytes of free pages inside the file: about two hundred answers. */
const BALLAST = 512 * 1_024;

export interface RescueFile extends Rescue {
  close(): void;
}

/**
 * `databaseUrl`: of the data, or a `file:` URL of where they would be. Throws `StoreError` when the file cannot be created or
 * read.
 */
export function openRescue(databaseUrl: string): RescueFile {
  const path = pathOf(databaseUrl);
  const file = path === ':memory:' ? path : `${path}.rescue`;
  try {
    if (file !== ':memory:') reserveBeside(file);
    const client = new Sqlite(file, { timeout: RESCUE_FILE_BUSY_TIMEOUT_MS });
    // Not WAL: the journal stays at its size, and rows go into pages that exist already.
    client.pragma('journal_mode = PERSIST');
    client.pragma('synchronous = FULL');
    overwriteDeleted(client);
    client.exec('create table if not exists rescued (attempt text primary key, answer text not null)');
    // Of an earlier release, which left deleted answers where they were. Answers that wait keep it for the next start.
    const isEmpty = client.prepare('select 1 from rescued').get() === undefined;
    if (isEmpty && file !== ':memory:') rebuildOnce(client);
    if ((client.pragma('freelist_count', { simple: true }) as number) === 0) {
      client.exec(`insert into rescued values ('ballast', hex(zeroblob(${BALLAST / 2})))`);
      client.exec("delete from rescued where attempt = 'ballast'");
    }
    if (isEmpty) wipeJournal(client);
    return rescueIn(client);
  } catch (cause) {
    throw storeError(cause);
  }
}

/** A row as it is stored, readable or not. */
export interface RescuedRow {
  attempt: string;
  answer: string;
}

/** What is in the rescue file of the data at this path. Creates nothing. Throws `StoreError`. */
export function rescuedRows(path: string): RescuedRow[] {
  const file = `${path}.rescue`;
  assertOwnFile(file);
  if (!isOwnFile(file)) return [];
  try {
    // Not read-only: what a killed process has left half-written is rolled back first.
    const client = new Sqlite(file, { fileMustExist: true, timeout: RESCUE_FILE_BUSY_TIMEOUT_MS });
    try {
      if (client.prepare("select 1 from sqlite_master where name = 'rescued'").get() === undefined) return [];
      return client.prepare<[], RescuedRow>('select attempt, answer from rescued').all();
    } finally {
      client.close();
    }
  } catch (cause) {
    throw storeError(cause);
  }
}

/** Creates the rescue file of the data at this path, with these rows. Throws `StoreError`. */
export function writeRescueFile(path: string, rows: readonly RescuedRow[]): void {
  openRescue(`file:${path}`).close();
  try {
    const client = new Sqlite(`${path}.rescue`);
    try {
      client.pragma('journal_mode = DELETE');
      const add = client.prepare('insert into rescued values (@attempt, @answer)');
      client.transaction(() => rows.forEach((row) => void add.run(row)))();
    } finally {
      client.close();
    }
  } catch (cause) {
    throw storeError(cause);
  }
}

/** How many answers are in the rescue file of the data at this path. Creates nothing. Throws `StoreError`. */
export const countRescued = (path: string): number => rescuedRows(path).length;

function rescueIn(client: Sqlite.Database): RescueFile {
  const add = client.prepare('insert or replace into rescued values (?, ?)');
  const remove = client.prepare('delete from rescued where attempt = ?');
  const all = client.prepare<[], { attempt: string; text: string }>(
    'select attempt, answer as text from rescued order by attempt',
  );
  return {
    async add(answer) {
      add.run(answer.attempt, JSON.stringify(answer));
    },
    async remove(attempt) {
      remove.run(attempt);
      wipeJournal(client);
    },
    async all() {
      const found: RescuedResponses = { responses: [], unreadable: [] };
      for (const row of all.all()) {
        const response = responseOf(row);
        if (response) found.responses.push(response);
        else found.unreadable.push({ attempt: `${row.attempt}`, text: `${row.text}` });
      }
      return found;
    },
    close: () => void client.close(),
  };
}

/** The answer is removed already: what cannot be overwritten now is so the next time. */
function wipeJournal(client: Sqlite.Database): void {
  if (client.memory) return;
  try {
    overwriteJournal(client);
  } catch {
    // Another process uses the file, or the disk fails.
  }
}

/** Undefined: the row is damaged, or was not written by this line of versions. */
function responseOf({ attempt, text }: { attempt: string; text: string }): PendingCommit | undefined {
  try {
    const { held, change: read, grant, ...rest } = JSON.parse(text) as PendingCommit;
    // Responses of releases before `account` have none, as the connections of that time.
    const change = { ...read, account: read.account ?? null };
    const isWhole =
      rest.attempt === attempt &&
      typeof rest.connectionId === 'string' &&
      typeof rest.integration === 'string' &&
      Number.isSafeInteger(held.fence) &&
      Number.isSafeInteger(held.generation) &&
      typeof change.issuedAt === 'number' &&
      typeof grant.accessToken === 'string';
    return isWhole ? { ...rest, held, change, grant } : undefined;
  } catch {
    return undefined;
  }
}
