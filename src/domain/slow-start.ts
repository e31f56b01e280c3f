// Slow start: after an outage or a rate limit few requests go at once, and more with each that succeeds, so that what has
// recovered does not meet everyone who waited at the same moment.

export interface SlowStart {
  /** Takes a place; false: all are taken. Who has one calls `leave`. */
  enter(): boolean;
  /** Gives the place back. One that succeeded makes another place: each round has twice as many. */
  leave(succeeded: boolean): void;
  /** So many have succeeded that it limits no one any more. */
  isOver(): boolean;
}

/** `first`: places to begin with. `until`: with so many it is over. */
export function createSlowStart({ first, until }: { first: number; until: number }): SlowStart {
  let places = first;
  let taken = 0;
  return {
    enter() {
      if (taken >= places) return false;
      taken++;
      return true;
    },
    leave(succeeded) {
      taken--;
      if (succeeded) places++;
    },
    isOver: () => places >= until,
  };
}
