// The audit log is kept for as long as was asked, and no longer: what is older goes in small portions, so that nobody waits.
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import { firstId } from '../secrets/index.ts';

const DAY_MS = 24 * 60 * 60_000;
const EVERY_MS = 60_000;
/** A few milliseconds of the database; in SQLite, of everybody. */
const PORTION = 500;
/** Between portions: at most 5,000 entries a second for each replica. */
const REST_MS = 100;

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
    while (!stopped.signal.aborted && (await store.pruneAudit(before, PORTION)) === PORTION) await rest(REST_MS);
  }
  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      await round().catch((error: unknown) => {
        log.error({ err: error }, 'audit: old entries are still there');
      });
      await rest(EVERY_MS);
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
