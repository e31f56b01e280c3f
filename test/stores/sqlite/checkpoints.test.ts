// Checkpoints: a thread writes the log into the file, the log stays bounded, and nothing is lost on the way.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import Sqlite, { type Database } from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { SQLITE_CHECKPOINT_INTERVAL_MS } from '../../../src/domain/time-limits.ts';
import { type BackgroundThread, createBackgroundThread } from '../../../src/stores/sqlite/background-thread.ts';
import { createCheckpoints } from '../../../src/stores/sqlite/checkpoints.ts';
import { openDatabase } from '../../../src/stores/sqlite/database.ts';
import { GroupCommit } from '../../../src/stores/sqlite/group-commit.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { bundledProgram } from '../../support/bundle.ts';

const PAGE = 4_096;
const ENOUGH_PAGES = 1_000;

function aPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-checkpoints-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'valetkey.db');
}

const THREAD = new URL('../../../src/stores/sqlite/background-worker.ts', import.meta.url);

function opened(path = aPath(), threadOf = (workerData: unknown) => new Worker(THREAD, { workerData })) {
  const client = openDatabase(`file:${path}`);
  onTestFinished(() => void client.close());
  client.exec('create table filling (bytes)');
  const threads: Worker[] = [];
  const background = createBackgroundThread(client.name, (name) => {
    const thread = threadOf({ path: name });
    thread.unref();
    threads.push(thread);
    return thread;
  });
  const timeouts: unknown[] = [];
  const checkpoints = createCheckpoints(client, {
    ...background,
    run(task) {
      timeouts.push(client.pragma('busy_timeout', { simple: true }));
      return background.run(task);
    },
  });
  async function stop() {
    checkpoints.stop();
    await background.stop();
  }
  onTestFinished(stop);
  const commits = new GroupCommit(client, { onCommit: checkpoints.committed });
  const add = client.prepare('insert into filling values (zeroblob(?))');
  const fill = (pages: number) => commits.write(() => void add.run(pages * PAGE));
  return { path, client, threads, timeouts, checkpoints, stop, fill };
}

const sizes = (client: Database) =>
  (client.pragma('wal_checkpoint(NOOP)') as [{ log: number; checkpointed: number }])[0];
const left = (client: Database): number => sizes(client).log - sizes(client).checkpointed;

test('checkpoints: a log of many pages is written by the thread, and no commit writes any', async () => {
  const { client, threads, fill } = opened();
  for (let n = 0; n < 20; n++) await fill(200);
  // More than the commits have written: they would themselves with more pages only.
  expect(client.pragma('wal_autocheckpoint', { simple: true })).toBe(16_000);
  await expect.poll(() => left(client)).toBeLessThanOrEqual(1);
  expect(threads).toHaveLength(1);
});

test('checkpoints: a log that is all in the file begins again before the next commit, which would wait for the disk', async () => {
  const { client, fill } = opened();
  await fill(2 * ENOUGH_PAGES);
  await expect.poll(() => sizes(client)).toMatchObject({ log: 1, checkpointed: 0 });
  await fill(1);
  expect(sizes(client).log).toBeGreaterThan(1);
  expect(sizes(client).log).toBeLessThan(ENOUGH_PAGES);
});

test('checkpoints: no commit blocks on the lock of the thread while that may wait for the disk', async () => {
  const { client, timeouts, checkpoints, fill } = opened();
  const before = client.pragma('busy_timeout', { simple: true });
  for (let n = 0; n < 5; n++) await fill(ENOUGH_PAGES);
  await checkpoints.truncate();
  expect(timeouts.length).toBeGreaterThan(1);
  expect(new Set(timeouts)).toEqual(new Set([0]));
  // Another checkpoint may be under way.
  await expect.poll(() => client.pragma('busy_timeout', { simple: true })).toBe(before);
  expect(before).toBeGreaterThan(0);
});

test('checkpoints: a log of few pages takes no thread, and is emptied without one', async () => {
  const { path, client, threads, checkpoints, fill } = opened();
  expect(await checkpoints.truncate()).toBe(true);
  await fill(3);
  expect(left(client)).toBeGreaterThan(0);
  expect(await checkpoints.truncate()).toBe(true);
  expect([left(client), threads.length, existsSync(`${path}-wal`)]).toEqual([0, 0, true]);
});

test('checkpoints: a log that was written begins again from its start, though commits go on', async () => {
  const { client, fill } = opened();
  let most = 0;
  let restarts = 0;
  let before = 0;
  // Commits never pause: what the thread has written is never all there is.
  while (restarts < 2) {
    await fill(100);
    const now = sizes(client).log;
    if (now < before) restarts++;
    before = now;
    most = Math.max(most, now);
  }
  // Where other processes keep the thread from its processor, ten times as many as where it has one.
  expect(most).toBeLessThan(200_000);
}, 120_000);

