// Searches for connections in SQLite: by an index each.
import { and, eq, lt, or, type SQL, sql } from 'drizzle-orm';
import { foldCase, isOfTimes, type SearchTerm, type TimeTerm } from '../shared/connection-search.ts';
import { startsWith } from '../shared/filters.ts';
import type { SqliteAccess } from './client.ts';
import { accountName, connections, isLive, leases } from './schema.ts';

const accountId = sql`(account ->> 'id')`;
const columns = { owner: connections.owner, label: connections.label, accountName };

/** What an index has for a term. */
export const searchRows = (orm: Pick<SqliteAccess['orm'], 'select'>, term: SearchTerm, limit: number) =>
  isOfTimes(term)
    ? orm.select({ id: leases.connectionId }).from(leases).where(timesOf(term)).limit(limit)
    : orm.select({ id: connections.id }).from(connections).where(conditionOf(term)).limit(limit);

// Literals, as in the indexes.
const timesOf = (term: TimeTerm): SQL | undefined =>
  term.by === 'refreshDue'
    ? and(eq(leases.integration, term.integration), sql`due_at is not null`, lt(leases.dueAt, term.before))
    : and(sql`ends_at is not null`, lt(leases.endsAt, term.before));

function conditionOf(term: Exclude<SearchTerm, TimeTerm>): SQL | undefined {
  const { id } = connections;
  switch (term.by) {
    case 'id':
      return eq(id, term.text);
    case 'accountId':
      return and(sql`${accountId} = ${term.text}`, isLive);
    default: {
      const column = columns[term.by];
      const known = { owner: undefined, label: sql`label <> ''`, accountName: sql`account is not null` }[term.by];
      return and(
        known,
        sql`${column} >= ${term.from}`,
        term.to === undefined ? undefined : sql`${column} < ${term.to}`,
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
