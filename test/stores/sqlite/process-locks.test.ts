// The files by which processes of one machine know which of them are alive, while others start and end.
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { reserveBeside } from '../../../src/stores/sqlite/database.ts';
import { openProcessLocks } from '../../../src/stores/sqlite/process-locks.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-locks-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a process that has its file and not yet its lock keeps the file: it lives', () => {
  const path = join(folder, 'valetkey.db');
  const locks = openProcessLocks(path);
  const starting = randomUUID();
  const file = `${path}-alive-${starting}`;
  reserveBeside(file);
  // As the other starts: looks for what dead processes have left, and removes it.
  expect(locks.dead()).toEqual([starting]);
  const started = new Sqlite(file);
  started.exec('BEGIN EXCLUSIVE');
  expect(locks.removeDead(starting)).toBe(false);
  expect(existsSync(file)).toBe(true);
  expect(locks.stateOf(starting)).toBe('alive');
  expect(locks.alive().sort()).toEqual([starting, locks.holder].sort());

  started.close();
  expect(locks.removeDead(starting)).toBe(true);
  expect(existsSync(file)).toBe(false);
  expect(locks.removeDead(starting)).toBe(false);
  locks.release();
  expect(existsSync(`${path}-alive-${locks.holder}`)).toBe(false);
});
