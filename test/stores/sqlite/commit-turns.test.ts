// Whose turn it is to commit, and how long each waits: the event loop, the thread and the disk, on a real file and with a real
// thread. The test says when an fsync ends, when the thread answers, and how much time has passed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import { SQLITE_DISK_GIVE_UP_MS, SQLITE_UNSYNCED_AFTER_MS } from '../../../src/domain/time-limits.ts';
import { type BackgroundThread, createBackgroundThread } from '../../../src/stores/sqlite/background-thread.ts';
import { GroupCommit } from '../../../src/stores/sqlite/group-commit.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';
import { anEntry } from '../builders.ts';

const SILENT = 'StoreError: the disk does not answer';
const SCRIPT = new URL('../../../src/stores/sqlite/background-worker.ts', import.meta.url);

/** What is ready is done: turns of the event loop, and what the thread does, take no time of the clock. */
const settle = async () => {
  for (let n = 0; n < 6; n++) {
    await turn();
    await vi.advanceTimersByTimeAsync(0);
  }
};
const pass = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms);
  await settle();
};

interface Gate extends PromiseWithResolvers<void> {
  word: string;
  /** The thread has done what it was asked for. */
  ran: Promise<void>;
}

async function aStore(makeThread: (path: string) => BackgroundThread = createBackgroundThread) {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-turns-'));
  const path = join(folder, 'valetkey.db');
  await createMigratedFile(path);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const client = new Sqlite(path, { timeout: 1 });
  client.exec('create table words (word text primary key); create table many (blob)');
  const watcher = new Sqlite(path, { readonly: true });
  const thread = makeThread(path);
  /** In the order of the commits of each. */
  const committed = () =>
    watcher.prepare('select word from words union all select id from audit').pluck().all() as string[];

  const onDisk = new Set<string>();
  const syncs: PromiseWithResolvers<void>[] = [];
  let ended = 0;
  let isOver = false;
  const sync = async () => {
    if (isOver) return;
    const inTheLog = committed();
    syncs.push(Promise.withResolvers());
    await syncs.at(-1)!.promise;
    for (const word of inTheLog) onDisk.add(word);
  };
  const commits = new GroupCommit(client, { sync, now: () => 0 });

  const gates: Gate[] = [];
  let answered = 0;
  const outcomes = new Map<string, string>();
  /** What is told to be durable must be. */
  const keep = (word: string, written: Promise<unknown>) =>
    void written.then(
      () => outcomes.set(word, onDisk.has(word) ? 'durable' : 'answered too early'),
      (error: unknown) => outcomes.set(word, String(error)),
    );
  const store = {
    commits,
    client,
    thread,
    committed,
    outcomes,
    syncs: () => syncs.length,
    isSyncing: () => ended < syncs.length,
    isThreadBusy: () => answered < gates.length,
    write(word: string, isPatient = false) {
      keep(
        word,
        commits.write(() => client.prepare('insert into words values (?)').run(word), { isPatient }),
      );
    },
    append(word: string) {
      const written = commits.writeElsewhere(async () => {
        const gate = Promise.withResolvers<void>();
        const outcome = thread.run({ kind: 'append', entries: [anEntry({ id: word })] });
        gates.push({ ...gate, word, ran: outcome.then(() => undefined) });
        await gate.promise;
        return outcome;
      });
      keep(word, written);
    },
    /** The one that is under way ends, well or not. */
    async endSync(error?: Error) {
      if (error) syncs[ended++]!.reject(error);
      else syncs[ended++]!.resolve();
      await settle();
    },
    /** The thread has done what is under way, and does not say so yet. */
    async ran() {
      await settle();
      await gates[answered]?.ran;
    },
    async answer() {
      const gate = gates[answered++]!;
      await gate.ran;
      gate.resolve();
      await settle();
      return gate.word;
    },
    /** All that is under way ends, until nothing is. */
    async endAll() {
      await settle();
      while (store.isSyncing() || store.isThreadBusy()) {
        if (store.isThreadBusy()) await store.answer();
        if (store.isSyncing()) await store.endSync();
      }
    },
    async close() {
      if (isOver) return;
      await store.endAll();
      isOver = true;
      vi.useRealTimers();
      await commits.finish();
      await thread.stop();
      watcher.close();
      client.close();
      rmSync(folder, { recursive: true });
    },
  };
  onTestFinished(store.close);
  return store;
}

