// Background work of the connections room: delivering due revocations, and deleting expired sessions and flows.
import { ENDED_SESSION_RETENTION_MS, OUTBOX_POLL_MS, SWEEP_INTERVAL_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import type { Revoker } from './revocation.ts';

interface Parts {
  store: Pick<Store, 'deleteExpired'>;
  revoker: Pick<Revoker, 'deliverDue'>;
  clock: Clock;
  log: Logger;
  deliverEveryMs?: number | undefined;
}

/** Starts at once. `stop` is fulfilled when the current round is done. A round that fails is retried in the next. */
export function startHousekeeping({ store, revoker, clock, log, deliverEveryMs = OUTBOX_POLL_MS }: Parts): {
  stop(): Promise<void>;
} {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let deletedAt = Number.NEGATIVE_INFINITY;

  async function round(): Promise<void> {
    try {
      while (!stopped && (await revoker.deliverDue()));
      if (clock.monotonic() - deletedAt < SWEEP_INTERVAL_MS) return;
      await store.deleteExpired(clock.now() - ENDED_SESSION_RETENTION_MS);
      deletedAt = clock.monotonic();
    } catch (error) {
      log.error({ err: error }, 'housekeeping: round failed, will retry');
    }
  }

  const loop = async () => {
    await round();
    if (!stopped) timer = setTimeout(go, deliverEveryMs);
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
