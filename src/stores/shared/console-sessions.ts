// Which sessions of the browser console end, for both databases.
import { and, type Column, eq, isNull, or, type SQL, sql } from 'drizzle-orm';
import type { EndedConsoleSessions } from '../../ports/index.ts';

/** None, if nothing is named. */
export function isEnded(
  table: Record<keyof EndedConsoleSessions, Column>,
  { id, issuer, subject, providerSession }: EndedConsoleSessions,
): SQL | undefined {
  const is = (column: Column, value: string | undefined) => (value === undefined ? undefined : eq(column, value));
  const sameSession = is(table.providerSession, providerSession);
  const matching = and(
    is(table.id, id),
    is(table.issuer, issuer),
    is(table.subject, subject),
    sameSession && subject !== undefined ? or(sameSession, isNull(table.providerSession)) : sameSession,
  );
  return matching ?? sql`false`;
}
