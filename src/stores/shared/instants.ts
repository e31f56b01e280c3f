// The time of this process for leases, by the clocks of the machine.
import { elapsedMs, type Instant } from '../../domain/instant.ts';

export interface Instants {
  now(): Instant;
  /** Milliseconds, and never too few. */
  elapsedSince(then: Instant): number;
}

/** `monotonic`: as of `Clock`. */
export function createInstants(monotonic: () => number = () => performance.now()): Instants {
  const now = () => ({ monotonic: monotonic(), wall: Date.now() });
  return { now, elapsedSince: (then) => elapsedMs(then, now()) };
}
