// What a flush of the audit buffer has to write, divided into portions: each is one write.
import type { AuditEntry } from '../../../../domain/audit.ts';
import { batchesOf, storedAs } from '../../../../domain/audit-reads.ts';
import { newIdAt } from '../../../secrets/index.ts';
import type { ReadColumns } from './read-columns.ts';

/** Reads in one write, where each is in a batch with others: about as much work, since each may be at another place of the index. */
const READS = 64;
/** An entry that is a row of its own takes as long as so many reads. */
const ROW = 2;

/** Some of the reads that were taken at once. */
export interface ReadRange {
  columns: ReadColumns;
  from: number;
  to: number;
}

export interface Unwritten {
  entries: AuditEntry[];
  reads: ReadRange[];
}

export const allOf = (columns: ReadColumns): ReadRange => ({ columns, from: 0, to: columns.size });

export const sizeOf = ({ entries, reads }: Unwritten): number =>
  reads.reduce((sum, { from, to }) => sum + to - from, entries.length);

/** Takes up to `most` entries, the oldest of their kind. */
export function takeSome(from: Unwritten, most: number): Unwritten {
  const entries = from.entries.splice(0, most);
  const reads: ReadRange[] = [];
  for (let left = most - entries.length; left > 0; ) {
    const [first] = from.reads;
    if (!first) break;
    const to = Math.min(first.to, first.from + left);
    reads.push({ ...first, to });
    left -= to - first.from;
    first.from = to;
    if (first.from === first.to) from.reads.shift();
  }
  return { entries, reads };
}

/** Reads first: of those there are many. Returns how many were dropped. */
export function dropOldest(from: Unwritten, count: number): number {
  const reads = sizeOf(takeSome({ entries: [], reads: from.reads }, count));
  return reads + from.entries.splice(0, Math.max(0, count - reads)).length;
}

export interface Portion {
  /** The entries that it is stored as: equal ones each time. */
  entries: () => AuditEntry[];
  /** What was noted, in all of them. */
  size: number;
}

export function portionsOf({ entries, reads }: Unwritten): Portion[] {
  const batches = reads.flatMap(({ columns, from, to }) =>
    batchesOf(columns, from, to).map((places) => {
      const id = newIdAt('evt', columns.at[places[0]!]!);
      return { size: places.length, entry: () => storedAs(columns.readsAt(places), id) };
    }),
  );
  const portions: (typeof batches)[] = [];
  let work = READS;
  for (const one of [...entries.map((entry) => ({ size: 1, entry: () => entry })), ...batches]) {
    const more = Math.max(ROW, one.size);
    if (work + more > READS) {
      portions.push([]);
      work = 0;
    }
    portions.at(-1)!.push(one);
    work += more;
  }
  return portions.map((some) => ({
    entries: () => some.map(({ entry }) => entry()),
    size: some.reduce((sum, { size }) => sum + size, 0),
  }));
}
