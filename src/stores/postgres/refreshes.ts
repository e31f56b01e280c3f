// Leases, intents and refreshed credentials in PostgreSQL: one process at a time refreshes a connection, and commits the
// answer.
import {
  and,
  asc,
  desc,
  eq,
  getTableColumns,
  gt,
  gte,
  inArray,
  isNotNull,
  isNull,
  max,
  not,
  or,
  sql,
} from 'drizzle-orm';
import { SEND_AFTER_CLAIM_MS } from '../../domain/time-limits.ts';
import type { RefreshStore } from '../../ports/index.ts';
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
  RELEASED,
  RESOLVED,
  recordedAs,
  refreshedColumns,
  retriesOf,
  statusAfterCommit,
  timesAfter,
  WITHOUT_INTENT,
  whyNotHeld,
} from '../shared/leases.ts';
import { placeholderFor, placeholdersFor } from '../shared/placeholders.ts';
import { refreshCapturedValues, replaceTokenDigests } from './captured-values.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { createDueConnections } from './due-connections.ts';
import { isAlive, isKnown, type Liveness } from './liveness.ts';
import type { RefreshFunctions } from './refresh-functions.ts';
import { connections, grants, isActive, isDead, leases } from './schema.ts';

/** The head of a partial index, and a row each. */
export const recentlyDead = (orm: Pick<Orm, 'select'>, integration: string, since: number, limit: number) =>
  orm
    .select(getTableColumns(connections))
    .from(leases)
    .innerJoin(connections, eq(connections.id, leases.connectionId))
    .where(and(eq(leases.integration, integration), sql`dead_at is not null`, gte(leases.deadAt, since), isDead))
    .orderBy(desc(leases.deadAt))
    .limit(limit);

/** Of the connections that are due last, at the other end of the index. */
export function lastRefreshAt(orm: Pick<Orm, 'select'>, integration: string) {
  const latest = orm
    .select({ id: leases.connectionId })
    .from(leases)
    .where(and(eq(leases.integration, integration), sql`due_at is not null`))
    .orderBy(desc(leases.dueAt))
    .limit(LATEST)
    .as('latest');
  return orm
    .select({ at: max(connections.lastRefreshedAt) })
    .from(latest)
    .innerJoin(connections, eq(connections.id, latest.id));
}

/**
 * Those with an intent whose holder is not one of these, the oldest first. `holder`: this process, which does not hold those
 * `inDoubt` as far as it knows.
 */
export const unresolved = (orm: Pick<Orm, 'select'>, isHeld: typeof isAlive) =>
  orm
    .select({ id: leases.connectionId, startedAt: sql<number>`${leases.startedAt}`.mapWith(leases.startedAt) })
    .from(leases)
    .where(
      and(
        isNotNull(leases.attempt),
        or(
          isNull(leases.holder),
          and(
            sql`${leases.holder} = ${sql.placeholder('holder')}`,
            sql`${leases.connectionId} = any(${sql.placeholder('inDoubt')}::text[])`,
          ),
          and(sql`${leases.holder} <> ${sql.placeholder('holder')}`, not(isHeld(leases.holder))),
        ),
      ),
    )
    .orderBy(asc(leases.startedAt));

