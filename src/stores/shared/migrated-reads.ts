// What finds the reads in the audit log, made again where a data migration writes its entries.
import { type OwnerReads, ownersIn } from '../../domain/audit-reads.ts';
import type { MigratedRow } from '../../ports/index.ts';

/** `names`: the columns of the rows. */
export function readsInRows(names: readonly string[], rows: readonly MigratedRow[]): OwnerReads[] {
  const [id, at, action, outcome, owner, connectionId, detail] = [
    'id',
    'at',
    'action',
    'outcome',
    'owner',
    'connection_id',
    'detail',
  ].map((name) => names.indexOf(name)) as [number, number, number, number, number, number, number];
  return rows.flatMap((row) =>
    ownersIn({
      id: row[id]!,
      at: Number(row[at]),
      action: row[action]!,
      outcome: row[outcome] as 'ok',
      owner: row[owner] ?? null,
      connectionId: row[connectionId] ?? null,
      detail: row[detail] ?? null,
    }),
  );
}
