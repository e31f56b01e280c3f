// The audit log in SQLite.
import { and, desc, eq, gte, lt, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Store } from '../../ports.ts';
import { audit } from './schema.ts';
import { pageOf, type SqliteAccess } from './sqlite.ts';

export function recorder(orm: SqliteAccess['orm']): (entry: AuditEntry) => void {
  const insert = orm
    .insert(audit)
    .values({
      id: sql.placeholder('id'),
      at: sql.placeholder('at'),
      action: sql.placeholder('action'),
      outcome: sql.placeholder('outcome'),
      actor: sql.placeholder('actor'),
      keyId: sql.placeholder('keyId'),
      integration: sql.placeholder('integration'),
      owner: sql.placeholder('owner'),
      connectionId: sql.placeholder('connectionId'),
      address: sql.placeholder('address'),
      requestId: sql.placeholder('requestId'),
      detail: sql.placeholder('detail'),
      count: sql.placeholder('count'),
    })
    .prepare();
  return (entry) => void insert.run({ ...entry });
}

export const auditStore = ({ orm, read, write, record }: SqliteAccess): Pick<Store, 'appendAudit' | 'audit'> => ({
  appendAudit: async (entries) => {
    if (entries.length > 0) await write(() => entries.forEach(record));
  },
  audit: (filter, { limit, after }) =>
    read(() => {
      const rows = orm
        .select()
        .from(audit)
        .where(
          and(
            filter.integration === undefined ? undefined : eq(audit.integration, filter.integration),
            filter.owner === undefined ? undefined : eq(audit.owner, filter.owner),
            filter.connectionId === undefined ? undefined : eq(audit.connectionId, filter.connectionId),
            filter.actor === undefined ? undefined : eq(audit.actor, filter.actor),
            filter.action === undefined ? undefined : eq(audit.action, filter.action),
            filter.outcome === undefined ? undefined : eq(audit.outcome, filter.outcome),
            filter.from === undefined ? undefined : gte(audit.at, filter.from),
            filter.to === undefined ? undefined : lt(audit.at, filter.to),
            after === undefined ? undefined : lt(audit.id, after),
          ),
        )
        .orderBy(desc(audit.id))
        .limit(limit + 1)
        .all();
      return pageOf(rows, limit);
    }),
});
