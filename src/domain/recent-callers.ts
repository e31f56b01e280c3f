// Who has called in the last minutes, as far as it matters to one of them: whether anyone else has.
import { LIMIT_CALLER_RECENT_MS } from './time-limits.ts';

export interface RecentCallers {
  /** A caller wants to call. */
  note(caller: string): void;
  /** Whether another caller than this one has. */
  hasOthers(caller: string): boolean;
}

export function createRecentCallers(clock: { monotonic(): number }): RecentCallers {
  /** The last two: whether there is another one than some caller, one of these shows. */
  let last: { caller: string; at: number } | undefined;
  let lastOther: { caller: string; at: number } | undefined;
  return {
    note(caller) {
      if (last && last.caller !== caller) lastOther = last;
      last = { caller, at: clock.monotonic() };
    },
    hasOthers(caller) {
      const other = last?.caller === caller ? lastOther : last;
      return other !== undefined && clock.monotonic() - other.at < LIMIT_CALLER_RECENT_MS;
    },
  };
}
