// Group commit on a real file, watched from outside.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import Sqlite, { type Database } from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StoreError } from '../../../src/ports/index.ts';
import { GroupCommit } from '../../../src/stores/sqlite/group-commit.ts';
import { commitsIn } from './wal.ts';

let folder: string;
let path: string;
let client: Database;
let watcher: Database;
let commits: GroupCommit;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-commit-'));
  path = join(folder, 'commit.db');
  client = new Sqlite(path, { timeout: 1 });
  client.pragma('journal_mode = WAL');
  client.exec('create table words (word text primary key); create table many (blob)');
  watcher = new Sqlite(path);
  commits = new GroupCommit(client);
});
afterEach(() => {
  watcher.close();
  client.close();
  rmSync(folder, { recursive: true });
});

const add = (word: string) => client.prepare('insert into words values (?)').run(word).changes;
const words = () => watcher.prepare('select word from words order by word').pluck().all();
const counted = async (act: () => Promise<unknown>) => {
  const before = commitsIn(path);
  await act();
  return commitsIn(path) - before;
};

test('the writes of one turn are one commit, 64 at the most', async () => {
  commits = new GroupCommit(client, () => 0);
  const write = (n: number) => () =>
    Promise.all(Array.from({ length: n }, (_, i) => commits.write(() => add(`${n}/${i}`))));
  expect(await counted(write(1))).toBe(1);
  expect(await counted(write(64))).toBe(1);
  expect(await counted(write(65))).toBe(2);
  expect(words()).toHaveLength(130);
});

test('a commit takes 16 writes, and more only while it is quick', async () => {
  let time = 0;
  commits = new GroupCommit(client, () => time);
  const slow = (n: number, ms: number) => () =>
    Promise.all(
      Array.from({ length: n }, (_, i) =>
        commits.write(() => {
          time += ms;
          return add(`${ms}/${i}`);
        }),
      ),
    );
  expect(await counted(slow(16, 1))).toBe(1);
  expect(await counted(slow(48, 2))).toBe(3);
  expect(await counted(slow(48, 0.09))).toBe(3);
  expect(words()).toHaveLength(112);
});

test('many writers of one commit are told over several turns of the event loop', async () => {
  let told = 0;
  for (let i = 0; i < 40; i++) void commits.write(() => add(String(i))).then(() => told++);
  const steps: number[] = [];
  while (told < 40) {
    const before = told;
    await turn();
    steps.push(told - before);
  }
  expect(Math.max(...steps)).toBe(8);
});

test('an answer comes only when others can see the change', async () => {
  const written = commits.write(() => add('a'));
  expect(words()).toEqual([]);
  expect(await written).toBe(1);
  expect(words()).toEqual(['a']);
});

test('a sentence that fails takes nothing of its neighbours along, and leaves nothing of itself', async () => {
  const [first, broken, last] = [
    commits.write(() => add('a')),
    commits.write(() => [add('half'), add('a')]),
    commits.write(() => add('b')),
  ];
  await expect(broken).rejects.toBeInstanceOf(StoreError);
  await expect(broken).rejects.toMatchObject({ cause: { code: 'SQLITE_CONSTRAINT_PRIMARYKEY' } });
  expect(await Promise.all([first, last])).toEqual([1, 1]);
  expect(words()).toEqual(['a', 'b']);
});

test('an error says nothing of the values', async () => {
  await commits.write(() => add('secret'));
  const error: unknown = await commits.write(() => add('secret')).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(StoreError);
  expect(String(error)).toContain('UNIQUE');
  expect(`${error} ${String((error as Error).cause)}`).not.toContain('secret');
});

test('all are refused while another process holds the database, and nothing happened', async () => {
  watcher.exec('BEGIN IMMEDIATE');
  let said = 0;
  const sentence = () => commits.write(() => ++said);
  const refused = await Promise.allSettled([sentence(), sentence()]);
  watcher.exec('ROLLBACK');
  expect(said).toBe(0);
  for (const each of refused) {
    expect(each).toMatchObject({ status: 'rejected', reason: { name: 'StoreError', cause: { code: 'SQLITE_BUSY' } } });
  }
  expect(await sentence()).toBe(1);
});

test('all are refused when the commit fails, and nothing happened', async () => {
  client.pragma('foreign_keys = ON');
  client.exec('create table refers (word text references words deferrable initially deferred)');
  const dangling = () => client.prepare("insert into refers values ('nowhere')").run();
  const refused = await Promise.allSettled([commits.write(() => add('a')), commits.write(dangling)]);
  for (const each of refused) expect(each).toMatchObject({ status: 'rejected', reason: { name: 'StoreError' } });
  expect(words()).toEqual([]);
  expect(await commits.write(() => add('b'))).toBe(1);
});

test('what SQLite undid as a whole is refused as a whole', async () => {
  const refused = await Promise.allSettled([
    commits.write(() => add('a')),
    // As SQLite does by itself when the disk is full.
    commits.write(() => {
      client.exec('ROLLBACK');
      throw new Error('database or disk is full');
    }),
    commits.write(() => add('b')),
  ]);
  for (const each of refused) expect(each).toMatchObject({ status: 'rejected', reason: { name: 'StoreError' } });
  expect(words()).toEqual([]);
  expect(await commits.write(() => add('c'))).toBe(1);
});

test('a full database refuses what does not fit, and goes on', async () => {
  const pages = client.pragma('page_count', { simple: true }) as number;
  client.pragma(`max_page_count = ${pages + 2}`);
  const large = () => client.prepare('insert into many values (zeroblob(100000))').run();
  await expect(commits.write(large)).rejects.toMatchObject({ name: 'StoreError', cause: { code: 'SQLITE_FULL' } });
  expect(await commits.write(() => add('c'))).toBe(1);
});

test('what was asked in time is committed at the end, and nothing more is taken', async () => {
  const writes = Array.from({ length: 70 }, (_, i) => commits.write(() => add(String(i))));
  commits.finish();
  expect(words()).toHaveLength(70);
  await Promise.all(writes);
  await expect(commits.write(() => add('late'))).rejects.toBeInstanceOf(StoreError);
});
