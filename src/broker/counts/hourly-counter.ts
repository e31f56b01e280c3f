// Counts what happens by the hour: gathered in memory, and added to the store's counts within a second.
import type { AuditEntry } from '../../domain/audit.ts';
import { type HourlyCount, type HourlyMetric, hourOf } from '../../domain/hourly-counts.ts';
import { AUDIT_FLUSH_INTERVAL_MS } from '../../domain/time-limits.ts';
import { type Clock, type Logger, type Store, StoreClosedError } from '../../ports/index.ts';

/** Kept while the store cannot be written to; what is beyond is not counted, and the log says so. */
const MAX_COUNTS = 20_000;
/** Counts of one write: a millisecond or two. */
const BATCH = 200;

export interface HourlyCounter {
  /** `outcome`: one of few codes. Costs an increment in memory. */
  note(metric: HourlyMetric, integration: string, outcome: string): void;
  /** Counts the token reads among audit entries, once these are written. */
  noteEntries(entries: readonly AuditEntry[]): void;
  /**
   * Fulfilled when all that was noted before is written. Never rejects: what cannot be written stays for the next flush. A
   * process that is killed loses the counts of its last second.
   */
  flush(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'addHourlyCounts'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

export function createHourlyCounter({ store, clock, log }: Parts): HourlyCounter {
  let counts = new Map<string, HourlyCount>();
  let uncounted = 0;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  function add({ hour, integration, metric, outcome, count }: HourlyCount): void {
    const key = `${hour} ${metric} ${outcome} ${integration}`;
    const known = counts.get(key);
    if (known) known.count += count;
    else if (counts.size < MAX_COUNTS) counts.set(key, { hour, integration, metric, outcome, count });
    else uncounted += count;
    // Does not keep the process alive: a stop flushes.
    timer ??= setTimeout(flush, AUDIT_FLUSH_INTERVAL_MS).unref();
  }

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const batch = [...counts.values()];
    counts = new Map();
    try {
      while (batch.length > 0) {
        await store.addHourlyCounts(batch.slice(0, BATCH));
        batch.splice(0, BATCH);
      }
    } catch (error) {
      // At the end of a stop: the process ends.
      if (error instanceof StoreClosedError) return;
      for (const one of batch) add(one);
      log.error({ err: error, kept: counts.size, uncounted }, 'hourly counts: flush failed, will retry');
      uncounted = 0;
    }
  }

  function flush(): Promise<void> {
    writing = writing.then(write);
    return writing;
  }

  return {
    note: (metric, integration, outcome) => add({ hour: hourOf(clock.now()), integration, metric, outcome, count: 1 }),
    noteEntries(entries) {
      for (const { action, at, integration, outcome, count } of entries)
        if (action === 'token.read')
          add({ hour: hourOf(at), integration: integration ?? '', metric: 'read', outcome, count });
    },
    flush,
  };
}
