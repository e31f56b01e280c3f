// Buffers what is written in batches: audit entries of reads and refusals, and when keys were last used.
import type { AuditEntry } from '../../../domain/audit.ts';
import { AUDIT_FLUSH_INTERVAL_MS } from '../../../domain/time-limits.ts';
import type { Logger, Store } from '../../../ports/index.ts';

/** With more entries than this, a flush starts at once. */
const FLUSH_AT = 2_000;
/** Kept while the store cannot be written to; beyond that the oldest entries are dropped, and the log says so. */
const MAX_ENTRIES = 50_000;
/** Entries per write: under a millisecond of work, so that no request waits long behind it. */
const BATCH = 64;

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
  /** Called with entries of the buffer once they are written. */
  onWritten?: ((entries: readonly AuditEntry[]) => void) | undefined;
}

export function createAuditBuffer({ store, log, onWritten }: Parts): AuditBuffer {
  let entries = new Map<string, AuditEntry>();
  let uses = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  /** Being written. */
  let batch: AuditEntry[] = [];
  let lost = 0;

  // Does not keep the process alive: a stop flushes, and what the store refuses then is lost anyway.
  const flushLater = () => {
    timer ??= setTimeout(flush, AUDIT_FLUSH_INTERVAL_MS).unref();
  };

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    batch = [...entries.values()];
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
      while (batch.length > 0) {
        await store.appendAudit(batch.slice(0, BATCH));
        const written = batch.splice(0, BATCH);
        onWritten?.(written);
      }
    } catch (error) {
      const kept = batch.slice(-MAX_ENTRIES);
      entries = new Map([...kept.map((e) => [e.id, e] as const), ...entries]);
      lost += batch.length - kept.length;
      log.error(
        { err: error, kept: kept.length, lost: batch.length - kept.length },
        'audit buffer: flush failed, will retry',
      );
      batch = [];
      flushLater();
    }
    await touched;
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
    state: () => ({ waiting: entries.size + batch.length, lost }),
  };
}
