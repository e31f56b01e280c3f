// Searches for connections in PostgreSQL: by an index each.
import { and, eq, lt, or, type SQL, sql } from 'drizzle-orm';
import { foldCase, type SearchTerm } from '../shared/connection-search.ts';
import { startsWith } from '../shared/filters.ts';
import type { Orm } from './client.ts';
import { accountName, connections, isActive, isLive } from './schema.ts';

const accountId = sql`(account ->> 'id')`;

/** What an index has for a term. */
export const searchRows = (orm: Pick<Orm, 'select'>, term: SearchTerm, limit: number) =>
  orm
    .select({ id: connections.id })
    .from(connections)
    .where(conditionOf(term))
    // Only in the order of the index is it sure to be used.
    .orderBy(...orderOf(term))
    .limit(limit);

function orderOf({ by }: SearchTerm): SQL[] {
  const { owner, label, nextRefreshAt, reauthDueAt } = connections;
  if (by === 'owner') return [sql`${owner} using ~<~`];
  if (by === 'label') return [sql`${label} using ~<~`];
  if (by === 'accountName') return [accountName];
  if (by === 'refreshDue') return [sql`${nextRefreshAt}`];
  return by === 'grantEnd' ? [sql`${reauthDueAt}`] : [];
}

function conditionOf(term: SearchTerm): SQL | undefined {
  const { id, integration, owner, label, nextRefreshAt, reauthDueAt } = connections;
  switch (term.by) {
    case 'id':
      return eq(id, term.text);
    case 'accountId':
      return and(sql`${accountId} = ${term.text}`, isLive);
    case 'refreshDue':
      // Literals, as in the index.
      return and(
        eq(integration, term.integration),
        isActive,
        sql`${nextRefreshAt} is not null`,
        lt(nextRefreshAt, term.before),
      );
    case 'grantEnd':
      return and(isActive, sql`${reauthDueAt} is not null`, lt(reauthDueAt, term.before));
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
