// The audit room: authorises callers, records what happens, lets admins read it, and deletes it after its time.
import type { AuditEntry } from '../../domain/audit.ts';
import type { AuditSealStore, AuditStore, Clock, Logger, Store, Vault } from '../../ports/index.ts';
import { type Access, createAccess } from './access.ts';
import { type AuditBuffer, createAuditBuffer } from './log/audit-buffer.ts';
import { type AuditLog, createAuditLog } from './log/audit-log.ts';
import { startAuditRetention } from './log/audit-retention.ts';
import { createAuditSealing } from './log/audit-sealing.ts';
import { createStrangerLog, type StrangerLog } from './stranger-log.ts';

export { type Access, type Call, type ClientContext, type Subject, sees } from './access.ts';
export { callerChanges, changedNames, type FieldChange, integrationChanges } from './changes.ts';
export type { AuditBuffer } from './log/audit-buffer.ts';
export { endFault, proofOf } from './log/audit-head.ts';
export type { AuditLog } from './log/audit-log.ts';
export { entriesDigest } from './log/audit-sealing.ts';
export { refusedRows } from './refused-rows.ts';
export type { StrangerLog } from './stranger-log.ts';

export interface Audit {
  access: Access;
  buffer: AuditBuffer;
  strangers: StrangerLog;
  log: AuditLog;
  /** Starts sealing entries, and deleting those that are older than the retention period. */
  start(): void;
  /** Fulfilled when nothing is being sealed or deleted any more. Others may still note something. */
  stop(): Promise<void>;
  /** Writes what the buffer holds, and seals it. Never rejects. */
  close(): Promise<void>;
}

interface Parts {
  store: Pick<Store, keyof AuditStore | keyof AuditSealStore | 'touchKeys'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  clock: Clock;
  log: Logger;
  /** Null or undefined: entries are kept for ever. */
  retentionDays?: number | null;
  /** How often new entries are sealed, in ms. */
  sealEveryMs?: number | undefined;
  /** Called with what was noted, once it is written. */
  onWritten?: ((entries: readonly AuditEntry[]) => void) | undefined;
}

export function createAudit({ retentionDays = null, sealEveryMs, onWritten, ...parts }: Parts): Audit {
  const { store, vault, clock, log } = parts;
  const buffer = createAuditBuffer({ store, log, onWritten });
  const access = createAccess({ auditBuffer: buffer, clock });
  const strangers = createStrangerLog({
    auditBuffer: buffer,
    entry: ({ action, reason, why, presented, integration, address }, requestId) => {
      const said = presented === null ? reason : `${reason}: ${presented}`;
      const detail = why === undefined ? said : `${said}; ${why}`;
      return access.recordStranger({ address, requestId }, action, { integration, detail });
    },
    clock,
    log,
  });
  const sealing = createAuditSealing({ store, vault, access, clock, log, days: retentionDays, everyMs: sealEveryMs });
  let retention: { stop(): Promise<void> } | undefined;
  return {
    access,
    buffer,
    strangers,
    log: createAuditLog({ store, auditBuffer: buffer, strangers, access }),
    start() {
      retention = startAuditRetention({ store, vault, days: retentionDays, clock, log });
      sealing.start();
    },
    async stop() {
      await Promise.all([retention?.stop(), sealing.stop()]);
    },
    async close() {
      strangers.flush();
      await buffer.flush();
      await sealing.sealNow().catch((error: unknown) => {
        log.error({ err: error }, 'audit sealing: the last entries could not be sealed, the next broker will');
      });
    },
  };
}
