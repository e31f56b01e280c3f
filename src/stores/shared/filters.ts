// The conditions of lists, for the tables of any dialect: which index range is read, and which of its rows match.
import { and, type Column, eq, gt, gte, inArray, lt, or, type SQL, sql } from 'drizzle-orm';
import type { Scope } from '../../domain/caller.ts';
import type { ConnectionStatus } from '../../domain/connection.ts';
import type { AuditFilter, ConnectionFilter } from '../../ports/index.ts';

type Columns<Name extends string> = Record<Name, Column | SQL.Aliased>;
type Value = Column | SQL.Aliased;

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

const AUDIT_FIELDS = ['session', 'connectionId', 'owner', 'actor', 'outcome', 'action', 'integration'] as const;
type AuditColumns = Columns<'id' | 'at' | 'requestId' | (typeof AUDIT_FIELDS)[number]>;
/** The value by which an index finds audit entries in the order of their ids; undefined: all of them. */
export type AuditRange = (typeof AUDIT_FIELDS)[number] | undefined;

/**
 * The range to read: of those that the filter names, the one whose entries are the fewest, or lie the furthest apart.
 * `lastOf`: the id of the last one that a step along the range would examine; undefined: it has no more.
 */
export async function sparsestAuditRange(
  filter: AuditFilter,
  lastOf: (range: AuditRange) => Promise<string | undefined>,
): Promise<AuditRange> {
  // Almost all entries have the outcome `ok`, which no index finds.
  const named = AUDIT_FIELDS.filter((name) => filter[name] !== undefined && filter[name] !== 'ok');
  if (named.length < 2) return named[0];
  let sparsest: { range: AuditRange; last: string } | undefined;
  for (const range of named) {
    const last = await lastOf(range);
    if (last === undefined) return range;
    if (!sparsest || last < sparsest.last) sparsest = { range, last };
  }
  return sparsest?.range;
}

/** Newest first: the next step has lower ids. */
export function inAuditRange(
  audit: AuditColumns,
  by: AuditRange,
  filter: AuditFilter,
  after: string | undefined,
): SQL | undefined {
  return and(
    by && is(audit[by], filter[by]),
    by === 'outcome' ? sql`${audit.outcome} <> 'ok'` : undefined,
    filter.changes && isChange(audit),
    filter.fromId === undefined ? undefined : gte(audit.id as Column, filter.fromId),
    filter.beforeId === undefined ? undefined : lt(audit.id as Column, filter.beforeId),
    after === undefined ? undefined : lt(audit.id as Column, after),
  );
}

/** Literals, as in the index of changes of a connection. */
const isChange = ({ action }: Columns<'action'>): SQL =>
  sql`${action} not in ('token.read', 'proxy.called', 'connection.read')`;

export const matchesEntry = (
  audit: AuditColumns,
  { from, to, within, changes, ...exact }: AuditFilter,
): SQL | undefined =>
  and(
    changes && isChange(audit),
    ...AUDIT_FIELDS.map((name) => is(audit[name], exact[name])),
    is(audit.requestId, exact.requestId),
    from === undefined ? undefined : gte(audit.at as Column, from),
    to === undefined ? undefined : lt(audit.at as Column, to),
    within === undefined ? undefined : isWithin(audit, within),
  );

const is = (column: Value, value: string | undefined) =>
  value === undefined ? undefined : eq(column as Column, value);

/** `matches` of `domain/caller.ts`, in SQL. Without scopes, or without patterns in one, nothing is within. */
export const isWithin = ({ integration, owner }: Columns<'integration' | 'owner'>, scopes: Scope[]) =>
  or(
    sql`false`,
    ...scopes.map((scope) => and(matchesAny(integration, scope.integrations), matchesAny(owner, scope.owners))),
  );

function matchesAny(column: Value, patterns: string[]): SQL | undefined {
  if (patterns.includes('*')) return sql`true`;
  const exact = patterns.filter((pattern) => !pattern.endsWith('*'));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  return or(inArray(column as Column, exact), ...prefixes.map((prefix) => startsWith(column, prefix)));
}

/** Not LIKE, which gives `%` and `_` a meaning, and ignores case in SQLite. */
export const startsWith = (column: Value | SQL, prefix: string): SQL =>
  sql`substr(${column}, 1, length(cast(${prefix} as text))) = ${prefix}`;
