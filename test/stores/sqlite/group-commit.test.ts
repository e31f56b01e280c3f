// Group commit on a real file, observed from another connection.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import Sqlite, { type Database } from 'better-sqlite3';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
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
/** What a power cut leaves that takes all of the log with it. */
const inTheFile = () => {
  const copy = join(folder, 'copy.db');
  copyFileSync(path, copy);
  const alone = new Sqlite(copy);
  const found = alone.prepare('select word from words order by word').pluck().all();
  alone.close();
  return found;
};
const counted = async (act: () => Promise<unknown>) => {
  const before = commitsIn(path);
  await act();
  return commitsIn(path) - before;
};

test('the writes of one turn share a commit, 64 at most', async () => {
  commits = new GroupCommit(client, { now: () => 0 });
  const write = (n: number) => () =>
    Promise.all(Array.from({ length: n }, (_, i) => commits.write(() => add(`${n}/${i}`))));
  expect(await counted(write(1))).toBe(1);
  expect(await counted(write(64))).toBe(1);
  expect(await counted(write(65))).toBe(2);
  expect(words()).toHaveLength(130);
});

test('a commit takes 4 writes, and more only within 2 ms', async () => {
  let time = 0;
  commits = new GroupCommit(client, { now: () => time });
  const slow = (n: number, ms: number) => () =>
    Promise.all(
      Array.from({ length: n }, (_, i) =>
        commits.write(() => {
          time += ms;
          return add(`${ms}/${i}`);
        }),
      ),
    );
  expect(await counted(slow(4, 1))).toBe(1);
  expect(await counted(slow(60, 2))).toBe(15);
  expect(await counted(slow(48, 0.09))).toBe(3);
  expect(words()).toHaveLength(112);
});

test('the promises of one commit are settled over several turns of the event loop', async () => {
  let settled = 0;
  for (let i = 0; i < 40; i++) void commits.write(() => add(String(i))).then(() => settled++);
  const steps: number[] = [];
  while (settled < 40) {
    const before = settled;
    await turn();
    steps.push(settled - before);
  }
  expect(Math.max(...steps)).toBe(8);
});

/** A disk that is asked to sync, and does so when the test says. */
function createDisk({ giveUpMs }: { giveUpMs?: number } = {}) {
  const asked: PromiseWithResolvers<void>[] = [];
  const sync = () => {
    const one = Promise.withResolvers<void>();
    asked.push(one);
    return one.promise;
  };
  return { asked, sync, commits: new GroupCommit(client, { sync, ...(giveUpMs !== undefined && { giveUpMs }) }) };
}

test('a write is fulfilled when its commit is on the disk; what comes meanwhile waits, and shares the next one', async () => {
  const { asked, commits } = createDisk();
  const done: string[] = [];
  const write = (word: string) => commits.write(() => add(word)).then(() => done.push(word));
  const first = write('a');
  await turn();
  expect(words()).toEqual(['a']);
  const later = [write('b'), write('c')];
  for (let n = 0; n < 5; n++) await turn();
  expect([asked.length, words(), done]).toEqual([1, ['a'], []]);
  expect(
    await counted(async () => {
      asked[0]!.resolve();
      await first;
      expect(done).toEqual(['a']);
      await expect.poll(() => asked.length).toBe(2);
      asked[1]!.resolve();
      await Promise.all(later);
    }),
  ).toBe(1);
  expect(done).toEqual(['a', 'b', 'c']);
});

