// What the clock of the database should show, by what it has shown: it may be set forward, and a failover may lead to a
// database whose clock is ahead. Silence that only such a step made is none.
import { DATABASE_CLOCK_MEMORY_MS, DATABASE_CLOCK_STEP_MS } from '../../domain/time-limits.ts';

export interface DatabaseClock {
  /** A heartbeat that was sent then, by the clock of this process, was answered with this time, in milliseconds. */
  answered(time: number, sentAt: number): void;
  /** The latest time that the database should show now, as a `timestamptz`. `infinity` before the first answer. */
  limit(): string;
}

/**
 * `now`: milliseconds of a clock that only goes forward. Where it stands still meanwhile, the limit is too early, and others
 * are taken for alive for longer. The clock of the database is behind the limit, unless it was set: it has shown the time of
 * an answer after its request was sent, however late the answer came.
 */
export function createDatabaseClock(now: () => number): DatabaseClock {
  /** The oldest first. `lead`: how far the database is ahead of `now` at most. Each is less ahead than all that came later. */
  let answers: { sentAt: number; lead: number }[] = [];
  return {
    answered(time, sentAt) {
      const lead = time - sentAt;
      const isRecent = (then: number) => sentAt - then <= DATABASE_CLOCK_MEMORY_MS;
      answers = answers.filter((before) => before.lead < lead && isRecent(before.sentAt));
      answers.push({ sentAt, lead });
    },
    limit() {
      const [least] = answers;
      return least ? new Date(now() + least.lead + DATABASE_CLOCK_STEP_MS).toISOString() : 'infinity';
    },
  };
}
