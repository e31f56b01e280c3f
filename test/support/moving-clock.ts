// The clocks of this machine, which a test moves: nothing has to be waited for.
import type { Clock } from '../../src/ports/index.ts';

export interface MovingClock extends Clock {
  /** Moves both ahead by so many milliseconds; below zero, back. */
  advance(ms: number): void;
}

export function createMovingClock(): MovingClock {
  let ahead = 0;
  return {
    now: () => Date.now() + ahead,
    monotonic: () => performance.now() + ahead,
    advance: (ms) => {
      ahead += ms;
    },
  };
}
