// Leases, intents and refreshed credentials in SQLite: one process at a time refreshes a connection, and commits the answer.
import { and, asc, desc, eq, getTableColumns, gt, gte, isNotNull, max, sql } from 'drizzle-orm';
import type { Connection, EncryptedCredentials } from '../../domain/connection.ts';
import { CLAIMED_DUE_AGAIN_MS, SEND_AFTER_CLAIM_MS } from '../../domain/time-limits.ts';
import type { RefreshStore } from '../../ports/index.ts';
import type { Instants } from '../shared/instants.ts';
import { createLeaseObserver } from '../shared/lease-observer.ts';
import {
  commitEntry,
  commitMode,
  committedAs,
  committedFields,
  credentialColumns,
  dueAsBefore,
  failureEntry,
  failureOf,
  hasReasonOf,
  isAfterLateAnswer,
  isRoutine,
  LATEST,
  type Lease,
  nextClaim,
  RELEASED,
  RESOLVED,
  recordedAs,
  refreshedColumns,
  retriesOf,
  routineColumns,
  statusAfterCommit,
  timesAfter,
  WITHOUT_INTENT,
  whyNotHeld,
} from '../shared/leases.ts';

import { placeholderFor, placeholdersFor } from '../shared/placeholders.ts';
import { refreshCapturedValues, replaceTokenDigests } from './captured-values.ts';
import type { SqliteAccess } from './client.ts';
import { CONNECTION_COLUMNS, type ConnectionRow, connectionOf } from './connection-rows.ts';
import { createDueConnections } from './due-connections.ts';
import type { Liveness } from './liveness.ts';
import { prepared, runner } from './prepared-queries.ts';
import { connections, grants, isActive, isDead, leases } from './schema.ts';

/** The head of a partial index, and a row each. */
export const recentlyDead = (orm: SqliteAccess['orm']) =>
  orm
    .select(getTableColumns(connections))
    .from(leases)
    .innerJoin(connections, eq(connections.id, leases.connectionId))
    .where(
      and(
        eq(leases.integration, sql.placeholder('integration')),
        sql`dead_at is not null`,
        gte(leases.deadAt, sql.placeholder('since')),
        isDead,
      ),
    )
    .orderBy(desc(leases.deadAt))
    .limit(sql.placeholder('limit'));

/** Of the connections that are due last, at the other end of the index. */
export const lastRefreshAt = (orm: SqliteAccess['orm']) => {
  const latest = orm
    .select({ id: leases.connectionId })
    .from(leases)
    .where(and(eq(leases.integration, sql.placeholder('integration')), sql`due_at is not null`))
    .orderBy(desc(leases.dueAt))
    .limit(LATEST)
    .as('latest');
  return orm
    .select({ at: max(connections.lastRefreshedAt) })
    .from(latest)
    .innerJoin(connections, eq(connections.id, latest.id));
};

/** A page of an index of those that have failed. */
const failing = (orm: SqliteAccess['orm']) =>
  orm
    .select({
      id: connections.id,
      integration: connections.integration,
      nextRefreshAt: connections.nextRefreshAt,
      lastRefreshError: connections.lastRefreshError,
    })
    .from(connections)
    .where(and(isActive, gt(connections.failures, sql.raw('0')), gt(connections.id, sql.placeholder('after'))))
    .orderBy(asc(connections.id))
    .limit(sql.placeholder('limit'));