/** A little less than what is silent. */
const ALMOST_MS = SQLITE_DISK_GIVE_UP_MS - 100;

test('an fsync and a commit of the thread that overlap for a minute, each within its time: nothing is refused, each has its turn', async () => {
  const store = await aStore();
  store.write('w0');
  await settle();
  store.append('a0');
  store.append('a1');
  await pass(ALMOST_MS / 2);
  for (let n = 1; n <= 12; n++) {
    // Under way: an fsync since just now or half a time, a commit of the thread since half a time.
    store.write(`w${n}`);
    for (const k of [0, 1]) store.append(`a${n}/${k}`);
    await store.answer();
    await pass(ALMOST_MS / 2);
    expect([store.isSyncing(), store.isThreadBusy()]).toEqual([true, true]);
    await store.endSync();
    // It waits for the thread alone, and no fsync begins that it would have to wait for too.
    expect([store.isSyncing(), store.isThreadBusy(), store.outcomes.get(`w${n - 1}`)]).toEqual([
      false,
      true,
      'durable',
    ]);
    await pass(ALMOST_MS / 2);
    await store.answer();
    expect([store.committed().includes(`w${n}`), store.syncs()]).toEqual([true, n + 1]);
    await pass(ALMOST_MS / 2);
  }
  await store.endAll();
  expect(new Set(store.outcomes.values())).toEqual(new Set(['durable']));
  expect(store.outcomes.size).toBe(13 + 26);
  expect(store.committed()).toHaveLength(13 + 26);
});

test('a write is committed as soon as the fsync and the commit of the thread that it met have ended, and shares an fsync with that', async () => {
  const store = await aStore();
  store.write('a');
  await settle();
  for (const word of ['b', 'c', 'd']) store.append(word);
  store.write('e');
  await settle();
  await store.answer();
  await store.endSync();
  // With the log free for the event loop, the thread would be next, and next again.
  expect([store.syncs(), store.committed().includes('e')]).toEqual([1, false]);
  await store.answer();
  expect([store.syncs(), store.committed().includes('e')]).toEqual([2, true]);
  await store.endSync();
  expect(Object.fromEntries(store.outcomes)).toEqual({ a: 'durable', b: 'durable', c: 'durable', e: 'durable' });
});

test('appends are not starved by writes that never pause: each fsync lets the thread commit', async () => {
  const store = await aStore();
  store.write('w');
  for (const word of ['a', 'b', 'c']) store.append(word);
  await settle();
  for (const [n, word] of ['a', 'b', 'c'].entries()) {
    expect(await store.answer()).toBe(word);
    store.write(`w${n}`);
    await store.endSync();
    store.write(`later${n}`);
  }
  await store.endAll();
  expect(['a', 'b', 'c'].map((word) => store.outcomes.get(word))).toEqual(Array(3).fill('durable'));
});

test('what many write beside the thread takes one fsync for each round', async () => {
  const store = await aStore();
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 40; n++) store.write(`${round}/${n}`);
    for (let n = 0; n < 4; n++) store.append(`a${round}/${n}`);
    await settle();
    for (let n = 0; n < 4; n++) await store.answer();
    await store.endSync();
  }
  await store.endAll();
  // The last one is for what the thread has committed during the fifth.
  expect(store.syncs()).toBe(6);
  expect([new Set(store.outcomes.values()), store.outcomes.size]).toEqual([new Set(['durable']), 5 * 44]);
});

test('an fsync that takes too long: all that is not in the log is refused then, and appends too, and what comes later at once', async () => {
  const store = await aStore();
  store.write('a');
  await settle();
  store.append('thread');
  await store.answer();
  store.append('under way');
  store.append('waiting');
  await store.ran();
  await pass(ALMOST_MS);
  store.write('b');
  await pass(200);
  store.write('c');
  store.append('d');
  store.write('spent', true);
  await settle();
  expect(Object.fromEntries(store.outcomes)).toEqual({
    thread: SILENT,
    'under way': SILENT,
    waiting: SILENT,
    b: SILENT,
    c: SILENT,
    d: SILENT,
  });
  expect(store.committed().toSorted()).toEqual(['a', 'thread', 'under way']);
  await store.endAll();
  store.write('e');
  await store.endAll();
  expect(['a', 'spent', 'e'].map((word) => store.outcomes.get(word))).toEqual(Array(3).fill('durable'));
});

