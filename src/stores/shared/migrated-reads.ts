// What finds the reads in the audit log, made again where a data migration writes its entries.
import type { AuditEntry } from '../../domain/audit.ts';
import { isBatch } from '../../domain/audit-reads.ts';
import type { MigratedRow } from '../../ports/index.ts';

const NAMES = ['id', 'at', 'action', 'outcome', 'owner', 'connection_id', 'detail'];

/** The batches among rows of the audit log; `names`: their columns. */
export function batchesIn(names: readonly string[], rows: readonly MigratedRow[]) {
  const places = NAMES.map((name) => names.indexOf(name));
  return rows
    .map((row) => {
      const [id, at, action, outcome, ...rest] = places.map((place) => row[place] ?? null);
      const [owner = null, connectionId = null, detail = null] = rest;
      return {
        id: id!,
        at: Number(at),
        action: action!,
        outcome: outcome as AuditEntry['outcome'],
        owner,
        connectionId,
        detail,
      };
    })
    .filter(isBatch);
}
