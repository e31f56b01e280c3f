// One moment by both clocks of a machine, and the time between two, which no pause of the machine hides.

/** Milliseconds by each. The monotonic clock stands still while the machine sleeps, and the wall clock jumps. */
export interface Instant {
  monotonic: number;
  wall: number;
}

/** By the clock that shows more: a jump makes it longer than it was, in either direction, never shorter. */
export const elapsedMs = (from: Instant, to: Instant): number =>
  Math.max(to.monotonic - from.monotonic, Math.abs(to.wall - from.wall));