test('an fsync that takes too long is silent also where nothing waited for it', async () => {
  const store = await aStore();
  store.write('a');
  await pass(SQLITE_DISK_GIVE_UP_MS + 100);
  store.write('b');
  await settle();
  expect([store.outcomes.get('a'), store.outcomes.get('b')]).toEqual([undefined, SILENT]);
  await store.endSync();
  expect(store.outcomes.get('a')).toBe('durable');
});

test('an fsync that fails while the thread commits: both are refused, and the next ones are durable', async () => {
  const store = await aStore();
  store.write('a');
  await settle();
  store.append('b');
  store.write('c');
  await store.endSync(new Error('EIO: i/o error, fdatasync'));
  expect(store.outcomes.get('a')).toContain('fdatasync');
  await store.endAll();
  // It shared the log of the commit that was lost, until that was written into the file of the database.
  expect([store.outcomes.get('b'), store.outcomes.get('c')]).toEqual(['durable', 'durable']);
});

test('a write behind a thread that hangs once the fsync has ended is refused in time, and what comes later at once', async () => {
  const store = await aStore();
  store.write('a');
  await settle();
  store.write('b');
  store.write('spent', true);
  await pass(ALMOST_MS);
  store.append('hangs');
  await store.endSync();
  await pass(ALMOST_MS);
  expect(Object.fromEntries(store.outcomes)).toEqual({ a: 'durable' });
  await pass(200);
  store.write('c');
  store.append('d');
  await settle();
  const refused = { b: SILENT, hangs: SILENT, c: SILENT, d: SILENT };
  expect(Object.fromEntries(store.outcomes)).toEqual({ a: 'durable', ...refused });
  await store.answer();
  store.write('e');
  await store.endAll();
  const durable = { a: 'durable', spent: 'durable', e: 'durable' };
  expect(Object.fromEntries(store.outcomes)).toEqual({ ...durable, ...refused });
  expect(store.committed().toSorted()).toEqual(['a', 'e', 'hangs', 'spent']);
});

