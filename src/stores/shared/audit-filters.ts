// The conditions of the audit log, for the tables of any dialect: which index range is read, and which of its rows match.
import { and, type Column, gte, inArray, isNull, lt, or, type SQL, sql } from 'drizzle-orm';
import type { StoredAuditEntry } from '../../domain/audit.ts';
import { READ_ACTIONS, textInBatch } from '../../domain/audit-reads.ts';
import { matches, type Scope } from '../../domain/caller.ts';
import { AUDIT_BATCH_SPAN_MS } from '../../domain/time-limits.ts';
import type { AuditFilter } from '../../ports/index.ts';
import { type Columns, is, isWithin, matchesAny, type Value } from './filters.ts';

const AUDIT_FIELDS = ['session', 'connectionId', 'owner', 'actor', 'outcome', 'action', 'integration'] as const;
type AuditColumns = Columns<'id' | 'at' | 'requestId' | 'detail' | (typeof AUDIT_FIELDS)[number]>;
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

/** Whether a text has another one in it: each dialect has a function for that. */
export type Contains = (column: Value, text: string) => SQL;

/** Of a batch of reads: whether it may have one that matches. `isWanted` says which. */
export const matchesEntry = (audit: AuditColumns, filter: AuditFilter, contains: Contains): SQL | undefined =>
  filter.changes
    ? matchesPlainly(audit, filter)
    : or(matchesPlainly(audit, filter), matchesBatch(audit, filter, contains));

const matchesPlainly = (audit: AuditColumns, { from, to, within, changes, ...exact }: AuditFilter): SQL | undefined =>
  and(
    sql`true`,
    changes && isChange(audit),
    ...AUDIT_FIELDS.map((name) => is(audit[name], exact[name])),
    is(audit.requestId, exact.requestId),
    from === undefined ? undefined : gte(audit.at as Column, from),
    to === undefined ? undefined : lt(audit.at as Column, to),
    within === undefined ? undefined : isWithin(audit, within),
  );

const FIELDS_OF_BATCH = ['session', 'actor', 'outcome', 'action', 'integration'] as const;

function matchesBatch(
  audit: AuditColumns,
  { from, to, within, owner, connectionId, requestId, ...exact }: AuditFilter,
  contains: Contains,
): SQL | undefined {
  const has = (value: string | undefined) =>
    value === undefined ? undefined : contains(audit.detail, textInBatch(value));
  const hasOwner = (pattern: string) =>
    pattern.endsWith('*')
      ? contains(audit.detail, textInBatch(pattern.slice(0, -1), true))
      : contains(audit.detail, textInBatch(pattern));
  return and(
    isNull(audit.connectionId as Column),
    sql`${audit.owner} = '*'`,
    inArray(audit.action as Column, [...READ_ACTIONS]),
    ...FIELDS_OF_BATCH.map((name) => is(audit[name], exact[name])),
    from === undefined ? undefined : gte(audit.at as Column, from - AUDIT_BATCH_SPAN_MS),
    to === undefined ? undefined : lt(audit.at as Column, to),
    has(owner),
    has(connectionId),
    has(requestId),
    within &&
      or(
        sql`false`,
        ...within.map(({ integrations, owners }) =>
          and(matchesAny(audit.integration, integrations), or(sql`false`, ...owners.map(hasOwner))),
        ),
      ),
  );
}

/** Whether an entry matches, as SQL says of those that are rows of their own. */
export const isWanted =
  ({ from, to, within, changes, fromId: _, beforeId: __, ...exact }: AuditFilter) =>
  (entry: StoredAuditEntry): boolean =>
    Object.entries(exact).every(
      ([name, value]) => value === undefined || entry[name as keyof typeof exact] === value,
    ) &&
    (from === undefined || entry.at >= from) &&
    (to === undefined || entry.at < to) &&
    !(changes && (READ_ACTIONS as readonly string[]).includes(entry.action)) &&
    (within === undefined || within.some((scope) => isInScope(scope, entry)));

const isInScope = ({ integrations, owners }: Scope, { integration, owner }: StoredAuditEntry): boolean =>
  matchesOne(integrations, integration) && matchesOne(owners, owner);

/** As in SQL, `*` matches also what is of none. */
const matchesOne = (patterns: string[], value: string | null): boolean =>
  patterns.some((pattern) => pattern === '*' || (value !== null && matches(pattern, value)));