export function createRefreshStore(
  access: PostgresAccess,
  liveness: Liveness,
  functions: RefreshFunctions,
): RefreshStore {
  const { autocommit, transaction, prepared, record } = access;
  const observer = createLeaseObserver();
  const { holder, instants } = liveness;
  /**
   * Connections whose last operation has an unknown outcome: this process may hold their leases without knowing, so it
   * counts them as unresolved although it is alive.
   */
  const inDoubt = new Set<string>();
  async function tracked<T>(id: string, operation: Promise<T>): Promise<T> {
    try {
      const outcome = await operation;
      inDoubt.delete(id);
      return outcome;
    } catch (error) {
      inDoubt.add(id);
      throw error;
    }
  }

  const hasReason = hasReasonOf(connections);
  const connectionId = sql.placeholder('id');
  const byId = eq(connections.id, placeholderFor(connections.id, 'id'));
  const ofLease = eq(leases.connectionId, connectionId);
  const statements = prepared((orm, name) => ({
    unresolved: unresolved(orm, isAlive).prepare(name('unresolved')),
    unresolvedOfKnown: unresolved(orm, isKnown).prepare(name('unresolved_of_known')),
    giveBack: orm
      .update(leases)
      .set({
        holder: null,
        attempt: sql`case when ${leases.attempt} is null then null else ${placeholderFor(leases.attempt, 'attempt')}::text end`,
        startedAt: sql`case when ${leases.attempt} is null then null else ${placeholderFor(leases.startedAt, 'startedAt')}::bigint end`,
        dueAt: dueAsBefore(leases),
      })
      .where(and(ofLease, eq(leases.fence, sql.placeholder('fence'))))
      .prepare(name('give_back')),
    version: orm
      .select({
        integration: connections.integration,
        status: connections.status,
        reason: connections.reason,
        generation: connections.generation,
        issuedAt: connections.issuedAt,
        failures: connections.failures,
      })
      .from(connections)
      .where(byId)
      .for('no key update')
      .prepare(name('version_locked')),
    fence: orm
      .select({ fence: leases.fence, holder: leases.holder, attempt: leases.attempt })
      .from(leases)
      .where(ofLease)
      .prepare(name('lease')),
    dropIntent: orm.update(leases).set(WITHOUT_INTENT).where(ofLease).prepare(name('drop_intent')),
    release: orm.update(leases).set(RELEASED).where(ofLease).prepare(name('release')),
    resolve: orm.update(leases).set(RESOLVED).where(ofLease).prepare(name('resolve')),
    resolveUntil: orm
      .update(leases)
      .set({ ...RESOLVED, ...placeholdersFor(leases, ['dueAt', 'endsAt']) })
      .where(ofLease)
      .prepare(name('resolve_until')),
    refreshConnection: orm
      .update(connections)
      .set({ ...refreshedColumns(connections), ...statusAfterCommit(connections) })
      .where(byId)
      .prepare(name('refresh_connection')),
    replaceCredentials: orm
      .update(grants)
      .set(credentialColumns(grants))
      .where(eq(grants.connectionId, connectionId))
      .prepare(name('replace_credentials')),
  }));

  /** Locks the connection: a lease that is held stays so until the transaction ends. */
  async function lockedVersion(orm: Orm, id: string) {
    const { version, fence } = statements(orm);
    // Sent together, answered in this order: the lease is read with the connection locked.
    const [[connection], [lease]] = await Promise.all([version.execute({ id }), fence.execute({ id })]);
    return { connection, lease };
  }

  return {
    async claim(id, asked) {
      await liveness.ensureAlive();
      const begun = instants.now();
      const isStillHeld = () => instants.elapsedSince(begun) < SEND_AFTER_CLAIM_MS && liveness.wasAliveSince(begun);
      const expiredFence = observer.expiredFence(id, asked.monotonic);
      const outcome = await tracked(id, functions.claim({ id, ...asked, expiredFence }));
      if (outcome === 'gone') return outcome;
      if (outcome === 'locked') return 'busy';
      if ('refused' in outcome) {
        observer.hasExpired(id, outcome.fence, asked.monotonic);
        return outcome.refused;
      }
      return { ...outcome, isStillHeld };
    },

    reportEnded: liveness.reportEnded,

    releaseUnsent: (id, { fence, unresolved }) => {
      const releasing = autocommit(async (orm) => {
        const { giveBack } = statements(orm);
        const { attempt = null, startedAt = null } = unresolved ?? {};
        await giveBack.execute({ id, fence, attempt, startedAt });
      });
      return tracked(id, releasing);
    },

    commitRefresh: (id, held, change, credentials, audit, recorded = 'all') => {
      const inTransaction = () =>
        transaction(async (orm) => {
          const { connection, lease } = await lockedVersion(orm, id);
          const mode = commitMode(held, connection, lease);
          if (mode === 'gone' || mode === 'superseded') return mode;
          const { refreshConnection, replaceCredentials, resolve, resolveUntil, dropIntent } = statements(orm);
          const isLeftOut = recorded === 'changes' && isRoutine(held, connection!, lease);
          await Promise.all([
            mode !== 'release'
              ? dropIntent.execute({ id })
              : connection!.status === 'active'
                ? resolveUntil.execute({ id, ...timesAfter(change) })
                : resolve.execute({ id }),
            refreshConnection.execute({ ...committedFields(change, connection!), id }),
            replaceCredentials.execute({ ...credentials, id }),
            record(orm, isLeftOut ? undefined : commitEntry(audit(), connection!), {
              kind: 'connection',
              id,
              generation: connection!.generation + 1,
            }),
          ]);
          if (!held.keepsValues || connection!.generation !== held.generation) await refreshCapturedValues(orm, id);
          await replaceTokenDigests(orm, { id, integration: connection!.integration }, credentials.tokenDigests);
          return committedAs(connection!);
        });
      const { tokenDigests } = credentials;
      const mayBeRoutine =
        recorded === 'changes' && held.isRoutine === true && held.keepsValues === true && tokenDigests === undefined;
      if (!mayBeRoutine) return tracked(id, inTransaction());
      const committing = functions
        .commitRoutine({ id, held, change, credentials })
        .then((isDone) => (isDone ? ('committed' as const) : inTransaction()));
      return tracked(id, committing);
    },

    recordRefreshFailure: (id, held, failure, audit) => {
      const recording = transaction(async (orm) => {
        const { connection, lease } = await lockedVersion(orm, id);
        const { release, resolve } = statements(orm);
        const refusal = whyNotHeld(held, connection, lease);
        if (refusal) {
          if (connection && isAfterLateAnswer(held, connection, lease)) await resolve.execute({ id });
          return refusal;
        }
        await orm
          .update(connections)
          .set(failureOf(connections, failure, connection!))
          .where(eq(connections.id, id));
        await (failure.resolved ? resolve : release).execute({ id });
        await record(orm, failureEntry(audit, connection!), { kind: 'connection', id, generation: held.generation });
        return recordedAs(connection!);
      });
      return tracked(id, recording);
    },

    recentlyDead: (integration, since, limit) => autocommit((orm) => recentlyDead(orm, integration, since, limit)),
    reactivate: (id, { generation, reason }, nextRefreshAt, audit) =>
      transaction(async (orm) => {
        const expected = and(eq(connections.id, id), isDead, eq(connections.generation, generation), hasReason(reason));
        const change = { status: 'active' as const, reason: null, nextRefreshAt };
        const changed = await orm.update(connections).set(change).where(expected).returning({ id: connections.id });
        if (changed.length === 0) return 'changed';
        await record(orm, audit, { kind: 'connection', id, generation });
        return 'reactivated';
      }),
    lastRefreshAt: (integration) =>
      autocommit(async (orm) => {
        const [row] = await lastRefreshAt(orm, integration);
        return row?.at ?? null;
      }),

    ...createDueConnections(access, liveness),
    retryFailed: (expired, now, { limit, after = '' }) =>
      transaction(async (orm) => {
        const { id, integration, nextRefreshAt, lastRefreshError } = connections;
        const columns = { id, integration, nextRefreshAt, lastRefreshError };
        const hasFailed = and(isActive, sql`failures > 0`);
        const examined = await orm
          .select(columns)
          .from(connections)
          .where(and(hasFailed, gt(connections.id, after)))
          .orderBy(asc(connections.id))
          .limit(limit);
        const next = examined.length < limit ? null : examined.at(-1)!.id;
        const ids = retriesOf(examined, expired, now).map(({ id }) => id);
        if (ids.length === 0) return { retried: 0, next };
        const locked = await orm
          .select(columns)
          .from(connections)
          .where(and(hasFailed, inArray(connections.id, ids)))
          .orderBy(asc(connections.id))
          .for('no key update', { skipLocked: true });
        const retries = retriesOf(locked, expired, now);
        for (const { id, change } of retries) await orm.update(connections).set(change).where(eq(connections.id, id));
        return { retried: retries.length, next };
      }),
    unresolvedRefreshes: () =>
      autocommit((orm) => {
        const { unresolved, unresolvedOfKnown } = statements(orm);
        const values = { holder, inDoubt: [...inDoubt], clockLimit: liveness.clockLimit() };
        return (liveness.canJudge() ? unresolved : unresolvedOfKnown).execute(values);
      }),
  };
}
