// Slow start: after an outage or a rate limit few requests go at once, and more with each that succeeds, so that what has
// recovered does not meet everyone who waited at the same moment. Callers leave one another a place.
import { createPlaces } from './places.ts';
import type { RecentCallers } from './recent-callers.ts';

export interface SlowStart {
  /** Whether a request of this caller may begin. */
  isFree(caller: string, isBackground: boolean): boolean;
  take(caller: string): void;
  /** Gives the place back. A request that succeeded makes another place: each round has twice as many. */
  giveBack(caller: string, succeeded: boolean): void;
  /** So many have succeeded that it limits no one any more. */
  isOver(): boolean;
}

/** `first`: places to begin with. `until`: with so many it is over. */
export function createSlowStart(
  { first, until }: { first: number; until: number },
  callers: Pick<RecentCallers, 'hasOthers'>,
): SlowStart {
  const places = createPlaces(callers);
  let total = first;
  return {
    isFree: (caller, isBackground) => places.isFree(total, caller, isBackground),
    take: places.take,
    giveBack(caller, succeeded) {
      places.giveBack(caller);
      if (succeeded) total++;
    },
    isOver: () => total >= until,
  };
}
