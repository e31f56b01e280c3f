// Reading the audit log, as admins do. Entries are written through access.ts.
import type { StoredAuditEntry } from '../../domain/audit.ts';
import type { Refusal } from '../../domain/errors.ts';
import type { AuditFilter, Page, PageRequest, Store } from '../../ports/index.ts';
import { firstId } from '../secrets/index.ts';
import type { Access, Call } from './access.ts';
import type { AuditBuffer } from './audit-buffer.ts';

/** A page of entries, newest first. The buffer is flushed first, so that the caller sees its own reads. */
export type AuditLog = (
  call: Call,
  filter: AuditFilter,
  page: PageRequest,
) => Promise<Page<StoredAuditEntry> | Refusal>;

interface Parts {
  store: Pick<Store, 'audit'>;
  auditBuffer: Pick<AuditBuffer, 'flush'>;
  access: Access;
}

export function createAuditLog({ store, auditBuffer, access }: Parts): AuditLog {
  return async (call, filter, page) => {
    const denied = access.denied(call, 'admin', '*', '*');
    if (denied) return denied;
    await auditBuffer.flush();
    const { from, to } = filter;
    // The time of an entry is in its id, which has an index.
    const fromId = from === undefined ? undefined : firstId('evt', from);
    const beforeId = to === undefined ? undefined : firstId('evt', to);
    return store.audit({ ...filter, fromId, beforeId }, page);
  };
}
