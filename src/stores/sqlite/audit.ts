// The audit log in SQLite.
import type { Database } from 'better-sqlite3';
import { asc, desc, getTableColumns, inArray, lt } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { AuditStore } from '../../ports/index.ts';
import { matchesEntry } from '../shared/filters.ts';
import { pageOf } from '../shared/pages.ts';
import type { SqliteAccess } from './client.ts';
import { audit as log } from './schema.ts';

/** Writes an entry inside an operation. Without drizzle's mapping, which does nothing here: every read writes an entry. */
export function auditWriter(client: Database): (entry: AuditEntry) => void {
  const columns = Object.entries(getTableColumns(log));
  const names = columns.map(([, { name }]) => name).join(', ');
  const insert = client.prepare(
    `insert into audit (${names}) values (${columns.map(([key]) => `@${key}`).join(', ')})
     on conflict (id) do nothing`,
  );
  return (entry) => void insert.run(entry);
}

export const createAuditStore = ({ orm, read, write, record }: SqliteAccess): AuditStore => ({
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
        .from(log)
        .where(matchesEntry(log, filter, after))
        .orderBy(desc(log.id))
        .limit(limit + 1)
        .all();
      return pageOf(rows, limit);
    }),
  pruneAudit: (before, limit) =>
    write(() => {
      const oldest = orm.select({ id: log.id }).from(log).where(lt(log.id, before)).orderBy(asc(log.id)).limit(limit);
      return orm.delete(log).where(inArray(log.id, oldest)).run().changes;
    }),
});
