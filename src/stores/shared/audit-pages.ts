// Pages of the audit log. Entries of one connection or owner are in two places: rows of their own, and batches of reads, which
// `audit_reads` finds by owner.
import type { StoredAuditEntry } from '../../domain/audit.ts';
import { entriesOf } from '../../domain/audit-reads.ts';
import type { AuditFilter, Page, PageRequest } from '../../ports/index.ts';
import { type AuditRange, isWanted, sparsestAuditRange } from './audit-filters.ts';
import { boundedPage, EXAMINED_PER_STEP, emptyPage, type ReadStep, type Step } from './bounded-pages.ts';
import { canBeWithin } from './filters.ts';

/** Rows that are read at once, since each may be a batch of reads: two milliseconds of parsing at most. */
const ROWS_AT_ONCE = 128;
/** Batches of reads of one owner that are read at once. */
const BATCHES_AT_ONCE = 32;

/** What each dialect has a statement for. All are newest first, and below `after`. */
export interface AuditStatements {
  /** Of the first `examine` rows of a range, up to `wanted` of those that may match. */
  matching(
    range: AuditRange,
    filter: AuditFilter,
    after: string | undefined,
    examine: number,
    wanted: number,
  ): Promise<StoredAuditEntry[]>;
  /** The id of the last one of the first `examine` rows of a range; undefined: there are fewer. */
  last(range: AuditRange, filter: AuditFilter, after: string | undefined, examine: number): Promise<string | undefined>;
  /** The owner of a connection, as its row or the log says. */
  ownerOf(connectionId: string): Promise<string | undefined>;
  /** The ids of batches that have reads of an owner; by `fromId` and `beforeId` of the filter. */
  batchesOf(owner: string, filter: AuditFilter, after: string | undefined, limit: number): Promise<string[]>;
  rows(ids: string[]): Promise<StoredAuditEntry[]>;
}

export async function auditPage(
  { matching, last, ownerOf, batchesOf, rows }: AuditStatements,
  filter: AuditFilter,
  page: PageRequest,
): Promise<Page<StoredAuditEntry>> {
  if (!canBeWithin(filter)) return emptyPage();
  const isMatch = isWanted(filter);
  const owner = await ownerOfReads();
  const lastOf = async (range: AuditRange) => {
    const own = await last(range, filter, page.after, EXAMINED_PER_STEP);
    if (owner === undefined || !isInBatches(range)) return own;
    const inBatches = (await batchesOf(owner, filter, page.after, EXAMINED_PER_STEP))[EXAMINED_PER_STEP - 1];
    return own === undefined || (inBatches !== undefined && inBatches > own) ? inBatches : own;
  };
  // Nothing that is stored says whose a connection was, once its row and its own entries have been deleted: its reads are found
  // by their text.
  const isOfNoOne = filter.connectionId !== undefined && owner === undefined && !filter.changes;
  const range = await sparsestAuditRange(isOfNoOne ? { ...filter, connectionId: undefined } : filter, lastOf);

  /** Undefined: no batch of reads is wanted, or none is found by its owner. */
  async function ownerOfReads(): Promise<string | undefined> {
    if (filter.changes) return undefined;
    return filter.owner ?? (filter.connectionId === undefined ? undefined : await ownerOf(filter.connectionId));
  }

  /** Only as many batches are parsed as are needed. */
  function entriesIn(
    found: readonly StoredAuditEntry[],
    after: string | undefined,
    wanted: number,
  ): StoredAuditEntry[] {
    const entries: StoredAuditEntry[] = [];
    for (const row of found) {
      for (const entry of entriesOf(row)) {
        if ((after !== undefined && entry.id >= after) || !isMatch(entry)) continue;
        if (entries.push(entry) === wanted) return entries;
      }
    }
    return entries;
  }

  const ownRows: ReadStep<StoredAuditEntry> = async (after, examine, wanted) => {
    const most = Math.min(wanted, ROWS_AT_ONCE);
    const found = await matching(range, filter, after, examine, most);
    const entries = entriesIn(found, after, wanted);
    if (entries.length === wanted) return upTo(entries, entries);
    return found.length === most
      ? upTo(entries, found)
      : { rows: entries, until: (await last(range, filter, after, examine)) ?? null };
  };
  const inBatches =
    (of: string): ReadStep<StoredAuditEntry> =>
    async (after, _, wanted) => {
      const ids = await batchesOf(of, filter, after, BATCHES_AT_ONCE);
      const entries = entriesIn(ids.length === 0 ? [] : await rows(ids), after, wanted);
      if (entries.length === wanted) return upTo(entries, entries);
      return { rows: entries, until: ids.length === BATCHES_AT_ONCE ? ids.at(-1)! : null };
    };
  const isTwofold = owner !== undefined && isInBatches(range);
  return boundedPage(page, -1, isTwofold ? [ownRows, inBatches(owner)] : [ownRows]);
}

const isInBatches = (range: AuditRange): boolean => range === 'connectionId' || range === 'owner';

const upTo = (rows: StoredAuditEntry[], examined: readonly StoredAuditEntry[]): Step<StoredAuditEntry> => ({
  rows,
  until: examined.at(-1)!.id,
});
