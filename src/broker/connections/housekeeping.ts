// What the broker does of itself, again and again: owed revocations, and forgetting what has ended.
import { ENDED_SESSION_RETENTION_MS, OUTBOX_POLL_MS, SWEEP_INTERVAL_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import type { Revoker } from './revocation.ts';

interface Parts {
  store: Pick<Store, 'deleteExpired'>;
  revoker: Pick<Revoker, 'deliverDue'>;
  clock: Clock;
  log: Logger;
  lookEveryMs?: number | undefined;
}

/** Begins at once; `stop` is fulfilled when the round under way has ended. A round that fails is only the next one's. */
export function startHousekeeping({ store, revoker, clock, log, lookEveryMs = OUTBOX_POLL_MS }: Parts): {
  stop(): Promise<void>;
} {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let sweptAt = Number.NEGATIVE_INFINITY;

  async function round(): Promise<void> {
    try {
      while (!stopped && (await revoker.deliverDue()));
      if (clock.monotonic() - sweptAt < SWEEP_INTERVAL_MS) return;
      await store.deleteExpired(clock.now() - ENDED_SESSION_RETENTION_MS);
      sweptAt = clock.monotonic();
    } catch (error) {
      log.error({ err: error }, 'outbox: this round failed');
    }
  }

  const loop = async () => {
    await round();
    if (!stopped) timer = setTimeout(go, lookEveryMs);
  };
  let running: Promise<void> = Promise.resolve();
  const go = () => {
    running = loop();
  };
  go();

  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
