// Deletes audit entries that are older than the retention period, in small batches that hold up no other work.
import { setTimeout as pause } from 'node:timers/promises';
import { AUDIT_RETENTION_INTERVAL_MS, AUDIT_RETENTION_PAUSE_MS, DAY_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import { firstId } from '../secrets/index.ts';

/** A few milliseconds of the database; SQLite runs nothing else meanwhile. */
const BATCH = 500;

interface Parts {
  store: Pick<Store, 'pruneAudit'>;
  /** The retention period; null: entries are kept for ever. */
  days: number | null;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

/** Starts at once. `stop` is fulfilled when the current batch is done. A round that fails is retried in the next. */
export function startAuditRetention({ store, days, clock, log }: Parts): { stop(): Promise<void> } {
  if (days === null) return { stop: async () => undefined };
  const keptMs = days * DAY_MS;
  const stopped = new AbortController();
  const rest = (ms: number) => pause(ms, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);

  async function round(): Promise<void> {
    const before = firstId('evt', clock.now() - keptMs);
    while (!stopped.signal.aborted && (await store.pruneAudit(before, BATCH)) === BATCH)
      await rest(AUDIT_RETENTION_PAUSE_MS);
  }
  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      await round().catch((error: unknown) => {
        log.error({ err: error }, 'audit retention: deleting old entries failed, will retry');
      });
      await rest(AUDIT_RETENTION_INTERVAL_MS);
    }
  }
  const running = run();
  return {
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
