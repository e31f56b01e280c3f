// What is written later, in batches: reads and refusals for the audit log, and when keys were last used.
import type { AuditEntry } from '../../domain/audit.ts';
import { AUDIT_FLUSH_INTERVAL_MS } from '../../domain/time-limits.ts';
import type { Logger, Store } from '../../ports/index.ts';

/** Past this many different entries within one second, a flush begins at once. */
const FLUSH_AT = 2_000;
/** What is kept while the store cannot be written to; the oldest are given up first, and that is logged. */
const KEEP_AT_MOST = 50_000;
/** Entries that are written at once: under a millisecond of work, so that no request waits for long behind it. */
const PORTION = 64;

export type AuditBuffer = ReturnType<typeof createAuditBuffer>;

export function createAuditBuffer({ store, log }: { store: Pick<Store, 'appendAudit' | 'touchKeys'>; log: Logger }) {
  let entries = new Map<string, AuditEntry>();
  let uses = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  /** Taken to be written, and not written yet. */
  let batch: AuditEntry[] = [];
  let lost = 0;

  // Whoever stops flushes; what the store will not take must not keep the process alive.
  const soon = () => {
    timer ??= setTimeout(flush, AUDIT_FLUSH_INTERVAL_MS).unref();
  };

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    batch = [...entries.values()];
    const keys = [...uses].map(([keyId, at]) => ({ keyId, at }));
    entries = new Map();
    uses = new Map();
    // Of its own: what was appended must not be appended again because this fails.
    const touched = store.touchKeys(keys).catch((error: unknown) => {
      for (const { keyId, at } of keys) if (!uses.has(keyId)) uses.set(keyId, at);
      log.error({ err: error }, 'when keys were last used waits for the store');
      soon();
    });
    try {
      // In portions, so that no request waits behind the whole of a busy second.
      while (batch.length > 0) {
        await store.appendAudit(batch.slice(0, PORTION));
        batch.splice(0, PORTION);
      }
    } catch (error) {
      const kept = batch.slice(-KEEP_AT_MOST);
      entries = new Map([...kept.map((e) => [e.id, e] as const), ...entries]);
      lost += batch.length - kept.length;
      log.error(
        { err: error, kept: kept.length, lost: batch.length - kept.length },
        'audit entries wait for the store',
      );
      batch = [];
      soon();
    }
    await touched;
  }

  /**
   * One at a time: whoever asks while one is under way shares the next one. Fulfilled when all that was noted before is
   * written; never rejects: what cannot be written stays for the next time.
   */
  function flush(): Promise<void> {
    next ??= writing.then(() => {
      next = undefined;
      writing = write();
      return writing;
    });
    return next;
  }

  return {
    /** One more of its kind: `alike` says which, and the entry is made for the first of a second alone. */
    note(alike: string, make: () => AuditEntry): void {
      const first = entries.get(alike);
      if (first) {
        first.count++;
        return;
      }
      entries.set(alike, make());
      if (entries.size >= FLUSH_AT) void flush();
      else soon();
    },
    used(keyId: string, at: number): void {
      uses.set(keyId, at);
      soon();
    },
    flush,
    /** For metrics. */
    state: () => ({ waiting: entries.size + batch.length, lost }),
  };
}
