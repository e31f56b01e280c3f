// The audit room: authorises callers, records what happens, lets admins read it, and deletes it after its time.
import type { Clock, Logger, Store } from '../../ports/index.ts';
import { type Access, createAccess } from './access.ts';
import { type AuditBuffer, createAuditBuffer } from './audit-buffer.ts';
import { type AuditLog, createAuditLog } from './audit-log.ts';
import { startAuditRetention } from './audit-retention.ts';

export { type Access, type Call, type Subject, sees } from './access.ts';
export type { AuditBuffer } from './audit-buffer.ts';
export type { AuditLog } from './audit-log.ts';
export { createRefusedRows } from './refused-rows.ts';

export interface Audit {
  access: Access;
  buffer: AuditBuffer;
  log: AuditLog;
  /** Starts deleting entries that are older than the retention period. */
  start(): void;
  /** Fulfilled when nothing is being deleted any more. The buffer is not flushed: others may still note something. */
  stop(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'appendAudit' | 'touchKeys' | 'audit' | 'pruneAudit'>;
  clock: Clock;
  log: Logger;
  /** Null or undefined: entries are kept for ever. */
  retentionDays?: number | null;
}

export function createAudit({ store, clock, log, retentionDays = null }: Parts): Audit {
  const buffer = createAuditBuffer({ store, log });
  const access = createAccess({ auditBuffer: buffer, clock });
  let retention: { stop(): Promise<void> } | undefined;
  return {
    access,
    buffer,
    log: createAuditLog({ store, auditBuffer: buffer, access }),
    start() {
      retention = startAuditRetention({ store, days: retentionDays, clock, log });
    },
    async stop() {
      await retention?.stop();
    },
  };
}
