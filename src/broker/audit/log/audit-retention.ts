// Deletes audit entries that are older than the retention period, in small batches that hold up no other work. Of entries that
// are sealed, whole seals are deleted, from the old end; an anchor stays in their place, so that the rest can be verified.
import { setTimeout as pause } from 'node:timers/promises';
import { ANCHOR, type AuditSeal } from '../../../domain/audit-seal.ts';
import { createPeriodicTask } from '../../../domain/periodic-task.ts';
import {
  AUDIT_READS_OUTLIVED_MS,
  AUDIT_RETENTION_INTERVAL_MS,
  AUDIT_RETENTION_PAUSE_MS,
  DAY_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, Logger, Store, Vault } from '../../../ports/index.ts';
import { firstId } from '../../secrets/index.ts';
import { sealed } from './audit-head.ts';

/** Two milliseconds of SQLite, which runs nothing else meanwhile. */
const DELETED_AT_ONCE = 100;
/** Of what finds reads, a row for each: small, and beside each other. No longer than the above. */
const READS_DELETED_AT_ONCE = 500;
/** Seals that are read at once. */
const BATCH = 500;

interface Parts {
  store: Pick<
    Store,
    | 'lastAuditSeal'
    | 'pruneAudit'
    | 'pruneAuditReads'
    | 'pruneSealedAudit'
    | 'pruneAuditSeals'
    | 'auditSeals'
    | 'auditAnchor'
    | 'putAuditAnchor'
  >;
  vault: Pick<Vault, 'encrypt'>;
  /** The retention period; null: entries are kept for ever. */
  days: number | null;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

/** Starts at once. `stop` is fulfilled when the current batch is done. A round that fails is retried in the next. */
export function startAuditRetention({ store, vault, days, clock, log }: Parts): { stop(): Promise<void> } {
  if (days === null) return { stop: async () => undefined };
  const keptMs = days * DAY_MS;
  const pruning = createPeriodicTask(round, (error) =>
    log.error({ err: error }, 'audit retention: deleting old entries failed, will retry'),
  );

  async function all(prune: (limit: number) => Promise<number>, limit = DELETED_AT_ONCE): Promise<void> {
    while (!pruning.isStopped() && (await prune(limit)) === limit) await pause(AUDIT_RETENTION_PAUSE_MS);
  }

  /** The last seal whose entries have all passed their time. The newest one stays, and so the chain. */
  async function lastToPrune(before: string): Promise<AuditSeal | undefined> {
    let found: AuditSeal | undefined;
    for (let after: string | undefined; !pruning.isStopped(); ) {
      const some = await store.auditSeals(after, BATCH);
      const kept = some.findIndex(({ lastId, sealedAt }) => (lastId ?? firstId('evt', sealedAt)) >= before);
      found = some[(kept < 0 ? some.length - 1 : kept) - 1] ?? found;
      if (kept >= 0 || some.length < BATCH) return found;
      after = some.at(-1)!.id;
      await pause(AUDIT_RETENTION_PAUSE_MS);
    }
    return undefined;
  }

  async function round(): Promise<void> {
    const beforeMs = clock.now() - keptMs;
    const before = firstId('evt', beforeMs);
    const sealedUpTo = (await store.lastAuditSeal())?.toPosition ?? 0;
    await all((limit) => store.pruneAudit(before, limit, sealedUpTo));
    // Later than the reads that they find, which stay until all that was sealed with them has passed its time.
    const readsBefore = beforeMs - AUDIT_READS_OUTLIVED_MS;
    await all((limit) => store.pruneAuditReads(readsBefore, limit), READS_DELETED_AT_ONCE);
    const last = await lastToPrune(before);
    if (last)
      await store.putAuditAnchor(
        sealed(vault, {
          id: ANCHOR,
          previous: last.id,
          fromPosition: 0,
          toPosition: last.toPosition,
          entries: 0,
          lastId: before,
          digest: last.hash,
          sealedAt: clock.now(),
        }),
      );
    // A process may have ended between the anchor and what follows.
    const anchor = await store.auditAnchor();
    if (!anchor?.previous) return;
    await all((limit) => store.pruneSealedAudit(anchor.toPosition, limit));
    await all((limit) => store.pruneAuditSeals(anchor.previous!, limit));
  }

  pruning.start(AUDIT_RETENTION_INTERVAL_MS);
  return pruning;
}
