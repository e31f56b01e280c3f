// Lists of connections in PostgreSQL: each statement is bounded, however many connections there are.
import { and, asc, inArray, type SQL, sql } from 'drizzle-orm';
import type { ConnectionFilter, ConnectionStore, PageRequest } from '../../ports/index.ts';
import { boundedPage, type ReadStep, stepOf } from '../shared/bounded-pages.ts';
import { isSearch, searchTerms } from '../shared/connection-search.ts';
import {
  type ConnectionRange,
  connectionRanges,
  inConnectionRange,
  LIVE_STATUSES,
  matchesConnection,
} from '../shared/filters.ts';
import {
  fewIds,
  KNOWN_INTEGRATIONS,
  merged,
  type OwnerTerm,
  ownerTerms,
  ROWS_AT_ONCE,
} from '../shared/narrow-scopes.ts';
import { pageOf } from '../shared/pages.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { matchesText, searchRows } from './connection-search.ts';
import { connections } from './schema.ts';

type Select = Pick<Orm, 'select'>;

/** Rows of one step: it ends with the last row that is wanted, and fewer statements are planned. */
const EXAMINED_AT_ONCE = 10_000;

/** The next connections of a range, of which those that match; and the last one that was examined. */
export function connectionStep(
  orm: Select,
  range: ConnectionRange,
  filter: ConnectionFilter,
  after: string | undefined,
  examine: number,
  wanted: number,
) {
  const inRange = inConnectionRange(connections, range, after);
  const { id } = connections;
  const examined = orm.select().from(connections).where(inRange).orderBy(asc(id)).limit(examine).as('examined');
  const matching = and(matchesConnection(examined, filter), matchesText(examined, filter.text));
  return {
    matching: orm.select().from(examined).where(matching).orderBy(asc(examined.id)).limit(wanted),
    last: orm
      .select({ id })
      .from(connections)
      .where(inRange)
      .orderBy(asc(id))
      .limit(1)
      .offset(examine - 1),
  };
}

/** What an index of owners has for a term: its entries have the ids. */
export const termRows = (orm: Select, term: OwnerTerm, limit: number) => {
  const { id, integration, owner } = connections;
  return orm
    .select({ id })
    .from(connections)
    .where(and(term.integrations && inArray(integration, term.integrations), ofOwners(term)))
    .orderBy(...('from' in term ? [sql`${owner} using ~<~`] : []))
    .limit(limit);
};

function ofOwners(term: OwnerTerm): SQL | undefined {
  const { owner } = connections;
  if ('anyOwner' in term) return undefined;
  if ('owners' in term) return inArray(owner, term.owners);
  // By bytes, as the indexes of owners are: the order of the database's collation knows no prefixes.
  return and(sql`${owner} ~>=~ ${term.from}`, term.to === undefined ? undefined : sql`${owner} ~<~ ${term.to}`);
}

export function createConnectionLists({
  autocommit,
}: Pick<PostgresAccess, 'autocommit'>): Pick<ConnectionStore, 'connections' | 'liveConnections'> {
  const stepsOf = (filter: ConnectionFilter, ranges: ConnectionRange[]) =>
    ranges.map(
      (range): ReadStep<typeof connections.$inferSelect> =>
        (after, examine, wanted) =>
          autocommit(async (orm) => {
            const { matching, last } = connectionStep(orm, range, filter, after, examine, wanted);
            const rows = await matching;
            const [lastOne] = rows.length === wanted ? [] : await last;
            return stepOf(rows, wanted, () => lastOne?.id);
          }),
    );
  const knownIntegrations = () =>
    autocommit(async (orm) => {
      const { rows } = await orm.execute<{ id: string }>(sql.raw(KNOWN_INTEGRATIONS));
      return rows.map((row) => row.id);
    });

  /** Undefined: they are not few. */
  async function fewOf(filter: ConnectionFilter, { limit, after }: PageRequest) {
    const known = await knownIntegrations();
    const search = searchTerms(filter, known);
    const owners = search ? undefined : ownerTerms(filter, known);
    const ids = search
      ? await fewIds(search, after, (term, most) => autocommit((orm) => searchRows(orm, term, most).execute()))
      : owners &&
        (await fewIds(owners, after, (term, most) => autocommit((orm) => termRows(orm, term, most).execute())));
    if (!ids) return undefined;
    const found: (typeof connections.$inferSelect)[] = [];
    for (let i = 0; i < ids.length && found.length <= limit; i += ROWS_AT_ONCE) {
      const condition = and(
        inArray(connections.id, ids.slice(i, i + ROWS_AT_ONCE)),
        matchesConnection(connections, { ...filter, within: filter.within && merged(filter.within) }),
        matchesText(connections, filter.text),
      );
      found.push(
        ...(await autocommit((orm) =>
          orm.select().from(connections).where(condition).orderBy(asc(connections.id)).execute(),
        )),
      );
    }
    return pageOf(found, limit);
  }

  return {
    async connections(filter, page) {
      const isNarrow = isSearch(filter) || (filter.within && filter.owner === undefined);
      const few = isNarrow ? await fewOf(filter, page) : undefined;
      return few ?? boundedPage(page, 1, stepsOf(filter, connectionRanges(filter)), EXAMINED_AT_ONCE);
    },
    liveConnections: (filter, page) =>
      boundedPage(
        page,
        1,
        connectionRanges(filter, LIVE_STATUSES).map((range) => (after, examine, wanted) => {
          const { id } = connections;
          const inRange = inConnectionRange(connections, range, after);
          // All of a range with a status are live.
          const most = range.status === undefined ? examine : Math.min(examine, wanted);
          return autocommit(async (orm) => {
            const examined = await orm
              .select({ id, status: connections.status })
              .from(connections)
              .where(inRange)
              .orderBy(asc(id))
              .limit(most);
            const rows = examined.filter(({ status }) => status !== 'revoked').slice(0, wanted);
            const last = () => (examined.length === most ? examined.at(-1)!.id : undefined);
            return stepOf(
              rows.map((row) => ({ id: row.id })),
              wanted,
              last,
            );
          });
        }),
      ),
  };
}
