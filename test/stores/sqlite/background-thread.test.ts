// The audit log as the thread writes it: the same entries in the same order as the connection of the store, whatever becomes of it.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { AuditEntry } from '../../../src/domain/audit.ts';
import { STORE_ERROR_LOG_INTERVAL_MS } from '../../../src/domain/time-limits.ts';
import { openStore } from '../../../src/stores/open.ts';
import { createBackgroundThread } from '../../../src/stores/sqlite/background-thread.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';
import { anEntry } from '../builders.ts';
import { storedReads } from '../stored-reads.ts';

async function aFile(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-thread-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'valetkey.db');
  await createMigratedFile(path);
  return path;
}

const SCRIPT = new URL('../../../src/stores/sqlite/background-worker.ts', import.meta.url);

function aThread(path: string) {
  const workers: Worker[] = [];
  const thread = createBackgroundThread(path, () => {
    workers.push(new Worker(SCRIPT, { workerData: { path } }));
    return workers.at(-1)!;
  });
  onTestFinished(thread.stop);
  return { thread, workers };
}

let written = 0;
/** A batch, as the audit buffer appends it. */
function someReads(): AuditEntry[] {
  written++;
  const reads = Array.from({ length: 64 }, (_, n) =>
    anEntry({
      id: `evt_${String(written).padStart(8, '0')}_${String(n).padStart(2, '0')}`,
      action: 'token.read',
      owner: `user:${n}`,
      connectionId: `con_${n}`,
      detail: null,
      changed: null,
    }),
  );
  return storedReads(reads);
}

const everything = (path: string) => {
  const client = new Sqlite(path, { readonly: true });
  const rows = {
    audit: client.prepare('select * from audit order by position').all() as { id: string; position: number }[],
    reads: client.prepare('select * from audit_reads order by week, owner, entry').all(),
  };
  client.close();
  return rows;
};

test.runIf(process.platform === 'linux' && getPriority() < constants.priority.PRIORITY_BELOW_NORMAL)(
  'background thread: it comes after the event loop where processors are few',
  async () => {
    /** Of all threads; `nice` is the 19th field, the 17th after the name. */
    const niceness = () =>
      readdirSync('/proc/self/task').map((thread) => {
        const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
      });
    const ours = getPriority();
    const later = () => niceness().filter((nice) => nice > ours).length;
    const before = later();
    const { thread } = aThread(await aFile());
    expect(await thread.run({ kind: 'checkpoint', mode: 'PASSIVE' })).toBe('done');
    expect(later()).toBe(before + 1);
    expect(getPriority()).toBe(ours);
  },
);

test('background thread: writes entries and what finds them as the store itself does, each once', async () => {
  const [mine, its] = [await aFile(), await aFile()];
  const every = anEntry({ action: 'connection.created', session: 'ses_1', agentId: 'a', agentName: 'n', purpose: 'p' });
  const entries = [...someReads(), every, ...someReads(), anEntry({ id: 'evt_1' })];
  const store = await openSqlite(`file:${mine}`);
  await store.appendAudit(entries);
  await store.close();
  const { thread } = aThread(its);
  for (let n = 0; n < 2; n++) expect(await thread.run({ kind: 'append', entries })).toBe('done');
  await thread.stop();
  expect(everything(its)).toEqual(everything(mine));
  expect(everything(its).audit.map(({ position }) => position)).toEqual([1, 2, 3, 4]);
});

test('background thread: entries are written as a whole or not at all, and a locked database is not waited for', async () => {
  const path = await aFile();
  const { thread } = aThread(path);
  const broken = { ...anEntry(), action: null } as unknown as AuditEntry;
  expect(await thread.run({ kind: 'append', entries: [...someReads(), broken] })).toEqual({
    failed: expect.stringContaining('NOT NULL'),
  });
  expect(everything(path)).toEqual({ audit: [], reads: [] });
  const other = new Sqlite(path);
  other.exec('BEGIN IMMEDIATE');
  expect(await thread.run({ kind: 'append', entries: someReads() })).toBe('busy');
  other.close();
  expect(await thread.run({ kind: 'append', entries: someReads() })).toBe('done');
});

