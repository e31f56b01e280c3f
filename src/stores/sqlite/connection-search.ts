// Searches for connections in SQLite: by an index each.
import { and, eq, lt, or, type SQL, sql } from 'drizzle-orm';
import { foldCase, type SearchTerm } from '../shared/connection-search.ts';
import { startsWith } from '../shared/filters.ts';
import type { SqliteAccess } from './client.ts';
import { accountName, connections, isActive, isLive } from './schema.ts';

const accountId = sql`(account ->> 'id')`;
const columns = { owner: connections.owner, label: connections.label, accountName };

/** What an index has for a term. */
export const searchRows = (orm: Pick<SqliteAccess['orm'], 'select'>, term: SearchTerm, limit: number) =>
  orm.select({ id: connections.id }).from(connections).where(conditionOf(term)).limit(limit);

function conditionOf(term: SearchTerm): SQL | undefined {
  const { id, integration, nextRefreshAt, reauthDueAt } = connections;
  switch (term.by) {
    case 'id':
      return eq(id, term.text);
    case 'accountId':
      return and(sql`${accountId} = ${term.text}`, isLive);
    case 'refreshDue':
      // Literal, as in the index.
      return and(
        eq(integration, term.integration),
        isActive,
        sql`${nextRefreshAt} is not null`,
        lt(nextRefreshAt, term.before),
      );
    case 'grantEnd':
      return and(isActive, sql`${reauthDueAt} is not null`, lt(reauthDueAt, term.before));
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
