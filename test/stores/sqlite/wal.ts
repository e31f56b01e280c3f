// Counts commits in SQLite's write-ahead log (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
import { readFileSync } from 'node:fs';

const HEADER = 32;
const FRAME_HEADER = 24;

/** The last frame of a commit says how many pages the database then has; the others say 0. */
export function commitsIn(database: string): number {
  const wal = readFileSync(`${database}-wal`);
  if (wal.length < HEADER) return 0;
  const salt = wal.subarray(16, 24);
  const frame = FRAME_HEADER + wal.readUInt32BE(8);
  let commits = 0;
  for (let at = HEADER; at + frame <= wal.length; at += frame)
    if (wal.subarray(at + 8, at + 16).equals(salt) && wal.readUInt32BE(at + 4) > 0) commits++;
  return commits;
}