test('checkpoints: emptying the log waits for no reader, and is done once that has gone', async () => {
  const { path, client, checkpoints, fill } = opened();
  await fill(ENOUGH_PAGES);
  const reader = new Sqlite(path, { readonly: true });
  reader.exec('begin');
  reader.prepare('select count(*) from filling').get();
  await fill(10);
  expect(await checkpoints.truncate()).toBe(false);
  reader.close();
  expect(await checkpoints.truncate()).toBe(true);
  expect(left(client)).toBe(0);
});

test('checkpoints: without the thread, commits write the log as they did before there was one', async () => {
  const { client, threads, checkpoints, fill } = opened(aPath(), () => new Worker('process.exit()', { eval: true }));
  await fill(ENOUGH_PAGES);
  await expect.poll(() => client.pragma('wal_autocheckpoint', { simple: true })).toBe(4_000);
  await fill(3_500);
  expect(left(client)).toBe(0);
  expect(await checkpoints.truncate()).toBe(true);
  expect(threads).toHaveLength(1);
});

test('checkpoints: a thread that cannot be made is as one that has ended', async () => {
  const { client, threads, checkpoints, stop, fill } = opened(aPath(), () => {
    throw new Error('no more threads');
  });
  await fill(ENOUGH_PAGES);
  await expect.poll(() => client.pragma('wal_autocheckpoint', { simple: true })).toBe(4_000);
  await fill(3_500);
  expect(left(client)).toBe(0);
  expect(await checkpoints.truncate()).toBe(true);
  await stop();
  expect(threads).toEqual([]);
});

test('checkpoints: a store that is closed leaves no log behind, and its thread ends', async () => {
  const path = aPath();
  const { client, threads, stop, fill } = opened(path);
  await fill(ENOUGH_PAGES);
  await expect.poll(() => left(client)).toBeLessThanOrEqual(1);
  const gone = once(threads[0]!, 'exit');
  await stop();
  await gone;
  client.close();
  expect(existsSync(`${path}-wal`)).toBe(false);
});

/** A thread whose checkpoints end when the test says. */
function aSlowThread() {
  const path = aPath();
  const client = openDatabase(`file:${path}`);
  onTestFinished(() => void client.close());
  client.exec('create table filling (bytes)');
  const ends: (() => void)[] = [];
  const thread: BackgroundThread = {
    isRunning: () => true,
    isGone: () => false,
    onGone: () => undefined,
    run: () => new Promise((resolve) => ends.push(() => resolve('done'))),
    stop: async () => undefined,
  };
  const checkpoints = createCheckpoints(client, thread);
  onTestFinished(checkpoints.stop);
  return {
    checkpoints,
    ends,
    timeout: () => client.pragma('busy_timeout', { simple: true }),
    async fill() {
      client.prepare('insert into filling values (zeroblob(?))').run(ENOUGH_PAGES * PAGE);
      checkpoints.committed();
      await vi.advanceTimersByTimeAsync(SQLITE_CHECKPOINT_INTERVAL_MS);
    },
  };
}

describe('a thread that takes long', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  test('checkpoints: there is one at a time', async () => {
    const { ends, fill } = aSlowThread();
    for (let n = 0; n < 3; n++) await fill();
    expect(ends).toHaveLength(1);
    ends[0]!();
    await vi.advanceTimersByTimeAsync(0);
    await fill();
    expect(ends).toHaveLength(2);
  });

  test('checkpoints: emptying the log beside one: no commit blocks until both have ended', async () => {
    const { checkpoints, ends, timeout, fill } = aSlowThread();
    const before = timeout();
    await fill();
    const emptied = checkpoints.truncate();
    expect(ends).toHaveLength(2);
    ends[0]!();
    await vi.advanceTimersByTimeAsync(0);
    expect(timeout()).toBe(0);
    ends[1]!();
    await vi.advanceTimersByTimeAsync(0);
    ends[2]!();
    expect(await emptied).toBe(true);
    expect(timeout()).toBe(before);
  });
});

/** A process that goes on writing reads; so many of its writes are fulfilled, and its thread has written into the file. */
async function untilWritten(path: string, writes: number): Promise<ChildProcess> {
  const before = statSync(path, { throwIfNoEntry: false })?.size ?? 1_000 * PAGE;
  const child = spawn(process.execPath, [await bundledProgram('reads-writer'), `file:${path}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout! })) {
    if (Number(line) >= writes && statSync(path).size > before) return child;
  }
  throw new Error('the writer ended');
}

test('checkpoints: no write that was fulfilled is lost by SIGKILL, whatever the thread is doing', async () => {
  const path = aPath();
  let known = 0;
  for (const writes of [500, 150, 230]) {
    const child = await untilWritten(path, writes);
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    known += writes;
    const raw = new Sqlite(path, { readonly: true });
    expect(raw.pragma('integrity_check', { simple: true })).toBe('ok');
    expect(raw.prepare('select count(*) from audit').pluck().get()).toBeGreaterThanOrEqual(known);
    raw.close();
  }
  const store = await openSqlite(`file:${path}`);
  const { data } = await store.audit({ owner: 'user:1' }, { limit: 500, after: undefined });
  await store.close();
  expect(data.length).toBe(500);
}, 120_000);
