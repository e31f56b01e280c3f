// Leases and refreshes: what both stores decide and write, for the tables of any dialect.
// `fence` is the fencing token. How long a lease lasts: `LEASE_MS` in domain/time-limits.ts, applied in lease-observer.ts.
import { type Column, eq, isNull, type SQL, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Connection, EncryptedCredentials } from '../../domain/connection.ts';
import type { ReauthReason } from '../../domain/errors.ts';
import { CLOCK_SKEW_MAX_MS } from '../../domain/time-limits.ts';
import type { Claim, Claimed, ExpiredFailures, HeldLease, RefreshedFields, RefreshFailure } from '../../ports/index.ts';
import { placeholdersFor } from './placeholders.ts';

/** A row of `leases`. `holder` is null when released; `attempt` and `startedAt`, the intent, when it is resolved. */
export interface Lease {
  fence: number;
  holder: string | null;
  attempt: string | null;
  startedAt: number | null;
}

/** The fence of the next claim, and the intent that it inherits. */
export function nextClaim(
  lease: Lease | null | undefined,
  unsent?: Claim['unsent'],
): Pick<Claimed, 'fence' | 'unresolved'> {
  const attempt = lease?.attempt ?? null;
  const startedAt = lease?.startedAt ?? null;
  const intent = attempt === null || startedAt === null ? null : { attempt, startedAt };
  return {
    fence: (lease?.fence ?? 0) + 1,
    unresolved: unsent !== undefined && unsent.fence === lease?.fence ? unsent.unresolved : intent,
  };
}

/**
 * How an answer is committed: `release`: the lease and the intent are released; `keep_newer`: a newer claim is under way,
 * which keeps its lease, but its intent is of the generation that this answer replaces. Otherwise it is not committed.
 */
export function commitMode(
  held: HeldLease,
  connection: { status: string; generation: number; issuedAt: number } | undefined,
  lease: Omit<Lease, 'startedAt'> | undefined,
): 'release' | 'keep_newer' | 'superseded' | 'gone' {
  if (!connection || connection.status === 'revoked') return 'gone';
  if (isAfterLateAnswer(held, connection, lease)) return 'release';
  if (connection.generation !== held.generation) return 'superseded';
  // After a failover that lost commits, generations and fences count again that there were already.
  if (connection.issuedAt !== (held.issuedAt ?? connection.issuedAt)) return 'superseded';
  if (lease?.fence === held.fence) return 'release';
  return lease && lease.holder !== null ? 'keep_newer' : 'release';
}

/** The answer of the newest claim, which changes tokens and their times only, of a connection without failures. */
export const isRoutine = (
  held: HeldLease,
  { status, generation, failures }: { status: string; generation: number; failures: number },
  lease: { fence: number } | undefined,
): boolean =>
  held.isRoutine === true &&
  status === 'active' &&
  failures === 0 &&
  generation === held.generation &&
  lease?.fence === held.fence;

/** An older claim has brought a late answer under this one (`keep_newer`), and nothing else has happened since. */
export const isAfterLateAnswer = (
  held: HeldLease,
  { generation }: { generation: number },
  lease: Omit<Lease, 'startedAt'> | undefined,
): boolean =>
  lease !== undefined &&
  lease.fence === held.fence &&
  lease.holder !== null &&
  lease.attempt === null &&
  generation === held.generation + 1;

/** Undefined when the failure of this claim may be recorded: no other claim and no other credentials came after it. */
export function whyNotHeld(
  held: HeldLease,
  connection: { status: string; generation: number } | undefined,
  lease: { fence: number } | undefined,
): 'gone' | 'superseded' | undefined {
  if (!connection || connection.status === 'revoked') return 'gone';
  return lease?.fence === held.fence && connection.generation === held.generation ? undefined : 'superseded';
}

type Standing = Pick<Connection, 'status' | 'reason'>;

/** Ends of a grant that are no verdict on its refresh token: its provider, or a check, has said so. */
const ENDED_OTHERWISE: readonly Connection['reason'][] = [
  'deauthorized',
  'identity_changed',
  'authorization_server_changed',
] satisfies ReauthReason[];

/** Stopped by another word than that of a refresh, which neither lifts that nor gives another reason for it. */
const isStopped = ({ status, reason }: Standing): boolean =>
  status === 'on_hold' || (reason !== null && ENDED_OTHERWISE.includes(reason));

/** A connection that an answer reactivates is due at once: whether its grant lives is not certain. One that is stopped is not due. */
export const committedFields = (change: RefreshedFields, before: Standing): RefreshedFields =>
  before.status === 'active' ? change : { ...change, nextRefreshAt: isStopped(before) ? null : change.updatedAt };

/** What a committed answer makes of any live connection. */
export function statusAfterCommit({ status, reason }: Record<'status' | 'reason', Column>) {
  const ended = sql.raw(ENDED_OTHERWISE.map((one) => `'${one}'`).join(', '));
  const isKept = sql`(${status} = 'on_hold' or ${reason} in (${ended}))`;
  return {
    status: sql`case when ${isKept} then ${status} else 'active' end`,
    reason: sql`case when ${isKept} then ${reason} end`,
  };
}

/** What a committed answer is to the caller: `held`: its token is not served. */
export const committedAs = (before: Standing): 'committed' | 'held' => (isStopped(before) ? 'held' : 'committed');

/** A grant that had been found dead is not only refreshed: those that were told of its end are told of this. */
export const commitEntry = (audit: AuditEntry, before: Standing): AuditEntry =>
  before.status === 'needs_reauth' && !isStopped(before)
    ? { ...audit, action: 'connection.reactivated', detail: 'late_answer' }
    : audit;

