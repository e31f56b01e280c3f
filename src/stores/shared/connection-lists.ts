// Lists of connections: the few of a search or of narrow permissions are found by indexes of their own, all others are examined in
// the order of ids.
import type { Connection } from '../../domain/connection.ts';
import type { ConnectionFilter, ConnectionStore, Page, PageRequest } from '../../ports/index.ts';
import { boundedPage, emptyPage, type ReadStep, stepOf } from './bounded-pages.ts';
import { isSearch, type SearchTerm, searchTerms } from './connection-search.ts';
import { type ConnectionRange, canBeWithin, connectionRanges, LIVE_STATUSES } from './filters.ts';
import { fewIds, merged, type OwnerTerm, ownerTerms, ROWS_AT_ONCE } from './narrow-scopes.ts';
import { pageOf } from './pages.ts';

type Ids = Promise<{ id: string }[]>;

/** What a store reads for them. */
export interface ConnectionQueries {
  /** All integrations that have connections. */
  integrations(): Ids;
  /** What an index has for a term. */
  bySearch(term: SearchTerm, limit: number): Ids;
  byOwners(term: OwnerTerm, limit: number): Ids;
  /** Those of the ids that match, in the order of ids. */
  matching(ids: readonly string[], filter: ConnectionFilter): Promise<Connection[]>;
  step(range: ConnectionRange, filter: ConnectionFilter): ReadStep<Connection>;
  /** The next of a range, whether they match or not. */
  statuses(
    range: ConnectionRange,
    after: string | undefined,
    limit: number,
  ): Promise<Pick<Connection, 'id' | 'status'>[]>;
}

/** `perStep`: where a step does not hold up this process. */
export function connectionLists(
  queries: ConnectionQueries,
  perStep?: number,
): Pick<ConnectionStore, 'connections' | 'liveConnections'> {
  /** Undefined: they are not few. */
  async function fewOf(filter: ConnectionFilter, { limit, after }: PageRequest): Promise<Page<Connection> | undefined> {
    const known = (await queries.integrations()).map(({ id }) => id);
    const search = searchTerms(filter, known);
    const owners = search ? undefined : ownerTerms(filter, known);
    const ids = search
      ? await fewIds(search, after, queries.bySearch)
      : owners && (await fewIds(owners, after, queries.byOwners));
    if (!ids) return undefined;
    const wanted = { ...filter, within: filter.within && merged(filter.within) };
    const found: Connection[] = [];
    for (let i = 0; i < ids.length && found.length <= limit; i += ROWS_AT_ONCE)
      found.push(...(await queries.matching(ids.slice(i, i + ROWS_AT_ONCE), wanted)));
    return pageOf(found, limit);
  }

  const liveStep =
    (range: ConnectionRange): ReadStep<{ id: string }> =>
    async (after, examine, wanted) => {
      // All of a range with a status are live.
      const most = range.status === undefined ? examine : Math.min(examine, wanted);
      const examined = await queries.statuses(range, after, most);
      const live = examined.filter(({ status }) => status !== 'revoked').slice(0, wanted);
      const last = () => (examined.length === most ? examined.at(-1)!.id : undefined);
      return stepOf(
        live.map(({ id }) => ({ id })),
        wanted,
        last,
      );
    };

  return {
    async connections(filter, page) {
      if (!canBeWithin(filter)) return emptyPage();
      const isNarrow = isSearch(filter) || (filter.within && filter.owner === undefined);
      const few = isNarrow ? await fewOf(filter, page) : undefined;
      const steps = () => connectionRanges(filter).map((range) => queries.step(range, filter));
      return few ?? boundedPage(page, 1, steps(), perStep);
    },
    liveConnections: (filter, page) => boundedPage(page, 1, connectionRanges(filter, LIVE_STATUSES).map(liveStep)),
  };
}