test('all writes of a commit are rejected when the disk fails; the next one comes when the log is in the file', async () => {
  const { asked, commits } = createDisk();
  const failing = [commits.write(() => add('a')), commits.write(() => add('b'))];
  const refused = Promise.allSettled(failing);
  await turn();
  asked[0]!.reject(new Error('EIO: i/o error, fdatasync'));
  for (const each of await refused)
    expect(each).toMatchObject({ status: 'rejected', reason: { name: 'StoreError', message: /fdatasync/ } });
  // Someone reads from the log, so it cannot be emptied.
  watcher.exec('BEGIN');
  expect(words()).toEqual(['a', 'b']);
  await expect(commits.write(() => add('c'))).rejects.toThrow('the log could not be emptied');
  expect(asked).toHaveLength(1);
  watcher.exec('END');
  const next = commits.write(() => add('d'));
  await expect.poll(() => asked.length).toBe(2);
  asked[1]!.resolve();
  expect(await next).toBe(1);
  expect(words()).toEqual(['a', 'b', 'd']);
  expect(inTheFile()).toEqual(['a', 'b']);
});

test('says when all writers of a commit have been answered, be it that the disk has failed', async () => {
  const asked: PromiseWithResolvers<void>[] = [];
  const sync = () => {
    asked.push(Promise.withResolvers());
    return asked.at(-1)!.promise;
  };
  const settled: string[] = [];
  const seen: string[][] = [];
  const commits = new GroupCommit(client, {
    now: () => 0,
    sync,
    onAnswered: () => void Promise.resolve().then(() => seen.push([...settled])),
  });
  const write = (word: string) =>
    commits
      .write(() => add(word))
      .then(
        () => settled.push(word),
        () => settled.push(`not ${word}`),
      );
  const first = Promise.all(Array.from({ length: 10 }, (_, n) => write(`${n}`)));
  await turn();
  expect(seen).toEqual([]);
  asked[0]!.resolve();
  await first;
  await turn();
  expect(seen).toEqual([settled]);
  const second = write('x');
  await expect.poll(() => asked.length).toBe(2);
  asked[1]!.reject(new Error('EIO'));
  await second;
  await turn();
  expect(seen).toHaveLength(2);
  expect(seen[1]?.at(-1)).toBe('not x');
});

test('what waits behind a disk that does not answer is refused, until it answers; an answer that was spent waits', async () => {
  const { asked, commits } = createDisk({ giveUpMs: 50 });
  const first = commits.write(() => add('a'));
  await turn();
  const waiting = commits.write(() => add('b'));
  const patient = commits.write(() => add('c'), { isPatient: true });
  await expect(waiting).rejects.toThrow('the disk does not answer');
  await expect(commits.write(() => add('d'))).rejects.toThrow('the disk does not answer');
  const later = commits.write(() => add('e'), { isPatient: true });
  asked[0]!.resolve();
  expect(await first).toBe(1);
  const next = commits.write(() => add('f'));
  await expect.poll(() => asked.length).toBe(2);
  asked[1]!.resolve();
  expect(await Promise.all([patient, later, next])).toEqual([1, 1, 1]);
  expect(words()).toEqual(['a', 'c', 'e', 'f']);
});

test('finish writes what is pending into the log at once, and ends when all of it is on the disk', async () => {
  const { asked, commits } = createDisk();
  const ended: string[] = [];
  const write = (word: string) => commits.write(() => add(word)).then(() => ended.push(word));
  const first = write('a');
  await turn();
  const last = write('b');
  const finished = commits.finish().then(() => ended.push('all'));
  // The disk may never answer: the log outlives the process.
  expect(words()).toEqual(['a', 'b']);
  for (let n = 0; n < 5; n++) await turn();
  expect([ended, asked.length]).toEqual([[], 1]);
  asked[0]!.resolve();
  await expect.poll(() => asked.length).toBe(2);
  expect(ended).toEqual([]);
  asked[1]!.resolve();
  await Promise.all([first, last, finished]);
  expect(ended.toSorted()).toEqual(['a', 'all', 'b']);
});

test('finish: while another process locks the database, the event loop goes on, and what is pending waits', async () => {
  watcher.exec('begin immediate');
  const last = commits.write(() => add('a'));
  const finished = commits.finish();
  // A blocked event loop would not get here before the write is refused.
  setImmediate(() => watcher.exec('rollback'));
  expect(await last).toBe(1);
  await finished;
  expect(words()).toEqual(['a']);
});

