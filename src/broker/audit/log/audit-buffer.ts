// Buffers what is written in batches: audit entries of reads and refusals, and when keys were last used.
import { setTimeout as nextTimer } from 'node:timers/promises';
import type { AuditEntry } from '../../../domain/audit.ts';
import type { ReadsInCommon } from '../../../domain/audit-reads.ts';
import { AUDIT_FLUSH_INTERVAL_MS } from '../../../domain/time-limits.ts';
import { type Logger, type Store, StoreClosedError } from '../../../ports/index.ts';
import { createNotedReads, type ReadGroup } from './buffered/noted-reads.ts';
import { allOf, dropOldest, type Portion, portionsOf, sizeOf, takeSome, type Unwritten } from './buffered/portions.ts';

export type { ReadGroup } from './buffered/noted-reads.ts';

/** With more entries than this, a flush starts at once. */
const FLUSH_AT = 2_000;
/** Kept while the store cannot be written to; beyond that the oldest entries are dropped, and the log says so. */
const MAX_ENTRIES = 50_000;
/** Entries that are divided into portions at once: a millisecond of work, so that no request waits long behind it. */
const DIVIDED_AT_ONCE = 2_000;
/** Writes under way: the next one begins by a timer, as the commit before it on SQLite, while the disk is waited for. */
const WRITES_AT_ONCE = 4;

export interface AuditBuffer {
  /** Adds to the count of the entry with this key. `make` is called only for the first one since the last flush. */
  note(groupKey: string, make: () => AuditEntry): void;
  /** Where reads are noted that have this in common. `make` is called only if they are the first of their key in a while. */
  reads(key: string, make: () => ReadsInCommon): ReadGroup;
  /** Notes when a key was used; `at` in ms since the epoch. */
  used(keyId: string, at: number): void;
  /**
   * Fulfilled when all that was noted before is written. Never rejects: what cannot be written stays for the next flush.
   * Flushes run one at a time; calls during one share the next.
   */
  flush(): Promise<void>;
  /** For metrics: entries not written yet, and entries dropped since the start. */
  state(): { waiting: number; lost: number };
}

interface Parts {
  store: Pick<Store, 'appendAudit' | 'touchKeys'>;
  log: Logger;
  /** Called with entries of the buffer once they are written; reads are in batches. */
  onWritten?: ((entries: readonly AuditEntry[]) => void) | undefined;
}

export function createAuditBuffer({ store, log, onWritten }: Parts): AuditBuffer {
  let entries = new Map<string, AuditEntry>();
  let uses = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  /** Being written, or to be written again, and not in portions yet. */
  let taken: Unwritten = { entries: [], reads: [] };
  /** Each is one write, and stays as it is until that has succeeded: who repeats it writes nothing twice. */
  let portions: Portion[] = [];
  let lost = 0;
  /** It is logged once: a stop that hangs may leave parts behind that still note. */
  let isStoreClosed = false;

  const noted = createNotedReads(flushInTime);
  const waiting = () => entries.size + noted.size();
  const inPortions = () => portions.reduce((sum, { size }) => sum + size, 0);
  const unwritten = () => waiting() + sizeOf(taken) + inPortions();

  // Does not keep the process alive: a stop flushes, and what the store refuses then is lost anyway.
  const flushLater = () => {
    timer ??= setTimeout(flush, AUDIT_FLUSH_INTERVAL_MS).unref();
  };

  function flushInTime(): void {
    if (waiting() >= FLUSH_AT) void flush();
    else flushLater();
  }

  function failed(err: unknown, what: string, counts = {}): void {
    if (!(err instanceof StoreClosedError)) {
      log.error({ err, ...counts }, `audit buffer: ${what}, will retry`);
      flushLater();
    } else if (!isStoreClosed) {
      isStoreClosed = true;
      log.error({ err, unwritten: unwritten() }, 'audit buffer: the store is closed, nothing more is written');
    }
  }

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    taken = { entries: [...taken.entries, ...entries.values()], reads: [...taken.reads, allOf(noted.take())] };
    const keys = [...uses].map(([keyId, at]) => ({ keyId, at }));
    entries = new Map();
    uses = new Map();
    // Handled apart from the entries: if this fails, entries that were appended must not be appended again.
    const touched = store.touchKeys(keys).catch((error: unknown) => {
      for (const { keyId, at } of keys) if (!uses.has(keyId)) uses.set(keyId, at);
      failed(error, 'writing the last use of keys failed');
    });
    try {
      await writePortions();
    } catch (error) {
      const dropped = dropOldest(taken, sizeOf(taken) + inPortions() - MAX_ENTRIES);
      lost += dropped;
      failed(error, 'flush failed', { kept: sizeOf(taken) + inPortions(), lost: dropped });
    }
    await touched;
  }

  async function writePortions(): Promise<void> {
    const underWay = new Set<Promise<void>>();
    const failures: unknown[] = [];
    const next = [...portions];
    while (failures.length === 0) {
      if (next.length === 0) {
        const more = portionsOf(takeSome(taken, DIVIDED_AT_ONCE));
        if (more.length === 0) break;
        next.push(...more);
        portions.push(...more);
      }
      const portion = next.shift()!;
      const stored = portion.entries();
      const write = store
        .appendAudit(stored)
        .then(
          () => {
            portions = portions.filter((one) => one !== portion);
            onWritten?.(stored);
          },
          (error: unknown) => void failures.push(error),
        )
        .finally(() => underWay.delete(write));
      underWay.add(write);
      await (underWay.size < WRITES_AT_ONCE ? nextTimer() : Promise.race(underWay));
    }
    await Promise.all(underWay);
    if (failures.length > 0) throw failures[0];
  }

  function flush(): Promise<void> {
    next ??= writing.then(() => {
      next = undefined;
      writing = write();
      return writing;
    });
    return next;
  }

  return {
    note(groupKey, make) {
      const first = entries.get(groupKey);
      if (first) {
        first.count++;
        return;
      }
      entries.set(groupKey, make());
      flushInTime();
    },
    reads: noted.group,
    used(keyId, at) {
      uses.set(keyId, at);
      flushLater();
    },
    flush,
    state: () => ({ waiting: unwritten(), lost }),
  };
}
