// Writes audit entries, on the connection of the store or on that of its thread, which has no need of drizzle.
import type { Database } from 'better-sqlite3';
import type { AuditEntry } from '../../domain/audit.ts';
import { isBatch, ownersIn, weekOf } from '../../domain/audit-reads.ts';
import { ANCHOR, ENTRY_MEMBERS, HEAD } from '../../domain/audit-seal.ts';

/** One writer at a time: places are in the order of the commits. Also after all entries of a time were deleted. */
const NEXT_POSITION = `select 1 + max(
  coalesce((select max(position) from audit), 0),
  coalesce((select to_position from audit_seals where id < '${ANCHOR}' order by id desc limit 1), 0),
  coalesce((select to_position from audit_seals where id = '${HEAD}'), 0))`;

/** Columns have the names of the members, in SQL's spelling. */
const INSERT = `insert into audit (${ENTRY_MEMBERS.map(columnOf).join(', ')}, position)
  values (${ENTRY_MEMBERS.map((member) => `@${member}`).join(', ')}, (${NEXT_POSITION})) on conflict (id) do nothing`;

/** All owners of a batch: a JSON list. */
export const ADD_READS = `insert into audit_reads (week, owner, entry)
  select ?, value, ? from json_each(?) where true on conflict do nothing`;

/** Writes an entry inside an operation, and of a batch of reads the rows that find it. */
export function auditWriter(client: Database): (entry: AuditEntry) => void {
  const insert = client.prepare<[AuditEntry]>(INSERT);
  const find = client.prepare<[number, string, string]>(ADD_READS);
  return (entry) => {
    insert.run(entry);
    if (isBatch(entry)) find.run(weekOf(entry.at), entry.id, JSON.stringify(ownersIn(entry)));
  };
}

function columnOf(member: string): string {
  return member.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
