// Leases, intents and refreshed credentials in SQLite: one process at a time refreshes a connection, and commits the answer.
import { and, asc, desc, eq, getTableColumns, gt, gte, isNotNull, lte, max, sql } from 'drizzle-orm';
import { SEND_AFTER_CLAIM_MS } from '../../domain/time-limits.ts';
import type { RefreshStore } from '../../ports/index.ts';
import type { Instants } from '../shared/instants.ts';
import { createLeaseObserver } from '../shared/lease-observer.ts';
import {
  CLAIM_REPLACES,
  commitEntry,
  commitMode,
  committedAs,
  committedFields,
  credentialColumns,
  failureEntry,
  failureOf,
  hasReasonOf,
  isAfterLateAnswer,
  LATEST,
  nextClaim,
  RELEASED,
  RESOLVED,
  refreshedColumns,
  retriesOf,
  routineColumns,
  statusAfterCommit,
  WITHOUT_INTENT,
  whyNotHeld,
} from '../shared/leases.ts';

import { placeholderFor } from '../shared/placeholders.ts';
import { refreshCapturedValues, replaceTokenDigests } from './captured-values.ts';
import type { SqliteAccess } from './client.ts';
import { CONNECTION_COLUMNS, type ConnectionRow, connectionOf } from './connection-rows.ts';
import type { Liveness } from './liveness.ts';
import { prepared, runner } from './prepared-queries.ts';
import { connections, grants, isActive, isDead, leases } from './schema.ts';

/** A loose index scan: two index steps for each integration, however many connections it has. */
export const dueIntegrations = (now: number) => sql`
  with recursive at(id) as (
    select min(integration) from connections where status = 'active' and next_refresh_at is not null
    union all
    select (select min(integration) from connections
      where status = 'active' and next_refresh_at is not null and integration > at.id)
    from at where at.id is not null
  ), due as (
    select id as integration, (select min(next_refresh_at) from connections
      where status = 'active' and next_refresh_at is not null and integration = at.id) as "dueAt"
    from at where id is not null
  )
  select integration, "dueAt" from due where "dueAt" <= ${now} order by "dueAt"`;

/** The due connections of an integration, the oldest first: the head of a partial, covering index. */
export const dueConnections = (orm: SqliteAccess['orm']) =>
  orm
    .select({ id: connections.id })
    .from(connections)
    .where(
      and(
        isActive,
        eq(connections.integration, sql.placeholder('integration')),
        lte(connections.nextRefreshAt, sql.placeholder('now')),
      ),
    )
    .orderBy(asc(connections.nextRefreshAt))
    .limit(sql.placeholder('limit'));

/** The head of a partial index. */
export const recentlyDead = (orm: SqliteAccess['orm']) =>
  orm
    .select()
    .from(connections)
    .where(
      and(
        isDead,
        eq(connections.integration, sql.placeholder('integration')),
        gte(connections.updatedAt, sql.placeholder('since')),
      ),
    )
    .orderBy(desc(connections.updatedAt))
    .limit(sql.placeholder('limit'));

