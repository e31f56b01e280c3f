// What was deleted is also gone from the disk: SQLite overwrites it in the file, and what the write-ahead log and the free
// pages still have is removed soon after.
import { closeSync, fsyncSync, openSync, statSync, writeSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { SQLITE_BUSY_TIMEOUT_MS } from '../../domain/time-limits.ts';
import { OWN } from '../shared/own-files.ts';

/** In the header of a file in which nothing was ever deleted without being overwritten ("VLTK"). */
const MARK = 0x56_4c_54_4b;
/** A larger file is not rebuilt while a broker starts: `valetkey migrate` does it, however long that takes. */
export const REBUILD_AT_START_BYTES = 64 * 1_024 * 1_024;
const CHUNK = Buffer.alloc(64 * 1_024);

/** From now on, deleted content is overwritten with zeros, in pages that stay in use and in free ones. */
export function overwriteDeleted(client: Database): void {
  client.pragma('secure_delete = ON');
  if (client.pragma('page_count', { simple: true }) === 0) client.pragma(`application_id = ${MARK}`);
}

/**
 * Once for each file of an earlier release, in which deleted secrets may be anywhere: rebuilds it, if it has at most so many
 * bytes and no other process uses it. False: it has still to be done.
 */
export function rebuildOnce(client: Database, maxBytes = Number.POSITIVE_INFINITY): boolean {
  if (client.pragma('application_id', { simple: true }) === MARK) return true;
  const [pages, size] = ['page_count', 'page_size'].map((name) => client.pragma(name, { simple: true }) as number);
  if (pages! * size! > maxBytes) return false;
  try {
    client.exec('VACUUM');
    client.pragma(`application_id = ${MARK}`);
    return truncateWal(client);
  } catch (error) {
    if (!(error as { code?: string }).code?.startsWith('SQLITE_BUSY')) throw error;
    return false;
  }
}

/** Writes what the write-ahead log has into the file, and empties it. False: another process reads or writes. */
export function truncateWal(client: Database): boolean {
  // No one waits for it: it is tried again.
  client.pragma('busy_timeout = 0');
  try {
    const [done] = client.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    return done?.busy === 0;
  } catch (error) {
    if (!(error as { code?: string }).code?.startsWith('SQLITE_BUSY')) throw error;
    return false;
  } finally {
    client.pragma(`busy_timeout = ${SQLITE_BUSY_TIMEOUT_MS}`);
  }
}

/**
 * Overwrites the rollback journal, which has what pages held before they were changed, and keeps its space. `client` has a
 * journal that persists. Nothing happens where another process uses the file.
 */
export function overwriteJournal(client: Database): void {
  const path = `${client.name}-journal`;
  // While this one has the file for itself, no journal is needed to roll anything back.
  client.exec('BEGIN EXCLUSIVE');
  try {
    const length = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (length === 0) return;
    const file = openSync(path, OWN.change);
    try {
      for (let at = 0; at < length; at += CHUNK.length)
        writeSync(file, CHUNK, 0, Math.min(CHUNK.length, length - at), at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } finally {
    client.exec('ROLLBACK');
  }
}
