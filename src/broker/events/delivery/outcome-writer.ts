// Writes what attempts came to, many in one commit. While the store is away, they are kept and written later: until then,
// their lanes stay taken, so that nothing more is sent than can be recorded.
import { DELIVERY_CLAIM_MS, DELIVERY_SETTLE_MS, DELIVERY_SETTLE_RETRY_MS } from '../../../domain/time-limits.ts';
import type { Clock, DeliveryOutcome, Logger, WebhookEndpointStore } from '../../../ports/index.ts';

export interface OutcomeWriter {
  /** Fulfilled when it is written, or given up: its claim has expired, and the delivery will be attempted again. */
  write(id: string, outcome: DeliveryOutcome): Promise<void>;
}

interface Waiting {
  id: string;
  outcome: DeliveryOutcome;
  /** By the monotonic clock. */
  until: number;
  done(): void;
}

/** In one commit. */
const BATCH = 200;

interface Parts {
  store: Pick<WebhookEndpointStore, 'settleDeliveries'>;
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
}

export function createOutcomeWriter({ store, clock, log }: Parts): OutcomeWriter {
  let waiting: Waiting[] = [];
  let isScheduled = false;
  let isWriting = false;

  function schedule(ms: number): void {
    if (isScheduled) return;
    isScheduled = true;
    setTimeout(() => {
      isScheduled = false;
      void flush();
    }, ms);
  }

  async function flush(): Promise<void> {
    if (isWriting) return;
    isWriting = true;
    const some = waiting.slice(0, BATCH);
    waiting = waiting.slice(BATCH);
    try {
      await store.settleDeliveries(some.map(({ id, outcome }) => ({ id, outcome })));
      for (const { done } of some) done();
      if (waiting.length > 0) schedule(0);
    } catch (error) {
      log.error({ err: error, deliveries: some.length }, 'deliveries: results cannot be written, will retry');
      const now = clock.monotonic();
      for (const { done } of some.filter(({ until }) => until <= now)) done();
      waiting = [...some.filter(({ until }) => until > now), ...waiting];
      if (waiting.length > 0) schedule(DELIVERY_SETTLE_RETRY_MS);
    } finally {
      isWriting = false;
    }
  }

  return {
    write: (id, outcome) =>
      new Promise((done) => {
        waiting.push({ id, outcome, until: clock.monotonic() + DELIVERY_CLAIM_MS, done });
        schedule(DELIVERY_SETTLE_MS);
      }),
  };
}
