// The conditions of lists, for the tables of any dialect: which index range is read, and which of its rows match.
import { and, type Column, eq, gt, inArray, lt, or, type SQL, sql } from 'drizzle-orm';
import { matches, type Scope } from '../../domain/caller.ts';
import type { ConnectionStatus } from '../../domain/connection.ts';
import type { ConnectionFilter } from '../../ports/index.ts';

export type Columns<Name extends string> = Record<Name, Column | SQL.Aliased>;
export type Value = Column | SQL.Aliased;

/** Equal values by which an index finds connections in the order of their ids. Empty: all of them. */
export type ConnectionRange = Pick<ConnectionFilter, 'integration' | 'owner' | 'status' | 'failing'>;

export const STATUSES: readonly ConnectionStatus[] = ['active', 'needs_reauth', 'on_hold', 'revoked'];
export const LIVE_STATUSES: readonly ConnectionStatus[] = ['active', 'needs_reauth', 'on_hold'];

/** The ranges, merged, have all rows that match the filter; each has an index. `statuses`: those that are wanted. */
export function connectionRanges(
  { integration, owner, status, failing }: ConnectionFilter,
  statuses: readonly ConnectionStatus[] = STATUSES,
): ConnectionRange[] {
  if (owner !== undefined) return [{ owner, integration }];
  if (failing) return [{ failing }];
  if (integration !== undefined)
    return (status === undefined ? statuses : [status]).map((one) => ({ integration, status: one }));
  // Most are active, so that all are read for these; the others have an index.
  return status === undefined || status === 'active' ? [{}] : [{ status }];
}

export const inConnectionRange = (
  connections: Columns<'id' | 'integration' | 'owner' | 'status' | 'failures'>,
  { integration, owner, status, failing }: ConnectionRange,
  after: string | undefined,
): SQL | undefined =>
  and(
    is(connections.integration, integration),
    is(connections.owner, owner),
    is(connections.status, status),
    // A literal: only then is the partial index used.
    status !== undefined && status !== 'active' && integration === undefined
      ? sql`${connections.status} <> 'active'`
      : undefined,
    failing && isFailing(connections),
    after === undefined ? undefined : gt(connections.id as Column, after),
  );

/** Literals, as in the index. */
const isFailing = ({ status, failures }: Columns<'status' | 'failures'>): SQL =>
  sql`${status} = 'active' and ${failures} > 0`;

type MatchedColumns = Columns<
  'integration' | 'owner' | 'status' | 'reason' | 'failures' | 'nextRefreshAt' | 'reauthDueAt'
>;

/** All of a filter but its `text`. */
export const matchesConnection = (
  connections: MatchedColumns,
  { integration, owner, status, reason, failing, refreshDueBefore, grantEndsBefore, within }: ConnectionFilter,
): SQL | undefined =>
  and(
    is(connections.integration, integration),
    is(connections.owner, owner),
    is(connections.status, status),
    is(connections.reason, reason ?? undefined),
    failing && isFailing(connections),
    refreshDueBefore === undefined ? undefined : isBefore(connections, connections.nextRefreshAt, refreshDueBefore),
    grantEndsBefore === undefined ? undefined : isBefore(connections, connections.reauthDueAt, grantEndsBefore),
    within === undefined ? undefined : isWithin(connections, within),
  );

const isBefore = ({ status }: Columns<'status'>, column: Value, ms: number): SQL | undefined =>
  and(sql`${status} = 'active'`, lt(column as Column, ms));

export const is = (column: Value, value: string | undefined) =>
  value === undefined ? undefined : eq(column as Column, value);

/** `matches` of `domain/caller.ts`, in SQL. Without scopes, or without patterns in one, nothing is within. */
export const isWithin = ({ integration, owner }: Columns<'integration' | 'owner'>, scopes: Scope[]) =>
  or(
    sql`false`,
    ...scopes.map((scope) => and(matchesAny(integration, scope.integrations), matchesAny(owner, scope.owners))),
  );

/**
 * Whether what the filter names can be within its scopes. Otherwise nothing is examined: a page that ends after so many rows would
 * tell that there are so many.
 */
export const canBeWithin = ({
  within,
  integration,
  owner,
}: Pick<ConnectionFilter, 'within' | 'integration' | 'owner'>): boolean =>
  within === undefined ||
  within.some((scope) => covers(scope.integrations, integration) && covers(scope.owners, owner));

const covers = (patterns: readonly string[], value: string | undefined): boolean =>
  value === undefined ? patterns.length > 0 : patterns.some((pattern) => matches(pattern, value));

export function matchesAny(column: Value, patterns: string[]): SQL | undefined {
  if (patterns.includes('*')) return sql`true`;
  const exact = patterns.filter((pattern) => !pattern.endsWith('*'));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  return or(inArray(column as Column, exact), ...prefixes.map((prefix) => startsWith(column, prefix)));
}

/** Not LIKE, which gives `%` and `_` a meaning, and ignores case in SQLite. */
export const startsWith = (column: Value | SQL, prefix: string): SQL =>
  sql`substr(${column}, 1, length(cast(${prefix} as text))) = ${prefix}`;