test('a thread that hangs in its transaction: answers to spent tokens wait for it, and are committed when it goes on', async () => {
  const latch = new Int32Array(new SharedArrayBuffer(4));
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    const client = new (require('better-sqlite3'))(workerData.path);
    parentPort.on('message', (task) => {
      if (task === 'close') return parentPort.close();
      client.exec('BEGIN IMMEDIATE');
      Atomics.add(workerData.latch, 0, 1);
      Atomics.notify(workerData.latch, 0);
      Atomics.wait(workerData.latch, 0, 1);
      client.exec('COMMIT');
      setImmediate(() => parentPort.postMessage('done'));
    });`;
  const hangs = (path: string) =>
    createBackgroundThread(path, () => new Worker(script, { eval: true, workerData: { path, latch } }));
  const store = await aStore(hangs);
  store.append('hangs');
  await Atomics.waitAsync(latch, 0, 0).value;
  store.write('a');
  store.write('spent', true);
  await pass(SQLITE_DISK_GIVE_UP_MS + 100);
  store.write('b');
  await pass(SQLITE_UNSYNCED_AFTER_MS - 1_000);
  expect(Object.fromEntries(store.outcomes)).toEqual({ hangs: SILENT, a: SILENT, b: SILENT });
  Atomics.store(latch, 0, 2);
  Atomics.notify(latch, 0);
  await store.endAll();
  store.write('c');
  await store.endAll();
  expect([store.outcomes.get('spent'), store.outcomes.get('c')]).toEqual(['durable', 'durable']);
});

test('a thread that ends, and one that fails, stop no commit', async () => {
  const workers: Worker[] = [];
  const real = (path: string) =>
    createBackgroundThread(path, () => {
      workers.push(new Worker(SCRIPT, { workerData: { path } }));
      return workers.at(-1)!;
    });
  const store = await aStore(real);
  store.append('a');
  store.append('a/2');
  await store.endAll();
  const failing = store.commits
    .writeElsewhere(() => store.thread.run({ kind: 'append', entries: [anEntry({ actor: null as never })] }))
    .catch(String);
  store.write('b');
  expect(await failing).toContain('NOT NULL');
  await store.endAll();
  store.append('c');
  store.write('d');
  await workers[0]!.terminate();
  await store.endAll();
  store.write('e');
  await store.endAll();
  const outcome = (word: string) => store.outcomes.get(word);
  expect(['a', 'a/2', 'b', 'd', 'e'].map(outcome)).toEqual(Array(5).fill('durable'));
  expect(outcome('c')).toMatch(/durable|the thread of the store has ended/);
});

test('a disk that is full refuses what does not fit, while the thread commits; with space again, all is committed', async () => {
  const store = await aStore();
  const pages = store.client.pragma('page_count', { simple: true }) as number;
  store.client.pragma(`max_page_count = ${pages + 2}`);
  const large = () =>
    store.commits.write(() => store.client.prepare('insert into many values (zeroblob(100000))').run());
  store.append('a');
  const refused = large().catch(String);
  store.write('b');
  await store.answer();
  expect(await refused).toContain('full');
  await store.endAll();
  store.client.pragma(`max_page_count = ${pages + 1_000}`);
  const fits = large();
  store.append('c');
  await store.endAll();
  expect(await fits).toMatchObject({ changes: 1 });
  store.write('d');
  await store.endAll();
  expect(['a', 'c', 'd'].map((word) => store.outcomes.get(word))).toEqual(Array(3).fill('durable'));
});

test('in any order, as long as each fsync and each commit of the thread ends in time: nothing is refused or lost, and all wait for little', async () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constant('write' as const) },
    { weight: 3, arbitrary: fc.constant('append' as const) },
    { weight: 3, arbitrary: fc.constant('endSync' as const) },
    { weight: 3, arbitrary: fc.constant('answer' as const) },
    { weight: 4, arbitrary: fc.constant('pass' as const) },
  );
  const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
    const store = await aStore();
    const began = { sync: 0, thread: 0 };
    let [n, now, syncs] = [0, 0, 0];
    /** When each was asked for. */
    const waiting = new Map<string, number>();
    const look = () => {
      if (store.syncs() > syncs) began.sync = now;
      syncs = store.syncs();
      const there = new Set(store.committed());
      for (const [word, since] of waiting) {
        if (there.has(word)) waiting.delete(word);
        // One fsync and one commit of the thread at most.
        else expect(now - since).toBeLessThan(2 * SQLITE_DISK_GIVE_UP_MS);
      }
    };
    const act = {
      write() {
        const word = `w${n++}`;
        waiting.set(word, now);
        store.write(word);
        return settle();
      },
      async append() {
        if (!store.isThreadBusy()) began.thread = now;
        store.append(`a${n++}`);
        await settle();
      },
      async endSync() {
        if (store.isSyncing()) await store.endSync();
      },
      async answer() {
        if (!store.isThreadBusy()) return;
        await store.answer();
        began.thread = now;
      },
      /** Whatever is under way ends in time. */
      async pass() {
        if (store.isSyncing() && now + ALMOST_MS / 3 - began.sync >= ALMOST_MS) await act.endSync();
        look();
        if (store.isThreadBusy() && now + ALMOST_MS / 3 - began.thread >= ALMOST_MS) await act.answer();
        look();
        await pass(ALMOST_MS / 3);
        now += ALMOST_MS / 3;
      },
    };
    for (const each of steps) {
      await act[each]();
      look();
    }
    await store.endAll();
    expect(new Set(store.outcomes.values())).toEqual(new Set(n === 0 ? [] : ['durable']));
    expect(store.outcomes.size).toBe(n);
    expect(store.committed()).toHaveLength(n);
    await store.close();
  });
  // A failure prints its seed.
  await fc.assert(property, { numRuns: 15, interruptAfterTimeLimit: 10_000, markInterruptAsFailure: false });
});
