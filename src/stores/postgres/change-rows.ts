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

/** Behind subqueries: the planner would take what it sees of them for a reason to plan every read again. */
const NEXT = '(select $1::xid8)';
const OPEN = '(select $2::xid8[])::xid8[]';
/** The last row of the page before: its transaction, its number, its lease. */
const AFTER = ['(select $3::xid8)', '(select $4::bigint)', '(select $5::text)'];
const LATER = `>= ${NEXT}`;
const ENDED = '< pg_snapshot_xmax(now.snapshot)';

/** Each in the order of its index and no more than a page: a read does not fetch and sort all that there is. */
const changed = (condition: string): string => `(
    select xid, seq, at, kind, id, generation, '' as lease from changes
    where (xid, seq) > (${AFTER[0]}, ${AFTER[1]}) and ${condition}
    order by xid, seq limit ${MAX_ROWS})`;
const refreshed = (condition: string): string => `(
    select refreshed_xid, ${REFRESH}::bigint, null::bigint, 'connection', connection_id, refreshed_generation, connection_id from leases
    where (refreshed_xid, ${REFRESH}::bigint, connection_id) > (${AFTER}) and refreshed_xid is not null and ${condition}
    order by refreshed_xid, connection_id limit ${MAX_ROWS})`;
/** Of one transaction after the other: of several, the planner cannot know how much they have changed. */
const ofOpen = (rows: string): string =>
  `select theirs.* from unnest(${OPEN}) as open (xid), lateral ${rows} as theirs`;
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
    ${changed(`xid ${LATER} and xid ${ENDED}`)}
    union all ${ofOpen(changed('xid = open.xid'))}
    union all ${refreshed(`refreshed_xid ${LATER} and refreshed_xid ${ENDED}`)}
    union all ${ofOpen(refreshed('refreshed_xid = open.xid'))}
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
