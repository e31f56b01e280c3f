// Reading the audit log, as auditors and admins do. Entries are written through access.ts.
import type { StoredAuditEntry } from '../../../domain/audit.ts';
import { allows, scopesOf } from '../../../domain/caller.ts';
import type { Refusal } from '../../../domain/errors.ts';
import { AUDIT_BATCH_SPAN_MS } from '../../../domain/time-limits.ts';
import type { AuditFilter, Page, PageRequest, Store } from '../../../ports/index.ts';
import { firstId } from '../../secrets/index.ts';
import type { Access, Call } from '../access.ts';
import type { StrangerLog } from '../stranger-log.ts';
import type { AuditBuffer } from './audit-buffer.ts';

/**
 * A page of entries, newest first, for callers with `audit:read`: those of the integrations and owners of its grants. `admin`
 * on everything may read all of it, too. The
 * buffer is flushed first, so that the caller sees its own reads.
 */
export type AuditLog = (
  call: Call,
  filter: AuditFilter,
  page: PageRequest,
) => Promise<Page<StoredAuditEntry> | Refusal>;

interface Parts {
  store: Pick<Store, 'audit'>;
  auditBuffer: Pick<AuditBuffer, 'flush'>;
  strangers: Pick<StrangerLog, 'flush'>;
  access: Access;
}

export function createAuditLog({ store, auditBuffer, strangers, access }: Parts): AuditLog {
  return async (call, filter, page) => {
    const { permissions } = call.principal.caller;
    const everything = allows(permissions, 'audit:read', '*', '*') || allows(permissions, 'admin', '*', '*');
    const within = scopesOf(permissions, 'audit:read');
    if (!everything && within.length === 0) {
      const denied = access.denied(call, 'audit:read', '*', '*');
      if (denied) return denied;
    }
    strangers.flush();
    await auditBuffer.flush();
    const { from, to } = filter;
    // The time of an entry is in its id, which has an index; that of a batch is the time of its first read.
    const fromId = from === undefined ? undefined : firstId('evt', from - AUDIT_BATCH_SPAN_MS);
    const beforeId = to === undefined ? undefined : firstId('evt', to);
    return store.audit({ ...filter, fromId, beforeId, ...(everything ? {} : { within }) }, page);
  };
}
