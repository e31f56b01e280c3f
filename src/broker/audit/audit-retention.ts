// The audit log is kept for as long as was asked, and no longer: what is older goes in small portions, so that nobody waits.
import { setTimeout as pause } from 'node:timers/promises';
import { AUDIT_RETENTION_INTERVAL_MS, AUDIT_RETENTION_PAUSE_MS, DAY_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import { firstId } from '../secrets/index.ts';

/** A few milliseconds of the database; in SQLite, of everybody. */
const PORTION = 500;

interface Parts {
  store: Pick<Store, 'pruneAudit'>;
  /** Entries are kept for so long; null: for ever. */
  days: number | null;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

/** Begins at once; `stop` is fulfilled when the portion under way is done. A round that fails is only the next one's. */
export function startAuditRetention({ store, days, clock, log }: Parts): { stop(): Promise<void> } {
  if (days === null) return { stop: async () => undefined };
  const keptMs = days * DAY_MS;
  const stopped = new AbortController();
  const rest = (ms: number) => pause(ms, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);

  async function round(): Promise<void> {
    const before = firstId('evt', clock.now() - keptMs);
    while (!stopped.signal.aborted && (await store.pruneAudit(before, PORTION)) === PORTION)
      await rest(AUDIT_RETENTION_PAUSE_MS);
  }
  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      await round().catch((error: unknown) => {
        log.error({ err: error }, 'audit: old entries are still there');
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
