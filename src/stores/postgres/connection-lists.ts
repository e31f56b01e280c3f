// Lists of connections in PostgreSQL: each statement is bounded, however many connections there are.
import { and, asc, inArray, type SQL, sql } from 'drizzle-orm';
import type { ConnectionFilter } from '../../ports/index.ts';
import { stepOf } from '../shared/bounded-pages.ts';
import { connectionLists } from '../shared/connection-lists.ts';
import { type ConnectionRange, inConnectionRange, matchesConnection } from '../shared/filters.ts';
import { KNOWN_INTEGRATIONS, type OwnerTerm } from '../shared/narrow-scopes.ts';
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

export function createConnectionLists({ autocommit }: Pick<PostgresAccess, 'autocommit'>) {
  const { id, status } = connections;
  return connectionLists(
    {
      integrations: () =>
        autocommit(async (orm) => (await orm.execute<{ id: string }>(sql.raw(KNOWN_INTEGRATIONS))).rows),
      bySearch: (term, limit) => autocommit((orm) => searchRows(orm, term, limit).execute()),
      byOwners: (term, limit) => autocommit((orm) => termRows(orm, term, limit).execute()),
      matching: (ids, filter) =>
        autocommit((orm) => {
          const those = and(
            inArray(id, ids),
            matchesConnection(connections, filter),
            matchesText(connections, filter.text),
          );
          return orm.select().from(connections).where(those).orderBy(asc(id)).execute();
        }),
      step: (range, filter) => (after, examine, wanted) =>
        autocommit(async (orm) => {
          const { matching, last } = connectionStep(orm, range, filter, after, examine, wanted);
          const rows = await matching;
          const [lastOne] = rows.length === wanted ? [] : await last;
          return stepOf(rows, wanted, () => lastOne?.id);
        }),
      statuses: (range, after, limit) =>
        autocommit((orm) => {
          const inRange = inConnectionRange(connections, range, after);
          return orm.select({ id, status }).from(connections).where(inRange).orderBy(asc(id)).limit(limit).execute();
        }),
    },
    EXAMINED_AT_ONCE,
  );
}
