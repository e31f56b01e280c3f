// The audit log as admins read it.
import type { AuditEntry } from '../../domain/audit.ts';
import type { Refusal } from '../../domain/errors.ts';
import type { AuditFilter, Page, PageRequest, Store } from '../../ports/index.ts';
import type { Access, Call } from './access.ts';
import type { Journal } from './audit-buffer.ts';

export type Trail = ReturnType<typeof createTrail>;

interface Parts {
  store: Pick<Store, 'audit'>;
  journal: Pick<Journal, 'flush'>;
  access: Access;
}

export function createTrail({ store, journal, access }: Parts) {
  /** Newest first; what is still gathered in memory is written before. */
  return async function trail(call: Call, filter: AuditFilter, page: PageRequest): Promise<Page<AuditEntry> | Refusal> {
    const denied = access.denied(call, 'admin', '*', '*');
    if (denied) return denied;
    await journal.flush();
    return store.audit(filter, page);
  };
}
