// The audit log as admins read it.
import type { AuditEntry } from '../../domain/audit.ts';
import type { Refusal } from '../../domain/errors.ts';
import type { AuditFilter, Page, PageRequest, Store } from '../../ports/index.ts';
import type { Access, Call } from './access.ts';
import type { AuditBuffer } from './audit-buffer.ts';

export type AuditLog = ReturnType<typeof createAuditLog>;

interface Parts {
  store: Pick<Store, 'audit'>;
  auditBuffer: Pick<AuditBuffer, 'flush'>;
  access: Access;
}

export function createAuditLog({ store, auditBuffer, access }: Parts) {
  /** Newest first; what is still gathered in memory is written before. */
  return async function auditLog(
    call: Call,
    filter: AuditFilter,
    page: PageRequest,
  ): Promise<Page<AuditEntry> | Refusal> {
    const denied = access.denied(call, 'admin', '*', '*');
    if (denied) return denied;
    await auditBuffer.flush();
    return store.audit(filter, page);
  };
}