test('finish: what waits for another process that keeps the database locked is refused in the end', async () => {
  // After five seconds of this clock.
  commits = new GroupCommit(client, { now: () => 50 * performance.now() });
  watcher.exec('begin immediate');
  const last = commits.write(() => add('a')).catch(String);
  const finished = commits.finish();
  expect(await last).toContain('database is locked');
  await finished;
  watcher.exec('rollback');
  expect(words()).toEqual([]);
});

test('finish: what came after a commit that the disk has failed is rejected with it', async () => {
  const { asked, commits } = createDisk();
  const first = commits.write(() => add('a'));
  await turn();
  const writes = Promise.allSettled([first, commits.write(() => add('b'))]);
  const finished = commits.finish();
  asked[0]!.reject(new Error('EIO: i/o error, fdatasync'));
  await finished;
  expect(await writes).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
  expect(asked).toHaveLength(1);
});

test('a commit that no request waits for comes later, or with the next one that some request waits for', async () => {
  const waiting = new Set<() => void>();
  const later = (run: () => void) => {
    waiting.add(run);
    return () => void waiting.delete(run);
  };
  const quiet = new GroupCommit(client, { later });
  const aside = (word: string) => quiet.write(() => add(word), { isAwaited: false });
  const both = [aside('a'), aside('b')];
  await turn();
  await turn();
  expect(words()).toEqual([]);
  expect(waiting.size).toBe(1);
  for (const run of waiting) run();
  await Promise.all(both);
  expect(words()).toEqual(['a', 'b']);
  waiting.clear();
  await Promise.all([aside('c'), quiet.write(() => add('d'))]);
  expect(words()).toEqual(['a', 'b', 'c', 'd']);
  expect(waiting.size).toBe(0);
  const last = aside('e');
  await quiet.finish();
  expect(await last).toBe(1);
  expect(words()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

/** Another thread, which commits when the test says. */
function createThread(of = commits) {
  const asked: { word: string; answer: (outcome: 'done' | 'busy' | undefined) => void }[] = [];
  const write = (word: string) =>
    of.writeElsewhere(
      () => new Promise((answer) => asked.push({ word, answer })) as Promise<'done' | 'busy' | undefined>,
    );
  return {
    asked,
    write,
    /** Begins the last that was asked for; the returned function ends it. */
    begin() {
      const { word, answer } = asked.at(-1)!;
      watcher.exec('BEGIN IMMEDIATE');
      return () => {
        watcher.prepare('insert into words values (?)').run(word);
        watcher.exec('COMMIT');
        answer('done');
      };
    },
  };
}

test('another thread: nothing is committed here while it commits, and what waits comes next', async () => {
  const { asked, write, begin } = createThread();
  const aside = [write('a'), write('b')];
  expect(asked).toHaveLength(1);
  const end = begin();
  const mine = commits.write(() => add('c'));
  // Nothing blocks on the lock: this connection would wait for a millisecond, and then say that it is taken.
  for (let n = 0; n < 5; n++) await turn();
  expect(words()).toEqual([]);
  end();
  expect(await mine).toBe(1);
  expect(words()).toEqual(['a', 'c']);
  await expect.poll(() => asked.length).toBe(2);
  begin()();
  await Promise.all(aside);
  expect(words()).toEqual(['a', 'b', 'c']);
});

test('another thread: what it has committed is fulfilled by the next sync, and refused when that fails', async () => {
  const { asked: synced, commits } = createDisk();
  const { asked, write, begin } = createThread(commits);
  const done: string[] = [];
  const first = commits.write(() => add('a')).then(() => done.push('a'));
  await turn();
  const aside = write('b').then(() => done.push('b'));
  begin()();
  for (let n = 0; n < 5; n++) await turn();
  expect([words(), done, synced.length]).toEqual([['a', 'b'], [], 1]);
  synced[0]!.resolve();
  await first;
  expect(done).toEqual(['a']);
  await expect.poll(() => synced.length).toBe(2);
  synced[1]!.resolve();
  await aside;
  expect(done).toEqual(['a', 'b']);
  const refused = write('c').catch((error: unknown) => error);
  expect(asked).toHaveLength(2);
  begin()();
  await expect.poll(() => synced.length).toBe(3);
  const during = write('d').catch(String);
  const end = begin();
  synced[2]!.reject(new Error('EIO: i/o error, fdatasync'));
  const failed = await refused;
  expect(failed).toBeInstanceOf(StoreError);
  expect(String(failed)).toContain('fdatasync');
  // The next sync would say that all is well.
  end();
  expect(await during).toContain('the disk has failed');
  expect(synced).toHaveLength(3);
  // The log was emptied, and the disk is well.
  for (const [n, word] of ['e', 'f'].entries()) {
    const written = commits.write(() => add(word));
    await expect.poll(() => synced.length).toBe(4 + n);
    synced.at(-1)!.resolve();
    expect(await written).toBe(1);
  }
  await commits.finish();
});

test('a database that another process has locked for too long: all that wait are refused together', async () => {
  let now = 0;
  commits = new GroupCommit(client, { now: () => now });
  watcher.exec('begin immediate');
  const writes = Promise.allSettled(Array.from({ length: 150 }, (_, n) => commits.write(() => add(`${n}`))));
  await turn();
  now = 6_000;
  const outcomes = await writes;
  expect(new Set(outcomes.map((one) => one.status === 'rejected' && String(one.reason)))).toEqual(
    new Set(['StoreError: database is locked']),
  );
  watcher.exec('rollback');
  expect(await commits.write(() => add('later'))).toBe(1);
  expect(words()).toEqual(['later']);
});

test('another thread: one that does not answer, is gone, or finds the database locked, loses no write of this one', async () => {
  commits = new GroupCommit(client, { giveUpMs: 300 });
  const { asked, write, begin } = createThread(commits);
  const lost = write('a').catch(String);
  asked[0]!.answer(undefined);
  expect(await lost).toContain('the thread of the store has ended');
  const locked = write('b');
  asked[1]!.answer('busy');
  await expect.poll(() => asked.length, { interval: 5 }).toBe(3);
  begin()();
  await locked;
  const stillLocked = write('x').catch(String);
  const answerBusy = setInterval(() => asked.at(-1)!.answer('busy'), 5);
  expect(await stillLocked).toContain('database is locked');
  clearInterval(answerBusy);
  for (const { answer } of asked) answer('busy');
  const hanging = write('c').catch(String);
  // The one that was refused is not tried again.
  await expect.poll(() => asked.at(-1)!.word, { interval: 5 }).toBe('c');
  const end = begin();
  await expect(commits.write(() => add('d'))).rejects.toThrow('the disk does not answer');
  expect(await hanging).toContain('the disk does not answer');
  end();
  await turn();
  expect(await commits.write(() => add('e'))).toBe(1);
  expect(words()).toEqual(['b', 'c', 'e']);
});

test('another thread: an answer that was spent does not wait for one that hangs, nor does finish', async () => {
  // Other processes are given up after five seconds of this clock.
  const now = () => 50 * performance.now();
  commits = new GroupCommit(client, { now, giveUpMs: 50, unsyncedAfterMs: 50 });
  const { write, begin } = createThread();
  void write('a').catch(() => undefined);
  const end = begin();
  const refused = commits.write(() => add('b')).catch(String);
  const patient = commits.write(() => add('c'), { isPatient: true }).catch(String);
  expect(await refused).toContain('the disk does not answer');
  // It holds the lock of the database: who waits for it is told in the end, and keeps the answer elsewhere.
  expect(await patient).toContain('database is locked');
  await commits.finish();
  end();
  expect(words()).toEqual(['a']);
});

test('another thread: finish waits for a commit that it has begun, and refuses what it has not', async () => {
  const { asked, write, begin } = createThread();
  const begun = write('a');
  const waiting = write('b').catch(String);
  const end = begin();
  const mine = commits.write(() => add('c'));
  const finished = commits.finish();
  expect(await waiting).toContain('closed');
  end();
  await Promise.all([begun, mine, finished]);
  expect(words()).toEqual(['a', 'c']);
  expect(asked).toHaveLength(1);
  await expect(write('d')).rejects.toThrow('closed');
});

test('a write is fulfilled when other connections can see it', async () => {
  const written = commits.write(() => add('a'));
  expect(words()).toEqual([]);
  expect(await written).toBe(1);
  expect(words()).toEqual(['a']);
});

test('an operation that throws is rolled back alone', async () => {
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

test('while another process locks the database before the others are run again, they wait', async () => {
  const prepare = client.prepare.bind(client);
  let locks = 0;
  vi.spyOn(client, 'prepare').mockImplementation((sql: string) => {
    const statement = prepare(sql);
    const run = statement.run.bind(statement);
    if (sql !== 'ROLLBACK') return statement;
    return Object.assign(statement, {
      run() {
        const result = run();
        if (locks++ === 0) watcher.exec('BEGIN IMMEDIATE');
        return result;
      },
    });
  });
  commits = new GroupCommit(client);
  const [first, broken] = [commits.write(() => add('a')), commits.write(() => [add('half'), add('a')])];
  await expect.poll(() => locks).toBe(1);
  await turn();
  expect(words()).toEqual([]);
  watcher.exec('ROLLBACK');
  await expect(broken).rejects.toMatchObject({ cause: { code: 'SQLITE_CONSTRAINT_PRIMARYKEY' } });
  expect(await first).toBe(1);
  expect(words()).toEqual(['a']);
});

test('an error does not hold the values', async () => {
  await commits.write(() => add('secret'));
  const error: unknown = await commits.write(() => add('secret')).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(StoreError);
  expect(String(error)).toContain('UNIQUE');
  expect(`${error} ${String((error as Error).cause)}`).not.toContain('secret');
});

test('all are rejected while another process locks the database, and none is run', async () => {
  watcher.exec('BEGIN IMMEDIATE');
  let runs = 0;
  const operation = () => commits.write(() => ++runs);
  const refused = await Promise.allSettled([operation(), operation()]);
  watcher.exec('ROLLBACK');
  expect(runs).toBe(0);
  for (const each of refused) {
    expect(each).toMatchObject({ status: 'rejected', reason: { name: 'StoreError', cause: { code: 'SQLITE_BUSY' } } });
  }
  expect(await operation()).toBe(1);
});

test('all are rejected when the commit fails, and nothing changes', async () => {
  client.pragma('foreign_keys = ON');
  client.exec('create table refers (word text references words deferrable initially deferred)');
  const dangling = () => client.prepare("insert into refers values ('nowhere')").run();
  const refused = await Promise.allSettled([commits.write(() => add('a')), commits.write(dangling)]);
  for (const each of refused) expect(each).toMatchObject({ status: 'rejected', reason: { name: 'StoreError' } });
  expect(words()).toEqual([]);
  expect(await commits.write(() => add('b'))).toBe(1);
});

test('a batch that SQLite rolled back is rejected as a whole', async () => {
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

test('a full database rejects what does not fit, and accepts what does', async () => {
  const pages = client.pragma('page_count', { simple: true }) as number;
  client.pragma(`max_page_count = ${pages + 2}`);
  const large = () => client.prepare('insert into many values (zeroblob(100000))').run();
  await expect(commits.write(large)).rejects.toMatchObject({ name: 'StoreError', cause: { code: 'SQLITE_FULL' } });
  expect(await commits.write(() => add('c'))).toBe(1);
});

test('finish commits what is pending, and later writes are rejected', async () => {
  const writes = Array.from({ length: 70 }, (_, i) => commits.write(() => add(String(i))));
  const finished = commits.finish();
  expect(words()).toHaveLength(70);
  await finished;
  await Promise.all(writes);
  await expect(commits.write(() => add('late'))).rejects.toBeInstanceOf(StoreError);
});
