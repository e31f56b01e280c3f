// A backup of an SQLite database: a copy that is consistent and verified, made while brokers run.
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import { SQLITE_OPEN_BUSY_TIMEOUT_MS } from '../../domain/time-limits.ts';
import { StoreError } from '../../ports/index.ts';
import { JOURNAL } from '../shared/migration-journal.ts';
import { existingPath } from './database.ts';
import { rescuedRows, writeRescueFile } from './rescue-file.ts';
import { storeError } from './store-error.ts';

export interface Backup {
  bytes: number;
  /** How many token responses wait in the rescue file, which is then copied to `<to>.rescue`. */
  rescued: number;
}

/**
 * Copies the database to a new file with mode 0600, which appears once it is whole: what is committed when it begins, and
 * the token responses that could not be committed. Throws `StoreError`; then there is no new file.
 */
export function backupSqlite(databaseUrl: string, to: string): Backup {
  const path = existingPath(databaseUrl);
  const partial = `${to}.partial`;
  refuseExisting(to);
  refuseExisting(partial);
  for (const one of [to, partial]) refuseExisting(`${one}.rescue`);
  if (!existsSync(dirname(to))) throw new StoreError(`there is no folder ${dirname(to)}: make it first`);
  let source: Sqlite.Database | undefined;
  try {
    // The name is taken, and readable by its owner alone, before there is anything in it.
    closeSync(openSync(partial, 'wx', 0o600));
    source = new Sqlite(path, { timeout: SQLITE_OPEN_BUSY_TIMEOUT_MS });
    assertOurs(source);
    // Of one moment, however much is written meanwhile, and without what was deleted. SQLite's backup API would begin again
    // at each write of another process.
    const before = rescuedRows(path);
    source.prepare('vacuum into ?').run(partial);
    // What was committed meanwhile is in the file before, what was rescued meanwhile in the file after. An answer that is in
    // both is no harm: it is committed by its generation.
    const rescued = new Map([...before, ...rescuedRows(path)].map((row) => [row.attempt, row]));
    const bytes = verified(partial);
    sync(partial);
    if (rescued.size > 0) {
      writeRescueFile(partial, [...rescued.values()]);
      sync(`${partial}.rescue`);
      linkSync(`${partial}.rescue`, `${to}.rescue`);
    }
    try {
      linkSync(partial, to);
    } catch (error) {
      if (rescued.size > 0) rmSync(`${to}.rescue`, { force: true });
      throw error;
    }
    return { bytes, rescued: rescued.size };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw taken(to);
    throw storeError(cause);
  } finally {
    source?.close();
    for (const end of ['', '-wal', '-shm', '-journal', '.rescue', '.rescue-journal'])
      rmSync(`${partial}${end}`, { force: true });
  }
}

const taken = (path: string) => new StoreError(`${path} exists already: a backup replaces nothing`);

function refuseExisting(path: string): void {
  if (existsSync(path)) throw taken(path);
}

function assertOurs(client: Sqlite.Database): void {
  if (client.prepare('select 1 from sqlite_master where name = ?').get(JOURNAL) === undefined)
    throw new StoreError('no broker has used this database yet');
}

/** Reads all of it: every page, and every entry of every index. Its size. */
function verified(path: string): number {
  const copy = new Sqlite(path);
  try {
    // One file, which can be moved: without a write-ahead log beside it.
    copy.pragma('journal_mode = DELETE');
    assertOurs(copy);
    const found = copy.pragma('integrity_check(1)', { simple: true });
    if (found !== 'ok') throw new StoreError(`the copy is damaged: ${found}`);
    return Number(copy.pragma('page_count', { simple: true })) * Number(copy.pragma('page_size', { simple: true }));
  } finally {
    copy.close();
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  fsyncSync(file);
  closeSync(file);
}