test('background thread: its end is told, once', async () => {
  const path = await aFile();
  const { thread, workers } = aThread(path);
  const onGone = vi.fn();
  thread.onGone(onGone);
  expect(await thread.run({ kind: 'append', entries: someReads() })).toBe('done');
  await workers[0]!.terminate();
  expect(await thread.run({ kind: 'append', entries: someReads() })).toBe(undefined);
  expect([thread.isRunning(), thread.isGone(), onGone.mock.calls.length]).toEqual([false, true, 1]);
});

test('background thread: it is stopped when an error ends it meanwhile', async () => {
  const script = `require('node:worker_threads').parentPort.on('message', (task) => {
    if (task === 'close') throw new Error('disk I/O error');
    require('node:worker_threads').parentPort.postMessage('done');
  })`;
  const thread = createBackgroundThread('unused', () => new Worker(script, { eval: true }));
  expect(await thread.run({ kind: 'checkpoint', mode: 'PASSIVE' })).toBe('done');
  await expect(thread.stop()).resolves.toBeUndefined();
});

type Task = { kind: 'checkpoint' | 'append' } | 'close';

/** A store, and what is asked of its threads: `answer` may do so in their place, and return true. */
async function aStore(answer: (worker: Worker, kind: 'checkpoint' | 'append') => boolean = () => false) {
  const path = await aFile();
  const clock = { monotonic: 0 };
  const warned: unknown[] = [];
  const log = { debug() {}, info() {}, error() {}, warn: (...line: unknown[]) => void warned.push(line) };
  const store = await openStore({ databaseUrl: `file:${path}` }, log, () => clock.monotonic);
  onTestFinished(store.close);
  const asked = { checkpoint: 0, append: 0 };
  const post = Worker.prototype.postMessage;
  const posted = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, task: Task) {
    if (task !== 'close') asked[task.kind]++;
    if (task === 'close' || !answer(this, task.kind)) post.call(this, task);
  });
  onTestFinished(() => posted.mockRestore());
  const appended: AuditEntry[] = [];
  return {
    asked,
    warned,
    clock,
    /** Beside commits of the store itself. */
    async append(batches: number) {
      const each = Array.from({ length: batches }, () => {
        const reads = someReads();
        appended.push(...reads);
        return Promise.all([store.appendAudit(reads), store.ping()]);
      });
      await Promise.all(each);
    },
    expectEachOnce() {
      const { audit } = everything(path);
      expect(audit.map(({ id }) => id).toSorted()).toEqual(appended.map(({ id }) => id).toSorted());
      expect(audit.map(({ position }) => position)).toEqual(audit.map((_, i) => i + 1));
    },
  };
}

test('background thread: a store with much to write appends by it, beside its own commits, and loses and repeats nothing', async () => {
  const { asked, append, expectEachOnce } = await aStore();
  // The first checkpoint starts it.
  while (asked.append < 20) await append(20);
  await append(50);
  expectEachOnce();
});

test('background thread: a checkpoint that hangs holds up nothing that is appended', async () => {
  let isHanging = true;
  const hung: Worker[] = [];
  const { asked, append, expectEachOnce } = await aStore((worker, kind) => {
    const hangs = kind === 'checkpoint' && isHanging;
    if (hangs) hung.push(worker);
    return hangs;
  });
  while (asked.append < 20) await append(20);
  expectEachOnce();
  expect(hung).toHaveLength(1);
  isHanging = false;
  hung[0]!.emit('message', 'done');
});

test('background thread: what it cannot write, the store writes itself, and says so once a second', async () => {
  const { asked, append, expectEachOnce, warned, clock } = await aStore((worker, kind) => {
    if (kind === 'append') worker.emit('message', { failed: 'database or disk is full' });
    return kind === 'append';
  });
  while (asked.append < 20) await append(20);
  expectEachOnce();
  const err = expect.objectContaining({ message: 'database or disk is full' });
  expect(warned).toEqual([[{ err, suppressed: 0 }, expect.stringContaining('the thread that appends failed')]]);
  const suppressed = asked.append - 1;
  clock.monotonic = STORE_ERROR_LOG_INTERVAL_MS;
  await append(1);
  expect(warned.slice(1)).toEqual([[{ err, suppressed }, expect.any(String)]]);
});