/** Of the connections that are due last, at the other end of the index. */
export const lastRefreshAt = (orm: SqliteAccess['orm']) => {
  const latest = orm
    .select({ at: connections.lastRefreshedAt })
    .from(connections)
    .where(
      and(isActive, isNotNull(connections.nextRefreshAt), eq(connections.integration, sql.placeholder('integration'))),
    )
    .orderBy(desc(connections.nextRefreshAt))
    .limit(LATEST)
    .as('latest');
  return orm.select({ at: max(latest.at) }).from(latest);
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
  { orm, read, write, record }: SqliteAccess,
  liveness: Liveness,
  instants: Instants,
): Omit<RefreshStore, 'countDue'> {
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
  const { connectionId: _, ...secrets } = getTableColumns(grants);
  const { status, generation, issuedAt } = getTableColumns(connections);
  const versions = { status, generation, issuedAt };
  // Point reads, not a join: with one, better-sqlite3 takes three times as long for the same rows.
  const active = orm.$client.prepare<[string], ConnectionRow>(
    `select ${CONNECTION_COLUMNS} from connections where id = ? and status = 'active'`,
  );
  const credentialsOf = prepared(() => orm.select(secrets).from(grants).where(eq(grants.connectionId, connectionId)));
  const leaseOf = prepared(() => orm.select().from(leases).where(ofLease));
  const versionOf = prepared(() => orm.select(versions).from(connections).where(eq(connections.id, connectionId)));
  const unresolved = prepared(() =>
    orm
      .select({ id: leases.connectionId, holder: leases.holder, startedAt: sql<number>`${leases.startedAt}` })
      .from(leases)
      .where(isNotNull(leases.attempt))
      .orderBy(asc(leases.startedAt)),
  );
  const due = prepared(() => dueConnections(orm));
  const dead = prepared(() => recentlyDead(orm));
  const refreshedLast = prepared(() => lastRefreshAt(orm));
  const failed = prepared(() => failing(orm));

  const run = {
    claim: runner(orm, () =>
      orm
        .insert(leases)
        .values({
          connectionId,
          fence: sql.placeholder('fence'),
          holder: sql.placeholder('holder'),
          attempt: sql.placeholder('attempt'),
          startedAt: sql.placeholder('startedAt'),
        })
        .onConflictDoUpdate({ target: leases.connectionId, set: CLAIM_REPLACES }),
    ),
    release: runner(orm, () => orm.update(leases).set(RELEASED).where(ofLease)),
    resolve: runner(orm, () => orm.update(leases).set(RESOLVED).where(ofLease)),
    /** Columns that do not change are not written: SQLite would write their indexes too. */
    refreshTimes: runner(orm, () =>
      orm
        .update(connections)
        .set(routineColumns(connections))
        .where(
          and(
            eq(connections.id, connectionId),
            isActive,
            eq(connections.failures, 0),
            eq(connections.generation, sql.placeholder('generation')),
            sql`${sql.placeholder('fence')} = (select fence from leases where connection_id = connections.id)`,
          ),
        ),
    ),
    /** Of an active connection only: writing its status would touch three indexes for nothing. */
    refreshConnection: runner(orm, () =>
      orm
        .update(connections)
        .set(refreshedColumns(connections))
        .where(
          and(
            eq(connections.id, connectionId),
            isActive,
            eq(connections.generation, sql.placeholder('generation')),
            sql`${sql.placeholder('fence')} = (select fence from leases where connection_id = connections.id)`,
          ),
        ),
    ),
    /** Of any connection, after `commitMode` has decided. */
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
        })
        .where(and(ofLease, eq(leases.fence, sql.placeholder('fence')))),
    ),
    replaceCredentials: runner(orm, () =>
      orm.update(grants).set(credentialColumns(grants)).where(eq(grants.connectionId, connectionId)),
    ),
    push: runner(orm, () =>
      orm
        .update(connections)
        .set({ nextRefreshAt: placeholderFor(connections.nextRefreshAt, 'pushTo') })
        .where(eq(connections.id, connectionId)),
    ),
  };

  const versionAndLease = (id: string) => ({ connection: versionOf.get({ id }), lease: leaseOf.get({ id }) });

  return {
    claim: (id, { attempt, generation, now, monotonic, unsent }) =>
      write(() => {
        const begun = instants.now();
        const row = active.get(id);
        if (!row || row.generation > generation) return 'gone';
        const lease = leaseOf.get({ id });
        if (lease && isBusy(id, lease, monotonic)) return 'busy';
        const { fence, unresolved } = nextClaim(lease, unsent);
        run.claim({ id, fence, holder: liveness.holder, attempt, startedAt: unresolved?.startedAt ?? now });
        const isStillHeld = () => instants.elapsedSince(begun) < SEND_AFTER_CLAIM_MS;
        return {
          connection: connectionOf(row),
          credentials: credentialsOf.get({ id })!,
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
      write(() => {
        const expected = { ...change, id, fence: held.fence, generation: held.generation };
        const isRoutine = held.isRoutine === true && run.refreshTimes(expected).changes > 0;
        let generation = held.generation + 1;
        let mode: ReturnType<typeof commitMode> = 'release';
        let outcome: ReturnType<typeof committedAs> = 'committed';
        let entry = audit;
        if (!isRoutine && run.refreshConnection(expected).changes === 0) {
          const { connection, lease } = versionAndLease(id);
          mode = commitMode(held, connection, lease);
          if (mode === 'gone' || mode === 'superseded') return mode;
          run.refreshLate({ ...committedFields(change, connection!), id });
          generation = connection!.generation + 1;
          outcome = committedAs(connection!);
          entry = commitEntry(audit, connection!);
        }
        run.replaceCredentials({ ...credentials, id });
        if (!held.keepsValues || generation !== held.generation + 1) refreshCapturedValues(orm, id);
        if (audit.integration !== null)
          replaceTokenDigests(orm, { id, integration: audit.integration }, credentials.tokenDigests);
        (mode === 'release' ? run.resolve : run.dropIntent)({ id });
        record(isRoutine && recorded === 'changes' ? undefined : entry, { kind: 'connection', id, generation });
        return outcome;
      }),

    recordRefreshFailure: (id, held, failure, audit) =>
      write(() => {
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
        return connection!.status === 'on_hold' ? 'on_hold' : 'recorded';
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
    dueIntegrations: (now) => read(() => orm.all<{ integration: string; dueAt: number }>(dueIntegrations(now))),
    claimDue: (integration, now, pushTo, limit) =>
      write(() =>
        due.all({ integration, now, limit }).map(({ id }) => {
          run.push({ id, pushTo });
          return id;
        }),
      ),
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
