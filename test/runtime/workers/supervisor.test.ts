// The supervisor with real child processes that are told when to fail.
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { WORKER_RESTART_MAX_MS, WORKER_RESTART_MS, WORKER_STABLE_MS } from '../../../src/domain/time-limits.ts';
import { createRequestCounts } from '../../../src/http/middleware/rate-limits.ts';
import { createRestartPolicy } from '../../../src/runtime/workers/restart-policy.ts';
import { createSupervisor } from '../../../src/runtime/workers/supervisor.ts';
import { forkWorker } from '../../../src/runtime/workers/worker-process.ts';

const PROGRAM = fileURLToPath(new URL('scripted-worker.ts', import.meta.url));

interface Line {
  event?: string;
  worker?: number;
  restart_in_ms?: number;
  msg: string;
}

/** `scripts`: what the first, the second, … process that is started does; the last one for all further ones. */
function supervised(wanted: number, ...scripts: string[]) {
  return supervisedFor(undefined, wanted, ...scripts);
}

/** `stopMs`: how long its workers may take to stop. */
function supervisedFor(stopMs: number | undefined, wanted: number, ...scripts: string[]) {
  const started = join(mkdtempSync(join(tmpdir(), 'valetkey-supervisor-')), 'started');
  const lines: Line[] = [];
  const note = (fields: object, msg: string) => void lines.push({ ...fields, msg });
  const clock = { aheadMs: 0, monotonic: () => performance.now() + clock.aheadMs };
  const listening: string[] = [];
  const supervisor = createSupervisor({
    wanted,
    spawn: () => forkWorker(process.env, [PROGRAM, started, ...scripts]),
    files: {},
    counts: createRequestCounts(),
    clock,
    log: { debug: note, info: note, warn: note, error: note },
    onListening: ({ url }) => void listening.push(url),
    // Only who never responds is late on a machine that is busy.
    tuning: {
      pingEveryMs: 20,
      unresponsiveMs: scripts.includes('hang') ? 1_000 : 60_000,
      restartMs: 5,
      ...(stopMs && { stopMs }),
    },
  });
  const pids = () => readFileSync(started, 'utf8').trim().split('\n').map(Number);
  const count = (event: string) => lines.filter((line) => line.event === event).length;
  return { supervisor, lines, pids, count, clock, listening, ended: supervisor.run() };
}

