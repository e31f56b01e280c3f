// Lists of connections in SQLite, which blocks the event loop: each statement is bounded, however many connections there are.
import { and, asc, gte, inArray, lt, type SQL, sql } from 'drizzle-orm';
import type { ConnectionFilter } from '../../ports/index.ts';
import { stepOf } from '../shared/bounded-pages.ts';
import { connectionLists } from '../shared/connection-lists.ts';
import { type ConnectionRange, inConnectionRange, matchesConnection } from '../shared/filters.ts';
import { KNOWN_INTEGRATIONS, type OwnerTerm } from '../shared/narrow-scopes.ts';
import type { SqliteAccess } from './client.ts';
import { matchesText, searchRows } from './connection-search.ts';
import { connections } from './schema.ts';

type Select = Pick<SqliteAccess['orm'], 'select'>;

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
  const { id, integration } = connections;
  return orm
    .select({ id })
    .from(connections)
    .where(and(term.integrations && inArray(integration, term.integrations), ofOwners(term)))
    .limit(limit);
};

function ofOwners(term: OwnerTerm): SQL | undefined {
  const { owner } = connections;
  if ('anyOwner' in term) return undefined;
  if ('owners' in term) return inArray(owner, term.owners);
  return and(gte(owner, term.from), term.to === undefined ? undefined : lt(owner, term.to));
}

export function createConnectionLists({ orm, read }: Pick<SqliteAccess, 'orm' | 'read'>) {
  const { id, status } = connections;
  return connectionLists({
    integrations: () => read(() => orm.all<{ id: string }>(sql.raw(KNOWN_INTEGRATIONS))),
    bySearch: (term, limit) => read(() => searchRows(orm, term, limit).all()),
    byOwners: (term, limit) => read(() => termRows(orm, term, limit).all()),
    matching: (ids, filter) =>
      read(() => {
        const those = and(
          inArray(id, ids),
          matchesConnection(connections, filter),
          matchesText(connections, filter.text),
        );
        return orm.select().from(connections).where(those).orderBy(asc(id)).all();
      }),
    step: (range, filter) => (after, examine, wanted) =>
      read(() => {
        const { matching, last } = connectionStep(orm, range, filter, after, examine, wanted);
        return stepOf(matching.all(), wanted, () => last.get()?.id);
      }),
    statuses: (range, after, limit) =>
      read(() => {
        const inRange = inConnectionRange(connections, range, after);
        return orm.select({ id, status }).from(connections).where(inRange).orderBy(asc(id)).limit(limit).all();
      }),
  });
}