export function createRefreshStore(
  access: SqliteAccess,
  liveness: Liveness,
  instants: Instants,
): Omit<RefreshStore, 'countDue'> {
  const { orm, read, write, writePatiently, record, recordKnown } = access;
  const observer = createLeaseObserver();
  /** Another process holds the lease, is alive, and has not held it for too long. */
  const isBusy = (id: string, lease: { holder: string | null; fence: number }, monotonic: number): boolean =>
    lease.holder !== null &&
    lease.holder !== liveness.holder &&
    liveness.isAlive(lease.holder) &&
    !observer.hasExpired(id, lease.fence, monotonic);

  const hasReason = hasReasonOf(connections);
  const connectionId = sql.placeholder('id');
  const ofLease = eq(leases.connectionId, connectionId);
  // Point reads, not a join: with one, better-sqlite3 takes three times as long for the same rows. Without the query builder,
  // whose mapping takes as long as SQLite does.
  const active = orm.$client.prepare<[string], ConnectionRow>(
    `select ${CONNECTION_COLUMNS} from connections where id = ? and status = 'active'`,
  );
  const credentialsOf = orm.$client.prepare<[string], EncryptedCredentials>(
    `select access_token as "accessToken", refresh_token as "refreshToken", id_token as "idToken", credentials
     from grants where connection_id = ?`,
  );
  const leaseOf = orm.$client.prepare<[string], Lease>(
    'select fence, holder, attempt, started_at as "startedAt" from leases where connection_id = ?',
  );
  const versionOf = orm.$client.prepare<
    [string],
    Pick<Connection, 'integration' | 'status' | 'reason' | 'generation' | 'issuedAt' | 'failures'>
  >('select integration, status, reason, generation, issued_at as "issuedAt", failures from connections where id = ?');
  const unresolved = prepared(() =>
    orm
      .select({ id: leases.connectionId, holder: leases.holder, startedAt: sql<number>`${leases.startedAt}` })
      .from(leases)
      .where(isNotNull(leases.attempt))
      .orderBy(asc(leases.startedAt)),
  );
  const dead = prepared(() => recentlyDead(orm));
  const refreshedLast = prepared(() => lastRefreshAt(orm));
  const failed = prepared(() => failing(orm));

  const run = {
    claim: runner(orm, () =>
      orm
        .update(leases)
        .set({
          fence: sql`${sql.placeholder('fence')}`,
          holder: sql`${sql.placeholder('holder')}`,
          attempt: sql`${sql.placeholder('attempt')}`,
          startedAt: sql`${sql.placeholder('startedAt')}`,
          dueAt: sql`max(${leases.dueAt}, ${sql.placeholder('dueAgain')})`,
        })
        .where(ofLease),
    ),
    /** Of one that has lost it. */
    addLease: runner(orm, () =>
      orm.insert(leases).values({
        connectionId,
        fence: sql.placeholder('fence'),
        integration: sql.placeholder('integration'),
        dueAt: placeholderFor(leases.dueAt, 'nextRefreshAt'),
        endsAt: placeholderFor(leases.endsAt, 'reauthDueAt'),
      }),
    ),
    release: runner(orm, () => orm.update(leases).set(RELEASED).where(ofLease)),
    resolve: runner(orm, () => orm.update(leases).set(RESOLVED).where(ofLease)),
    resolveUntil: runner(orm, () =>
      orm
        .update(leases)
        .set({ ...RESOLVED, ...placeholdersFor(leases, ['dueAt', 'endsAt']) })
        .where(ofLease),
    ),
    /** Columns that do not change are not written: SQLite would write their indexes too. */
    refreshTimes: runner(orm, () =>
      orm.update(connections).set(routineColumns(connections)).where(eq(connections.id, connectionId)),
    ),
    /** Of an active connection only: writing its status would touch three indexes for nothing. */
    refreshConnection: runner(orm, () =>
      orm.update(connections).set(refreshedColumns(connections)).where(eq(connections.id, connectionId)),
    ),
    /** Of any other. */
    refreshLate: runner(orm, () =>
      orm
        .update(connections)
        .set({ ...refreshedColumns(connections), ...statusAfterCommit(connections) })
        .where(eq(connections.id, connectionId)),
    ),
    dropIntent: runner(orm, () => orm.update(leases).set(WITHOUT_INTENT).where(ofLease)),
    giveBack: runner(orm, () =>
      orm
        .update(leases)
        .set({
          holder: null,
          attempt: sql`iif(${leases.attempt} is null, null, ${sql.placeholder('attempt')})`,
          startedAt: sql`iif(${leases.attempt} is null, null, ${sql.placeholder('startedAt')})`,
          dueAt: dueAsBefore(leases),
        })
        .where(and(ofLease, eq(leases.fence, sql.placeholder('fence')))),
    ),
    replaceCredentials: runner(orm, () =>
      orm.update(grants).set(credentialColumns(grants)).where(eq(grants.connectionId, connectionId)),
    ),
  };

  const versionAndLease = (id: string) => ({ connection: versionOf.get(id), lease: leaseOf.get(id) });

  return {
    // The operating system says it; and what they have left is beside the database, where each later claim looks.
    reportEnded: async () => undefined,

    claim: (id, { attempt, generation, now, monotonic, unsent }) =>
      write(() => {
        const begun = instants.now();
        const row = active.get(id);
        if (!row || row.generation > generation) return 'gone';
        const lease = leaseOf.get(id);
        if (lease && isBusy(id, lease, monotonic)) return 'busy';
        const { fence, unresolved } = nextClaim(lease, unsent);
        const { integration, nextRefreshAt, reauthDueAt } = row;
        const intent = { fence, holder: liveness.holder, attempt, startedAt: unresolved?.startedAt ?? now };
        const dueAgain = now + CLAIMED_DUE_AGAIN_MS;
        if (!lease) run.addLease({ id, fence, integration, nextRefreshAt, reauthDueAt });
        run.claim({ id, ...intent, dueAgain });
        const isStillHeld = () => instants.elapsedSince(begun) < SEND_AFTER_CLAIM_MS;
        return {
          connection: connectionOf(row),
          credentials: credentialsOf.get(id)!,
          fence,
          unresolved,
          isStillHeld,
        };
      }),

    releaseUnsent: (id, { fence, unresolved }) =>
      write(() => {
        const { attempt = null, startedAt = null } = unresolved ?? {};
        run.giveBack({ id, fence, attempt, startedAt });
      }),

    commitRefresh: (id, held, change, credentials, audit, recorded = 'all') =>
      writePatiently(() => {
        const { connection, lease } = versionAndLease(id);
        const mode = commitMode(held, connection, lease);
        if (mode === 'gone' || mode === 'superseded') return mode;
        const before = connection!;
        const wasActive = before.status === 'active';
        const routine = isRoutine(held, before, lease);
        // Before the connection: then its trigger finds the times as they are to be.
        if (mode !== 'release') run.dropIntent({ id });
        else if (wasActive) run.resolveUntil({ id, ...timesAfter(change) });
        else run.resolve({ id });
        if (routine) run.refreshTimes({ ...change, id });
        else if (wasActive) run.refreshConnection({ ...change, id });
        else run.refreshLate({ ...committedFields(change, before), id });
        run.replaceCredentials({ ...credentials, id });
        if (!held.keepsValues || before.generation !== held.generation) refreshCapturedValues(orm, id);
        replaceTokenDigests(orm, { id, integration: before.integration }, credentials.tokenDigests);
        const made = { kind: 'connection', id, generation: before.generation + 1 } as const;
        if (routine && recorded === 'changes') recordKnown(made);
        else record(commitEntry(audit(), before), made);
        return committedAs(before);
      }),

    recordRefreshFailure: (id, held, failure, audit) =>
      writePatiently(() => {
        const { connection, lease } = versionAndLease(id);
        const refusal = whyNotHeld(held, connection, lease);
        if (refusal) {
          if (connection && isAfterLateAnswer(held, connection, lease)) run.resolve({ id });
          return refusal;
        }
        orm
          .update(connections)
          .set(failureOf(connections, failure, connection!))
          .where(eq(connections.id, id))
          .run();
        (failure.resolved ? run.resolve : run.release)({ id });
        record(failureEntry(audit, connection!), { kind: 'connection', id, generation: held.generation });
        return recordedAs(connection!);
      }),

    recentlyDead: (integration, since, limit) => read(() => dead.all({ integration, since, limit })),
    reactivate: (id, { generation, reason }, nextRefreshAt, audit) =>
      write(() => {
        const expected = and(eq(connections.id, id), isDead, eq(connections.generation, generation), hasReason(reason));
        const change = { status: 'active' as const, reason: null, nextRefreshAt };
        if (orm.update(connections).set(change).where(expected).run().changes === 0) return 'changed';
        record(audit, { kind: 'connection', id, generation });
        return 'reactivated';
      }),
    lastRefreshAt: (integration) => read(() => refreshedLast.get({ integration })?.at ?? null),
    ...createDueConnections(access, liveness),
    retryFailed: (expired, now, { limit, after = '' }) =>
      write(() => {
        const examined = failed.all({ after, limit });
        const retries = retriesOf(examined, expired, now);
        for (const { id, change } of retries) orm.update(connections).set(change).where(eq(connections.id, id)).run();
        return { retried: retries.length, next: examined.length < limit ? null : examined.at(-1)!.id };
      }),
    unresolvedRefreshes: () =>
      read(() =>
        unresolved
          .all()
          .filter(({ holder }) => holder === null || (holder !== liveness.holder && !liveness.isAlive(holder)))
          .map(({ id, startedAt }) => ({ id, startedAt })),
      ),
  };
}
