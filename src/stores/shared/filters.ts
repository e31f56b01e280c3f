// The conditions of lists, for the tables of any dialect.
import { and, type Column, eq, gt, gte, inArray, lt, or, type SQL, sql } from 'drizzle-orm';
import type { Scope } from '../../domain/caller.ts';
import type { AuditFilter, ConnectionFilter } from '../../ports/index.ts';

type Columns<Name extends string> = Record<Name, Column>;

export const matchesConnection = (
  connections: Columns<'id' | 'integration' | 'owner' | 'status'>,
  { integration, owner, status, within }: ConnectionFilter,
  after?: string,
): SQL | undefined =>
  and(
    is(connections.integration, integration),
    is(connections.owner, owner),
    is(connections.status, status),
    within === undefined ? undefined : isWithin(connections, within),
    after === undefined ? undefined : gt(connections.id, after),
  );

/** Newest first: the next page has lower ids. */
export const matchesEntry = (
  audit: Columns<'id' | 'at' | Exclude<keyof AuditFilter, 'from' | 'to'>>,
  { from, to, ...exact }: AuditFilter,
  after?: string,
): SQL | undefined =>
  and(
    is(audit.integration, exact.integration),
    is(audit.owner, exact.owner),
    is(audit.connectionId, exact.connectionId),
    is(audit.actor, exact.actor),
    is(audit.action, exact.action),
    is(audit.outcome, exact.outcome),
    from === undefined ? undefined : gte(audit.at, from),
    to === undefined ? undefined : lt(audit.at, to),
    after === undefined ? undefined : lt(audit.id, after),
  );

const is = (column: Column, value: string | undefined) => (value === undefined ? undefined : eq(column, value));

/** `matches` of `domain/caller.ts`, in SQL. Without scopes, or without patterns in one, nothing is within. */
const isWithin = ({ integration, owner }: Columns<'integration' | 'owner'>, scopes: Scope[]) =>
  or(
    sql`false`,
    ...scopes.map((scope) => and(matchesAny(integration, scope.integrations), matchesAny(owner, scope.owners))),
  );

function matchesAny(column: Column, patterns: string[]): SQL | undefined {
  const exact = patterns.filter((pattern) => !pattern.endsWith('*'));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  return or(inArray(column, exact), ...prefixes.map((prefix) => startsWith(column, prefix)));
}

/** Not LIKE, which gives `%` and `_` a meaning, and ignores case in SQLite. */
export const startsWith = (column: Column, prefix: string): SQL =>
  sql`substr(${column}, 1, length(cast(${prefix} as text))) = ${prefix}`;