describe.concurrent('supervisor', () => {
  test('first worker that cannot start: its exit code is that of the whole, and no other is started', async ({
    expect,
  }) => {
    const { ended, pids, listening, count } = supervised(3, 'fail');
    expect(await ended).toBe(78);
    expect(pids()).toHaveLength(1);
    expect(listening).toEqual([]);
    // It has said why itself.
    expect(count('worker_ended')).toBe(0);
  });

  test('first worker that is killed before it serves: the log says by what', async ({ expect }) => {
    const { ended, lines } = supervised(3, 'die');
    expect(await ended).toBe(1);
    expect(lines).toContainEqual(expect.objectContaining({ event: 'worker_ended', worker: 1, signal: 'SIGKILL' }));
  });

  test.runIf(process.platform === 'linux')('worker: has one thread of V8 beside its event loop', async ({ expect }) => {
    const { supervisor, ended, pids, count } = supervised(1, 'serve');
    await expect.poll(() => count('worker_ready')).toBe(1);
    const threads = `/proc/${pids()[0]}/task`;
    const names = readdirSync(threads).map((id) => readFileSync(`${threads}/${id}/comm`, 'utf8').trim());
    expect(names.filter((name) => name === 'V8Worker')).toHaveLength(1);
    supervisor.stop('SIGTERM');
    expect(await ended).toBe(0);
  });

  test('worker that ends: is replaced, while the others go on; SIGTERM ends all in order', async ({ expect }) => {
    const { supervisor, ended, pids, count, listening } = supervised(2, 'serve', 'serve and end', 'serve');
    await expect.poll(() => count('worker_ready')).toBe(3);
    const [first] = pids() as [number];
    process.kill(first, 'SIGKILL');
    await expect.poll(() => count('worker_ready')).toBe(4);
    // One that is told to stop is replaced as well.
    process.kill(pids().at(-1)!, 'SIGTERM');
    await expect.poll(() => count('worker_ready')).toBe(5);
    expect(count('worker_ended')).toBe(3);
    supervisor.stop('SIGTERM');
    expect(await ended).toBe(0);
    expect(pids()).toHaveLength(5);
    expect(listening).toHaveLength(1);
  });

  test('no worker serves, and none can be started: gives up after some starts, with their exit code', async ({
    expect,
  }) => {
    const { ended, pids, lines } = supervised(2, 'serve and end', 'fail');
    expect(await ended).toBe(78);
    expect(pids().length).toBeGreaterThan(4);
    // The other worker may end after that.
    expect(lines.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('giving up'));
  });

  test('worker that keeps ending while there is no other: is started again soon, however often', async ({ expect }) => {
    const { supervisor, ended, lines, count } = supervised(1, 'serve and end');
    await expect.poll(() => count('worker_ended')).toBeGreaterThan(3);
    supervisor.stop('SIGTERM');
    await ended;
    expect(Math.max(...lines.map(({ restart_in_ms = 0 }) => restart_in_ms))).toBe(5);
  });

  test('worker that keeps failing beside one that serves: is started again and again', async ({ expect }) => {
    const { supervisor, ended, pids, count } = supervised(2, 'serve', 'fail');
    await expect.poll(() => pids().length).toBeGreaterThan(4);
    expect(count('worker_ready')).toBe(1);
    supervisor.stop('SIGTERM');
    expect(await ended).toBe(0);
  });

  test('worker that does not respond: is killed and replaced', async ({ expect }) => {
    const { supervisor, ended, lines, count } = supervised(2, 'serve', 'hang', 'serve');
    // More where a busy machine keeps one that serves from responding.
    await expect.poll(() => count('worker_ready')).toBeGreaterThan(2);
    expect(lines.map(({ msg }) => msg)).toContain('worker: does not respond, is killed');
    supervisor.stop('SIGTERM');
    expect(await ended).toBe(0);
  });

  test('worker that does not stop in time: is killed, and it is said', async ({ expect }) => {
    const { supervisor, ended, lines, count } = supervisedFor(300, 2, 'serve', 'ignore signals');
    await expect.poll(() => count('worker_ready')).toBe(2);
    supervisor.stop('SIGTERM');
    expect(await ended).toBe(1);
    expect(lines.map(({ msg }) => msg)).toContain('stopping: workers have not ended in time, they are killed');
  });

  test('second signal: kills what does not stop, unless it comes at once, as npm repeats that of the terminal', async ({
    expect,
  }) => {
    const { supervisor, ended, count, clock } = supervised(2, 'serve', 'ignore signals');
    await expect.poll(() => count('worker_ready')).toBe(2);
    supervisor.stop('SIGINT');
    supervisor.stop('SIGINT');
    await expect.poll(() => count('worker_ended')).toBe(0);
    clock.aheadMs = 5_000;
    supervisor.stop('SIGINT');
    expect(await ended).toBe(1);
  });
});

test('restarts: at once after a stable time, otherwise later and later', () => {
  const { delayAfter } = createRestartPolicy();
  expect(delayAfter(WORKER_STABLE_MS)).toBe(0);
  expect([delayAfter(0), delayAfter(WORKER_STABLE_MS - 1), delayAfter(0)]).toEqual(
    [1, 2, 4].map((n) => n * WORKER_RESTART_MS),
  );
  expect(Array.from({ length: 20 }, () => delayAfter(0)).at(-1)).toBe(WORKER_RESTART_MAX_MS);
  expect([delayAfter(WORKER_STABLE_MS), delayAfter(0)]).toEqual([0, WORKER_RESTART_MS]);
});
