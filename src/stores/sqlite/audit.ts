// The audit log in SQLite.
import type { Database } from 'better-sqlite3';
import { and, asc, desc, eq, getTableColumns, gte, inArray, lt } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Store } from '../../ports/index.ts';
import { pageOf, type SqliteAccess } from './client.ts';
import { audit } from './schema.ts';

/** Without drizzle's mapping, of which nothing is needed here: of every read there is an entry. */
export function recorder(client: Database): (entry: AuditEntry) => void {
  const columns = Object.entries(getTableColumns(audit));
  const names = columns.map(([, { name }]) => name).join(', ');
  const insert = client.prepare(
    `insert into audit (${names}) values (${columns.map(([key]) => `@${key}`).join(', ')})
     on conflict (id) do nothing`,
  );
  return (entry) => void insert.run(entry);
}

export const auditStore = ({
  orm,
  read,
  write,
  record,
}: SqliteAccess): Pick<Store, 'appendAudit' | 'audit' | 'pruneAudit'> => ({
  appendAudit: async (entries) => {
    if (entries.length === 0) return;
    await write(() => {
      for (const entry of entries) record(entry);
    });
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
  pruneAudit: (before, limit) =>
    write(() => {
      const oldest = orm
        .select({ id: audit.id })
        .from(audit)
        .where(lt(audit.id, before))
        .orderBy(asc(audit.id))
        .limit(limit);
      return orm.delete(audit).where(inArray(audit.id, oldest)).run().changes;
    }),
});
