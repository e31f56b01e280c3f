// Pages of lists whose conditions no single index answers: rows are examined along an index in bounded steps, between which
// the event loop gets on, and a page ends when enough were examined. Such a page is short, and its cursor leads on.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Page, PageRequest } from '../../ports/index.ts';

/** Rows of one step: a few milliseconds of SQLite, which runs nothing else meanwhile. */
export const EXAMINED_PER_STEP = 1_000;
/** Rows of one page. */
const EXAMINED_PER_PAGE = 50_000;

/** What one step along a range has found. `until`: the id of the last row examined; null: the range has no more. */
export interface Step<T> {
  rows: T[];
  until: string | null;
}

/** Examines up to `examine` rows of a range beyond `after`, in the order of the list, and returns at most `wanted` matches. */
export type ReadStep<T> = (after: string | undefined, examine: number, wanted: number) => Promise<Step<T>>;

/**
 * Merges ranges of the same order: `direction` 1 if ids ascend, -1 if they descend. No row is in two of them. `perStep`: where a
 * step does not hold up this process.
 */
export async function boundedPage<T extends { id: string }>(
  { limit, after }: PageRequest,
  direction: 1 | -1,
  ranges: ReadStep<T>[],
  perStep = EXAMINED_PER_STEP,
): Promise<Page<T>> {
  const isBefore = (a: string, b: string) => (direction === 1 ? a < b : a > b);
  const states = ranges.map((read) => ({ read, until: after as string | undefined | null, rows: [] as T[] }));
  const examine = Math.ceil(perStep / Math.max(1, ranges.length));
  const found: T[] = [];
  /** Up to here, all ranges were examined; null: to their ends. */
  let bound: string | null | undefined = after;
  for (let examined = 0; ; ) {
    for (const state of states) {
      if (state.until === null || state.until !== bound) continue;
      if (examined > 0) await nextTurn();
      const { rows, until } = await state.read(state.until, examine, limit + 1 - found.length);
      [state.rows, state.until] = [rows, until];
      examined += examine;
    }
    const open = states.flatMap(({ until }) => (until === null ? [] : [until as string]));
    const reached = open.reduce<string | null>((first, id) => (first && isBefore(first, id) ? first : id), null);
    bound = reached;
    const isDue = ({ id }: T) => reached === null || !isBefore(reached, id);
    for (const state of states) {
      found.push(...state.rows.filter(isDue));
      state.rows = state.rows.filter((row) => !isDue(row));
    }
    found.sort((a, b) => (isBefore(a.id, b.id) ? -1 : 1));
    if (found.length > limit) return { data: found.slice(0, limit), next: found[limit - 1]!.id };
    if (bound === null) return { data: found, next: null };
    if (examined >= EXAMINED_PER_PAGE) return { data: found, next: bound };
  }
}

/** The step of rows that were read with `limit wanted`; `last`: the id of the last row examined, undefined: there were fewer. */
export const stepOf = <T extends { id: string }>(rows: T[], wanted: number, last: () => string | undefined): Step<T> =>
  rows.length === wanted ? { rows, until: rows.at(-1)!.id } : { rows, until: last() ?? null };

/** Of a list in which nothing can be. */
export const emptyPage = <T>(): Page<T> => ({ data: [], next: null });
