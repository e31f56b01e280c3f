// A clock that was ahead and is set back leaves times behind that are too far away: what failed meanwhile, or was put off,
// would wait for as long as the clock was wrong.
import { CLOCK_SKEW_MAX_MS, SWEEP_PAUSE_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';

export interface SetBackClock {
  /**
   * Corrects such times at the first call, since an earlier process may have stored them, and at each call after which the clock
   * was set back. Rejects with `StoreError`; then the next call does it.
   */
  correct(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'correctTimes' | 'correctDueTimes' | 'correctDeliveries' | 'retryFailed'>;
  clock: Clock;
  log: Logger;
  /** Between two pages, for the other users of the store. */
  pause: (ms: number) => Promise<unknown>;
  isStopped: () => boolean;
}

const PAGE = 500;

export function createSetBackClock({ store, clock, log, pause, isStopped }: Parts): SetBackClock {
  /** How far the wall clock is ahead of the one that only goes forward. */
  const lead = () => clock.now() - clock.monotonic();
  let before: number | undefined;
  /** Undefined: nothing is to be done. */
  let todo: 'start' | 'set_back' | undefined = 'start';

  async function all(
    page: (after: string | undefined) => Promise<{ corrected: number; next: string | null }>,
  ): Promise<number> {
    let total = 0;
    for (let after: string | null | undefined; after !== null && !isStopped(); ) {
      const { corrected, next } = await page(after);
      total += corrected;
      after = next;
      if (next !== null) await pause(SWEEP_PAUSE_MS);
    }
    return total;
  }

  return {
    async correct() {
      const now = lead();
      if (before !== undefined && now < before - CLOCK_SKEW_MAX_MS) todo = 'set_back';
      before = now;
      if (todo === undefined) return;
      const others = await store.correctTimes(clock.now());
      const failed = await all(async (after) => {
        const { retried, next } = await store.retryFailed([], clock.now(), { limit: PAGE, after });
        return { corrected: retried, next };
      });
      const deliveries = await all((after) => store.correctDeliveries(clock.now(), { limit: PAGE, after }));
      // All connections are examined only if there is a reason: there may be millions.
      const mayBePutOff = todo === 'set_back' || failed + deliveries + others > 0;
      const putOff = !mayBePutOff
        ? 0
        : await all((after) => store.correctDueTimes(clock.now(), { limit: PAGE, after }));
      todo = undefined;
      if (failed + putOff + deliveries + others > 0)
        log.warn(
          { connections: failed + putOff, deliveries, others },
          'the clock was ahead and was set back: what it had put off for too long is due now, or after the wait that was meant',
        );
    },
  };
}
