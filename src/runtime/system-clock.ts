// The clock of the system: the monotonic clock of the process does not count the time that the machine sleeps, so that time
// is added. Otherwise a token would outlive a suspend.
import os from 'node:os';
import { SLEEP_NOTICED_MS } from '../domain/time-limits.ts';
import type { Clock } from '../ports/index.ts';

/** Where the times come from, in milliseconds. */
export interface TimeSources {
  wall(): number;
  /** `CLOCK_MONOTONIC`: it stands still while the machine sleeps. */
  monotonic(): number;
  /** `CLOCK_BOOTTIME`, or `/proc/uptime`: it counts sleep. In some containers it jumps. NaN: not known. */
  uptime(): number;
}

const SYSTEM: TimeSources = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  uptime() {
    try {
      return os.uptime() * 1_000;
    } catch {
      return Number.NaN;
    }
  },
};

/**
 * Sleep is what both the uptime and the wall clock went ahead of the monotonic clock: a wall clock that is set, and an
 * uptime that jumps because a container's view of it changes, are no sleep. The wall clock shows when to look at the
 * uptime, so that a read costs nothing; every request asks for `now` before it serves a token.
 */
export function createSystemClock(sources: TimeSources = SYSTEM): Clock {
  let seenAt = sources.wall();
  let before = { wall: seenAt, monotonic: sources.monotonic(), uptime: sources.uptime() };
  let sleptMs = 0;
  /** How far each is ahead of the monotonic clock, beyond the sleep that is counted already. */
  const ahead = { wall: 0, uptime: 0 };

  function look(wall: number): void {
    const now = { wall, monotonic: sources.monotonic(), uptime: sources.uptime() };
    if (!Number.isFinite(now.uptime)) return;
    const awakeMs = now.monotonic - before.monotonic;
    for (const clock of ['wall', 'uptime'] as const)
      ahead[clock] = Math.max(0, ahead[clock] + now[clock] - before[clock] - awakeMs);
    before = now;
    const slept = Math.min(ahead.wall, ahead.uptime);
    if (slept < SLEEP_NOTICED_MS) return;
    sleptMs += slept;
    ahead.wall -= slept;
    ahead.uptime -= slept;
  }

  return {
    now() {
      const wall = sources.wall();
      if (wall - seenAt > SLEEP_NOTICED_MS || wall < seenAt) look(wall);
      seenAt = wall;
      return wall;
    },
    monotonic: () => sources.monotonic() + sleptMs,
  };
}

export const systemClock: Clock = createSystemClock();
