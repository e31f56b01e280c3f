// Starts the parts of a process in order, and stops them in reverse.
import { startDeadline, withDeadline } from '../domain/deadline.ts';
import { SHUTDOWN_DEADLINE_MS, SHUTDOWN_LATE_PART_MS } from '../domain/time-limits.ts';
import type { Logger } from '../ports/index.ts';

/** Something that starts, stops, or both. `stop` is called at most once, and only if `start` has been called. */
export interface Room {
  name: string;
  start?(): void | Promise<void>;
  stop?(): void | Promise<void>;
}

interface StopLimits {
  /** For all of them together. */
  deadlineMs: number;
  /** For each that stops when that has passed. */
  latePartMs: number;
}

const LIMITS: StopLimits = { deadlineMs: SHUTDOWN_DEADLINE_MS, latePartMs: SHUTDOWN_LATE_PART_MS };

/**
 * Starts the rooms one after the other; returns what stops them in reverse order. If a start fails, that room and those
 * before it are stopped, and the error is thrown. A stop that fails does not keep the others from stopping, nor does one that
 * does not end in time, which is left behind; the first such error is thrown at the end.
 */
export async function startAll(
  rooms: readonly Room[],
  log: Logger,
  { deadlineMs, latePartMs }: StopLimits = LIMITS,
): Promise<() => Promise<void>> {
  const started: Room[] = [];
  async function stop(): Promise<void> {
    const errors: unknown[] = [];
    const { promise: deadline, resolve: pass } = Promise.withResolvers<void>();
    const cancel = startDeadline(deadlineMs, pass);
    for (let room = started.pop(); room; room = started.pop()) {
      try {
        const stopped = Promise.resolve(room.stop?.());
        await Promise.race([stopped, deadline]);
        await withDeadline(latePartMs, stopped, () => Promise.reject(new Error('not stopped in time')));
      } catch (error) {
        log.error({ err: error, room: room.name }, 'stop: a part of the broker failed to stop, stopping the others');
        errors.push(error);
      }
    }
    cancel();
    if (errors.length > 0) throw errors[0];
  }
  try {
    for (const room of rooms) {
      started.push(room);
      await room.start?.();
    }
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
  return stop;
}