const REFRESHED = [
  'scopes',
  'tokenType',
  'issuedAt',
  'expiresAt',
  'nextRefreshAt',
  'reauthDueAt',
  'lastRefreshedAt',
  'captured',
  'identity',
  'account',
  'updatedAt',
] as const satisfies (keyof RefreshedFields)[];

const TIMES = [
  'issuedAt',
  'expiresAt',
  'nextRefreshAt',
  'reauthDueAt',
  'lastRefreshedAt',
  'updatedAt',
] as const satisfies (typeof REFRESHED)[number][];

/** What a routine refresh sets on a connection without failures. */
export const routineColumns = (connections: Record<(typeof TIMES)[number] | 'generation', Column>) => ({
  generation: sql`${connections.generation} + 1`,
  ...placeholdersFor<(typeof TIMES)[number]>(connections, TIMES),
});

/** What a committed refresh sets on the connection, with a placeholder for each of `RefreshedFields`. */
export const refreshedColumns = (
  connections: Record<keyof RefreshedFields | 'generation', Column>,
): Record<keyof RefreshedFields | 'generation', SQL> & { reason: null; failures: 0; lastRefreshError: null } => ({
  reason: null,
  failures: 0,
  lastRefreshError: null,
  generation: sql`${connections.generation} + 1`,
  ...placeholdersFor<keyof RefreshedFields>(connections, REFRESHED),
});

const CREDENTIALS = [
  'accessToken',
  'refreshToken',
  'idToken',
  'credentials',
] as const satisfies (keyof EncryptedCredentials)[];

export const credentialColumns = (grants: Record<keyof EncryptedCredentials, Column>) =>
  placeholdersFor<keyof EncryptedCredentials>(grants, CREDENTIALS);

/** What a failed refresh sets on the connection. */
export const failureOf = (
  connections: Record<'failures', Column>,
  { reason, error, nextRefreshAt, updatedAt = error.at }: RefreshFailure,
  before: Standing,
) => ({
  ...(reason !== null && !isStopped(before) && { status: 'needs_reauth' as const, reason }),
  lastRefreshError: error,
  nextRefreshAt: isStopped(before) ? null : nextRefreshAt,
  failures: sql`${connections.failures} + 1`,
  updatedAt,
});

/** What a recorded failure is to the caller: `kept`: it has not made the connection what it is. */
export const recordedAs = (before: Standing): 'recorded' | 'kept' => (isStopped(before) ? 'kept' : 'recorded');

/** A grant that is refused while the account is suspended is not known to be dead, and one that has ended ends once. */
export const failureEntry = (audit: AuditEntry, before: Standing): AuditEntry =>
  isStopped(before) ? { ...audit, action: 'connection.refresh_failed' } : audit;

type Failed = Pick<Connection, 'id' | 'integration' | 'nextRefreshAt' | 'lastRefreshError'>;

/** Those of the failed connections that are to be retried now, and what that changes. */
export function retriesOf(failed: readonly Failed[], expired: readonly ExpiredFailures[], now: number) {
  const failedBy = new Map(expired.map((one) => [one.integration, one.failedBy]));
  return failed.flatMap(({ id, integration, nextRefreshAt, lastRefreshError: error }) => {
    const isOfFuture = error !== null && error.at > now + CLOCK_SKEW_MAX_MS;
    const isExpired =
      isOfFuture || (error !== null && error.at <= (failedBy.get(integration) ?? Number.NEGATIVE_INFINITY));
    if (!isExpired || nextRefreshAt === null || nextRefreshAt <= now) return [];
    return [{ id, change: { nextRefreshAt: now, lastRefreshError: { ...error, retryAt: null } } }];
  });
}

/** For `lastRefreshAt`: of how many connections. */
export const LATEST = 200;

export const hasReasonOf =
  (connections: Record<'reason', Column>) =>
  (reason: Connection['reason']): SQL =>
    reason === null ? isNull(connections.reason) : eq(connections.reason, reason);

export const credentialColumnsOf = <C extends Column>(grants: Record<keyof EncryptedCredentials, C>) => ({
  accessToken: grants.accessToken,
  refreshToken: grants.refreshToken,
  idToken: grants.idToken,
  credentials: grants.credentials,
});

export const RELEASED = { holder: null } as const;
/** Of a claim that is under way: its holder stays. */
export const WITHOUT_INTENT = { attempt: null, startedAt: null } as const;
export const RESOLVED = { ...RELEASED, ...WITHOUT_INTENT } as const;
/**
 * Of a claim that is given back, and had put the connection off. Not earlier than the claim: a process does not look again at
 * what was due before the place it has come to. Null stays null: what is not active is never due.
 */
export function dueAsBefore({ dueAt, startedAt }: Record<'dueAt' | 'startedAt', Column>): SQL {
  const before = sql`(select case when next_refresh_at > ${startedAt} then next_refresh_at else ${startedAt} end
    from connections where id = connection_id and status = 'active')`;
  return sql`case when ${dueAt} > ${before} then ${before} else ${dueAt} end`;
}
/**
 * A refresh in flight holds the old fence: its answer is superseded. `keepsToken`: the refresh token stays, and with it that it may
 * have been spent.
 */
export const fencedOff = (leases: Record<'fence', Column>, keepsToken: boolean) => ({
  ...(keepsToken ? RELEASED : RESOLVED),
  fence: sql`${leases.fence} + 1`,
});

/** The times beside the lease of an active connection, as the triggers of `connections` write them. */
export const timesAfter = ({ nextRefreshAt, reauthDueAt }: RefreshedFields) => ({
  dueAt: nextRefreshAt,
  endsAt: reauthDueAt,
});
