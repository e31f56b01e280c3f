// Buffers what is written in batches: audit entries of reads and refusals, and when keys were last used.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AuditEntry } from '../../../domain/audit.ts';
import { groupReads, storedAs } from '../../../domain/audit-reads.ts';
import { AUDIT_FLUSH_INTERVAL_MS } from '../../../domain/time-limits.ts';
import type { Logger, Store } from '../../../ports/index.ts';

/** With more entries than this, a flush starts at once. */
const FLUSH_AT = 2_000;
/** Kept while the store cannot be written to; beyond that the oldest entries are dropped, and the log says so. */
const MAX_ENTRIES = 50_000;
/** Entries that are divided into groups at once: a millisecond of work, so that no request waits long behind it. */
const GROUPED_AT_ONCE = 2_000;
/** Reads in one write, where each is in a batch with others: about as much work, since each may be at another place of the index. */
const READS = 64;
/** Writes under way: the next one begins in another turn of the event loop, while the disk is waited for. */
const WRITES_AT_ONCE = 4;
/** An entry that is a row of its own takes as long as so many reads. */
const ROW = 2;

export interface AuditBuffer {
  /** Adds to the count of the entry with this key. `make` is called only for the first one since the last flush. */
  note(groupKey: string, make: () => AuditEntry): void;
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
  /** Being written, and not in portions yet. */
  let taken: AuditEntry[] = [];
  /** Each is one write, and stays as it is until that has succeeded: who repeats it writes nothing twice. */
  let portions: Portion[] = [];
  let lost = 0;

  const inPortions = () => portions.reduce((sum, { size }) => sum + size, 0);

  // Does not keep the process alive: a stop flushes, and what the store refuses then is lost anyway.
  const flushLater = () => {
    timer ??= setTimeout(flush, AUDIT_FLUSH_INTERVAL_MS).unref();
  };

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    taken = [...entries.values()];
    const keys = [...uses].map(([keyId, at]) => ({ keyId, at }));
    entries = new Map();
    uses = new Map();
    // Handled apart from the entries: if this fails, entries that were appended must not be appended again.
    const touched = store.touchKeys(keys).catch((error: unknown) => {
      for (const { keyId, at } of keys) if (!uses.has(keyId)) uses.set(keyId, at);
      log.error({ err: error }, 'audit buffer: writing the last use of keys failed, will retry');
      flushLater();
    });
    try {
      await writePortions();
    } catch (error) {
      const kept = taken.slice(-(MAX_ENTRIES - inPortions()));
      const dropped = taken.length - kept.length;
      entries = new Map([...kept.map((e) => [e.id, e] as const), ...entries]);
      lost += dropped;
      taken = [];
      log.error(
        { err: error, kept: kept.length + inPortions(), lost: dropped },
        'audit buffer: flush failed, will retry',
      );
      flushLater();
    }
    await touched;
  }

  async function writePortions(): Promise<void> {
    const underWay = new Set<Promise<void>>();
    const failures: unknown[] = [];
    const waiting = [...portions];
    while (failures.length === 0) {
      if (waiting.length === 0) {
        const more = portionsOf(groupReads(taken.splice(0, GROUPED_AT_ONCE)));
        if (more.length === 0) break;
        waiting.push(...more);
        portions.push(...more);
      }
      const portion = waiting.shift()!;
      const stored = portion.groups.map(storedAs);
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
      await (underWay.size < WRITES_AT_ONCE ? nextTurn() : Promise.race(underWay));
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
      if (entries.size >= FLUSH_AT) void flush();
      else flushLater();
    },
    used(keyId, at) {
      uses.set(keyId, at);
      flushLater();
    },
    flush,
    state: () => ({ waiting: entries.size + taken.length + inPortions(), lost }),
  };
}

interface Portion {
  /** Each is stored as one entry. */
  groups: AuditEntry[][];
  /** Entries in all groups. */
  size: number;
}

function portionsOf(groups: readonly AuditEntry[][]): Portion[] {
  const portions: Portion[] = [];
  let work = READS;
  for (const group of groups) {
    const more = Math.max(ROW, group.length);
    if (work + more > READS) {
      portions.push({ groups: [], size: 0 });
      work = 0;
    }
    const portion = portions.at(-1)!;
    portion.groups.push(group);
    portion.size += group.length;
    work += more;
  }
  return portions;
}
