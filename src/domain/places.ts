// The places of a limit: how many calls may be under way at once in this process, and whose they are. Where several callers use
// it, none may take the last one: its long calls would keep the others out.
import type { RecentCallers } from './recent-callers.ts';

export interface Places {
  /** Whether a call of this caller may begin, of `total` places; undefined: any number. */
  isFree(total: number | undefined, caller: string, isBackground: boolean): boolean;
  take(caller: string): void;
  giveBack(caller: string): void;
  /** Those that are taken. */
  taken(): number;
}

/** The part of a limit that background calls leave to others. */
export const RESERVED = 1 / 4;

export function createPlaces(callers: Pick<RecentCallers, 'hasOthers'>): Places {
  const held = new Map<string, number>();
  let taken = 0;
  return {
    isFree(total, caller, isBackground) {
      if (total === undefined) return true;
      const reserved = isBackground && total > 1 ? Math.max(1, Math.floor(total * RESERVED)) : 0;
      if (taken >= total - reserved) return false;
      return total < 2 || (held.get(caller) ?? 0) < total - 1 || !callers.hasOthers(caller);
    },
    take(caller) {
      taken++;
      held.set(caller, (held.get(caller) ?? 0) + 1);
    },
    giveBack(caller) {
      taken--;
      const left = held.get(caller)! - 1;
      if (left > 0) held.set(caller, left);
      else held.delete(caller);
    },
    taken: () => taken,
  };
}
