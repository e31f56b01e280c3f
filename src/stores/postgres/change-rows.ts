// What was committed since a snapshot, in one statement: the rows of `changes`, and the routine refreshes, which are in the rows
// of their leases.
import type { ChangeRow } from '../shared/changes.ts';

/** Of one read. */
export const MAX_ROWS = 2_000;

/** The kind of a row that reports no change: the process that made it waits until the others have read up to it. */
export const BARRIER = 'barrier';

/** Its columns are null in a row that says only what the snapshot is. */
export interface ReadRow extends Omit<ChangeRow, 'kind'> {
  kind: ChangeRow['kind'] | typeof BARRIER;
  xid: string | null;
  /** `REFRESH`: of a routine refresh. */
  seq: string;
  /** Of those with that number, the id of the connection; otherwise empty. */
  lease: string;
  /** Null for a routine refresh. */
  at: string | null;
  snapshot: string;
  /** When the last change seen was made; null: it is not there. */
  last_at: string | null;
  /** The transaction of the last refresh of that connection, 0 if there is none; null: the connection is not there. */
  last_refreshed: string | null;
}

/** Below the number of every change. */
export const REFRESH = '0';

export interface Snapshot {
  /** Transactions from this number on began later. */
  next: bigint;
  /** Those with lower ones that had not ended. */
  open: string[];
}

/** Read on after $3, $4 and $5: the transaction, the number and the lease of the last row. */
const CHANGED = `
    select xid, seq, at, kind, id, generation, '' as lease from changes
    where (xid, seq) > ($3::xid8, $4::bigint)`;
const REFRESHED = `
    select refreshed_xid, ${REFRESH}::bigint, null, 'connection', connection_id, refreshed_generation, connection_id from leases
    where (refreshed_xid, ${REFRESH}::bigint, connection_id) > ($3::xid8, $4::bigint, $5::text) and refreshed_xid is not null`;
/** Behind a subquery: the planner would take the length of the array for a reason to plan every read again. */
const OPEN = '(select $2::xid8[])::xid8[]';
/**
 * Not visible in the snapshot was what had begun and not ended ($2), and what began later ($1); not by its lowest number, which
 * a transaction of another application may hold back for hours. A database that was restored has changes of transactions that
 * are still to come here: they are of no interest. $6 and $7: the last change and the connection of the last refresh seen.
 */
export const READ = `
  with now as materialized (select pg_current_snapshot() as snapshot)
  select now.snapshot, c.*, (select at from changes where seq = $6) as last_at,
    (select coalesce(refreshed_xid, '0'::xid8) from leases where connection_id = $7) as last_refreshed
  from now left join lateral (
    ${CHANGED} and xid >= $1::xid8 and xid < pg_snapshot_xmax(now.snapshot)
    union all ${CHANGED} and xid = any(${OPEN})
    union all ${REFRESHED} and refreshed_xid >= $1::xid8 and refreshed_xid < pg_snapshot_xmax(now.snapshot)
    union all ${REFRESHED} and refreshed_xid = any(${OPEN})
  ) c on true
  order by c.xid, c.seq, c.lease limit ${MAX_ROWS}`;
/** The last change there is. */
export const BEGIN = `
  select pg_current_snapshot() as snapshot, c.seq, c.at
  from (select) as now left join (select seq, at from changes order by seq desc limit 1) c on true`;

/** As PostgreSQL writes it: the lowest number that is open, the next one, all that are open. */
export function snapshotOf(text: string): Snapshot {
  const [, next = '', open = ''] = text.split(':');
  return { next: BigInt(next), open: open === '' ? [] : open.split(',') };
}
