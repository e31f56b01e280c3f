// Starts the parts of a process in order, and stops them in reverse.
import type { Logger } from '../ports/index.ts';

/** Something that starts, stops, or both. `stop` is called at most once, and only if `start` has been called. */
export interface Room {
  name: string;
  start?(): void | Promise<void>;
  stop?(): void | Promise<void>;
}

/**
 * Starts the rooms one after the other; returns what stops them in reverse order. If a start fails, that room and those
 * before it are stopped, and the error is thrown. A stop that fails does not keep the others from stopping; the first
 * such error is thrown at the end.
 */
export async function startAll(rooms: readonly Room[], log: Logger): Promise<() => Promise<void>> {
  const started: Room[] = [];
  async function stop(): Promise<void> {
    const errors: unknown[] = [];
    for (let room = started.pop(); room; room = started.pop()) {
      try {
        await room.stop?.();
      } catch (error) {
        log.error({ err: error, room: room.name }, 'stop: a part of the broker failed to stop, stopping the others');
        errors.push(error);
      }
    }
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
