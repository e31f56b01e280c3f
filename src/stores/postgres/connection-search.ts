// Searches for connections in PostgreSQL: by an index each.
import { and, eq, lt, or, type SQL, sql } from 'drizzle-orm';
import { foldCase, isOfTimes, type SearchTerm, type TimeTerm } from '../shared/connection-search.ts';
import { startsWith } from '../shared/filters.ts';
import type { Orm } from './client.ts';
import { accountName, connections, isLive, leases } from './schema.ts';

const accountId = sql`(account ->> 'id')`;

/** What an index has for a term. */
export const searchRows = (orm: Pick<Orm, 'select'>, term: SearchTerm, limit: number) =>
  // Only in the order of the index is it sure to be used.
  isOfTimes(term)
    ? orm
        .select({ id: leases.connectionId })
        .from(leases)
        .where(timesOf(term))
        .orderBy(term.by === 'refreshDue' ? leases.dueAt : leases.endsAt)
        .limit(limit)
    : orm
        .select({ id: connections.id })
        .from(connections)
        .where(conditionOf(term))
        .orderBy(...orderOf(term))
        .limit(limit);

// Literals, as in the indexes.
const timesOf = (term: TimeTerm): SQL | undefined =>
  term.by === 'refreshDue'
    ? and(eq(leases.integration, term.integration), sql`due_at is not null`, lt(leases.dueAt, term.before))
    : and(sql`ends_at is not null`, lt(leases.endsAt, term.before));

function orderOf({ by }: Exclude<SearchTerm, TimeTerm>): SQL[] {
  const { owner, label } = connections;
  if (by === 'owner') return [sql`${owner} using ~<~`];
  if (by === 'label') return [sql`${label} using ~<~`];
  return by === 'accountName' ? [accountName] : [];
}

function conditionOf(term: Exclude<SearchTerm, TimeTerm>): SQL | undefined {
  const { id, owner, label } = connections;
  switch (term.by) {
    case 'id':
      return eq(id, term.text);
    case 'accountId':
      return and(sql`${accountId} = ${term.text}`, isLive);
    case 'accountName':
      return and(
        sql`account is not null`,
        sql`${accountName} >= ${term.from}`,
        term.to === undefined ? undefined : sql`${accountName} < ${term.to}`,
      );
    default: {
      // By bytes, as the indexes are: the order of the database's collation knows no prefixes.
      const column = term.by === 'owner' ? owner : label;
      return and(
        term.by === 'owner' ? undefined : sql`label <> ''`,
        sql`${column} ~>=~ ${term.from}`,
        term.to === undefined ? undefined : sql`${column} ~<~ ${term.to}`,
      );
    }
  }
}

/** The same as a condition of any row. Undefined text: all match. */
export const matchesText = (
  { id, owner, label }: Record<'id' | 'owner' | 'label', Parameters<typeof startsWith>[0]>,
  text: string | undefined,
): SQL | undefined =>
  text === undefined
    ? undefined
    : or(
        sql`${id} = ${text}`,
        startsWith(owner, text),
        startsWith(label, text),
        and(sql`${accountId} = ${text}`, sql`status <> 'revoked'`),
        startsWith(accountName, foldCase(text)),
      );
