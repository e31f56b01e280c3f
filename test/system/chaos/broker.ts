// The broker process of a chaos run: the real broker, which can also be told to kill itself at a point of a refresh, and to
// move its wall clock.
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import type { RefreshPoint } from '../../../src/broker/refresh/index.ts';
import { start } from '../../../src/runtime/app.ts';
import { parseConfig } from '../../../src/runtime/config.ts';
import type { Listening } from './processes.ts';

/** A message from the parent process. */
export type Command =
  /** SIGKILL itself when a refresh reaches the point for the n-th time from now. */
  | { die: RefreshPoint; nth: number }
  /** Moves the wall clock this far from the real one; the monotonic clock stays. */
  | { clockOffMs: number };

let pendingKill: { die: RefreshPoint; nth: number } | undefined;
let clockOffsetMs = 0;

function reached(point: RefreshPoint): void {
  if (pendingKill?.die !== point || --pendingKill.nth > 0) return;
  process.kill(process.pid, 'SIGKILL');
}

const parsed = parseConfig(process.env, () => '{}');
if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
const { config } = parsed;
const log = createLogger(config.logLevel);
const clock = { now: () => Date.now() + clockOffsetMs, monotonic: () => performance.now() };

process.on('message', (order: Command) => {
  if ('die' in order) pendingKill = { ...order };
  else clockOffsetMs = order.clockOffMs;
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
