// The real broker as a process of its own, as `src/main.ts` runs it, with what only tests can do: order it to kill itself
// at a chosen point of a refresh, and set its clock.
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import type { RefreshPoint } from '../../../src/broker/refresh/index.ts';
import { start } from '../../../src/runtime/app.ts';
import { parseConfig } from '../../../src/runtime/config.ts';
import type { Listening } from './processes.ts';

/** What the parent says. */
export type Order =
  /** SIGKILL at the n-th time from now that a refresh gets there. */
  | { die: RefreshPoint; nth: number }
  /** The wall clock jumps to so far from the real one; the monotonic one does not. */
  | { clockOffMs: number };

let mortal: { die: RefreshPoint; nth: number } | undefined;
let clockOffMs = 0;

function reached(point: RefreshPoint): void {
  if (mortal?.die !== point || --mortal.nth > 0) return;
  process.kill(process.pid, 'SIGKILL');
}

const parsed = parseConfig(process.env, () => '{}');
if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
const { config } = parsed;
const log = createLogger(config.logLevel);
const clock = { now: () => Date.now() + clockOffMs, monotonic: () => performance.now() };

process.on('message', (order: Order) => {
  if ('die' in order) mortal = { ...order };
  else clockOffMs = order.clockOffMs;
});
const running = await start(config, log, { clock, reached });
let stopping = false;
process.on('SIGTERM', async () => {
  if (stopping) return;
  stopping = true;
  await running.stop();
  process.disconnect?.();
});
// Whoever started it is gone: nothing may stay behind.
process.on('disconnect', () => {
  if (!stopping) process.kill(process.pid, 'SIGKILL');
});
process.send?.({ url: running.url } satisfies Listening);
