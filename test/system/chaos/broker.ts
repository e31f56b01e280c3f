// The broker process of a chaos run: the real broker, which can also be told to kill itself at a point of a refresh, and to
// move its wall clock. With workers it is their supervisor, and kills one of them on command.
import { setTimeout as pause } from 'node:timers/promises';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import type { RefreshPoint } from '../../../src/broker/refresh/index.ts';
import { createRequestCounts } from '../../../src/http/middleware/rate-limits.ts';
import type { Logger } from '../../../src/ports/index.ts';
import { start } from '../../../src/runtime/app.ts';
import { type Config, parseConfig } from '../../../src/runtime/config.ts';
import { main } from '../../../src/runtime/main.ts';
import { systemClock } from '../../../src/runtime/system-clock.ts';
import { createSupervisor, forkWorker, WORKER_MARK, type WorkerProcess } from '../../../src/runtime/workers/index.ts';
import type { Listening, WorkerKilled } from './processes.ts';

/** A message from the parent process. */
export type Command =
  /** SIGKILL itself when a refresh reaches the point for the n-th time from now. */
  | { die: RefreshPoint; nth: number }
  /** Moves the wall clock this far from the real one; the monotonic clock stays. */
  | { clockOffMs: number }
  /** SIGKILL to one of the workers when all serve: this one, modulo their number. */
  | { killWorker: number };

let pendingKill: { die: RefreshPoint; nth: number } | undefined;
let clockOffsetMs = 0;

function reached(point: RefreshPoint): void {
  if (pendingKill?.die !== point || --pendingKill.nth > 0) return;
  process.kill(process.pid, 'SIGKILL');
}

async function runAlone(config: Config, log: Logger): Promise<void> {
  const clock = { now: () => Date.now() + clockOffsetMs, monotonic: () => performance.now() };
  process.on('message', (order: Command) => {
    if ('die' in order) pendingKill = { ...order };
    else if ('clockOffMs' in order) clockOffsetMs = order.clockOffMs;
  });
  const running = await start(config, log, { clock, reached });
  let stopping = false;
  process.on('SIGTERM', async () => {
    if (stopping) return;
    stopping = true;
    await running.stop();
    process.disconnect?.();
  });
  // The parent process is gone: leave no orphan behind.
  process.on('disconnect', () => {
    if (!stopping) process.kill(process.pid, 'SIGKILL');
  });
  process.send?.({ url: running.url } satisfies Listening);
}

async function supervise(config: Config, log: Logger): Promise<void> {
  const serving = new Set<WorkerProcess>();
  const supervisor = createSupervisor({
    wanted: config.workers,
    spawn() {
      const worker = forkWorker(process.env);
      worker.onMessage(({ kind }) => kind === 'ready' && serving.add(worker));
      void worker.ended.then(() => serving.delete(worker));
      return worker;
    },
    files: {},
    counts: createRequestCounts(),
    clock: systemClock,
    log,
    // Many are killed.
    tuning: { restartMs: 20 },
    onListening: ({ url }) => process.send?.({ url } satisfies Listening),
  });
  process.on('message', async (order: Command) => {
    if (!('killWorker' in order)) return;
    while (serving.size < config.workers) await pause(10);
    const worker = [...serving][order.killWorker % serving.size]!;
    const killedAt = Date.now();
    worker.kill('SIGKILL');
    await worker.ended;
    process.send?.({ killedAt } satisfies WorkerKilled);
  });
  process.on('SIGTERM', supervisor.stop);
  process.on('disconnect', () => supervisor.stop('the run has ended'));
  process.exitCode = await supervisor.run();
  process.disconnect?.();
}

if (process.env[WORKER_MARK] !== undefined) await main({ force: false });
else {
  const parsed = parseConfig(process.env, () => '{}');
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const { config } = parsed;
  await (config.workers > 1 ? supervise : runAlone)(config, createLogger(config.logLevel));
}
