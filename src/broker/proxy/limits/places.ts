// The places of a limit: how many calls may be under way at once in this process, and whose they are. Where several callers use
// it, none may take the last one: its long calls would keep the others out.
import { LIMIT_CALLER_RECENT_MS } from '../../../domain/time-limits.ts';
import type { Clock } from '../../../ports/index.ts';

export interface Places {
  /** A caller wants to call. */
  note(caller: string): void;
  /** Whether a call of this caller may begin, of `total` places; undefined: any number. */
  isFree(total: number | undefined, caller: string, isBackground: boolean): boolean;
  take(caller: string): void;
  giveBack(caller: string): void;
  /** Those that are taken. */
  taken(): number;
}

/** The part of a limit that background calls leave to others. */
export const RESERVED = 1 / 4;

export function createPlaces(clock: Pick<Clock, 'monotonic'>): Places {
  const held = new Map<string, number>();
  /** The last two that called: whether there is another one than some caller, one of these shows. */
  let last: { caller: string; at: number } | undefined;
  let lastOther: { caller: string; at: number } | undefined;
  let taken = 0;

  function hasOthers(caller: string): boolean {
    const other = last?.caller === caller ? lastOther : last;
    return other !== undefined && clock.monotonic() - other.at < LIMIT_CALLER_RECENT_MS;
  }

  return {
    note(caller) {
      if (last && last.caller !== caller) lastOther = last;
      last = { caller, at: clock.monotonic() };
    },
    isFree(total, caller, isBackground) {
      if (total === undefined) return true;
      const reserved = isBackground && total > 1 ? Math.max(1, Math.floor(total * RESERVED)) : 0;
      if (taken >= total - reserved) return false;
      return total < 2 || (held.get(caller) ?? 0) < total - 1 || !hasOthers(caller);
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
