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
  CLAIM_REPLACES,
  commitEntry,
  commitMode,
  committedAs,
  committedFields,
  countDue,
  credentialColumns,
  failureEntry,
  failureOf,
  hasReasonOf,
  isAfterLateAnswer,
  isRoutine,
  LATEST,
  mayBeSpent,
  nextClaim,
  RELEASED,
  RESOLVED,
  refreshedColumns,
  retriesOf,
  statusAfterCommit,
  WITHOUT_INTENT,
  whyNotHeld,
} from '../shared/leases.ts';
import { placeholderFor } from '../shared/placeholders.ts';
import { refreshCapturedValues, replaceTokenDigests } from './captured-values.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { isAlive, isKnown, type Liveness, mayBeFrozen } from './liveness.ts';
import { connections, grants, isActive, isDead, leases } from './schema.ts';

/** A loose index scan: two index steps for each integration, however many connections it has. */
export const dueIntegrations = (now: number) => sql`
  with recursive at(id) as (
    (select integration from connections where status = 'active' and next_refresh_at is not null
      order by integration limit 1)
    union all
    select (select integration from connections
      where status = 'active' and next_refresh_at is not null and integration > at.id
      order by integration limit 1)
    from at where at.id is not null
  ), due as (
    select id as integration, (select next_refresh_at from connections
      where status = 'active' and next_refresh_at is not null and integration = at.id
      order by next_refresh_at limit 1) as "dueAt"
    from at where id is not null
  )
  select integration, "dueAt" from due where "dueAt" <= ${now} order by "dueAt"`;

/** The oldest of an integration that no other replica is claiming: the head of a partial index, in its order. */
export const claimDue = (integration: string, now: number, pushTo: number, limit: number) => sql`
  with due as materialized (
    select id, next_refresh_at as due_at from connections
    where status = 'active' and integration = ${integration} and next_refresh_at <= ${now}
    order by next_refresh_at limit ${limit} for no key update skip locked
  )
  update connections set next_refresh_at = ${pushTo} from due where connections.id = due.id
  returning connections.id, due_at`;

export function createRefreshStore(
  { autocommit, transaction, prepared, record }: PostgresAccess,
  liveness: Liveness,
): RefreshStore {
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
  const { connectionId: _, ...secrets } = getTableColumns(grants);
  const statements = prepared((orm, name) => ({
    active: orm
      .select()
      .from(connections)
      .where(and(byId, isActive))
      .for('no key update')
      .prepare(name('active_locked')),
    /** After the connection is locked: what is read by the locking statement may be older than the lock. */
    leased: orm
      .select({
        credentials: secrets,
        lease: leases,
        isAlive: isAlive(leases.holder),
        isKnown: isKnown(leases.holder),
        mayBeFrozen: mayBeFrozen(leases.holder),
      })
      .from(grants)
      .leftJoin(leases, eq(leases.connectionId, grants.connectionId))
      .where(eq(grants.connectionId, connectionId))
      .prepare(name('leased')),
    claim: orm
      .insert(leases)
      .values({
        connectionId,
        fence: sql.placeholder('fence'),
        holder: sql.placeholder('holder'),
        attempt: sql.placeholder('attempt'),
        startedAt: placeholderFor(leases.startedAt, 'startedAt'),
      })
      .onConflictDoUpdate({ target: leases.connectionId, set: CLAIM_REPLACES })
      .prepare(name('claim')),
    giveBack: orm
      .update(leases)
      .set({
        holder: null,
        attempt: sql`case when ${leases.attempt} is null then null else ${placeholderFor(leases.attempt, 'attempt')}::text end`,
        startedAt: sql`case when ${leases.attempt} is null then null else ${placeholderFor(leases.startedAt, 'startedAt')}::bigint end`,
      })
      .where(and(ofLease, eq(leases.fence, sql.placeholder('fence'))))
      .prepare(name('give_back')),
    version: orm
      .select({
        status: connections.status,
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
      const { attempt, generation, now, monotonic, unsent } = asked;
      await liveness.ensureAlive();
      const begun = instants.now();
      const isStillHeld = () => instants.elapsedSince(begun) < SEND_AFTER_CLAIM_MS && liveness.wasAliveSince(begun);
      const claiming = transaction(async (orm) => {
        const { active, leased, claim } = statements(orm);
        const [[connection], [row]] = await Promise.all([active.execute({ id }), leased.execute({ id })]);
        if (!connection || connection.generation > generation || !row) return 'gone';
        const { credentials, lease } = row;
        if (
          lease !== null &&
          lease.holder !== null &&
          lease.holder !== holder &&
          !observer.hasExpired(id, lease.fence, monotonic)
        ) {
          if (liveness.canJudge() ? row.isAlive : row.isKnown) return 'busy';
          if (row.mayBeFrozen && mayBeSpent(lease, asked)) return 'in_doubt';
        }
        const { fence, unresolved } = nextClaim(lease, unsent);
        await claim.execute({ id, fence, holder, attempt, startedAt: unresolved?.startedAt ?? now });
        return { connection, credentials, fence, unresolved, isStillHeld };
      });
      return tracked(id, claiming);
    },

    releaseUnsent: (id, { fence, unresolved }) => {
      const releasing = autocommit(async (orm) => {
        const { giveBack } = statements(orm);
        const { attempt = null, startedAt = null } = unresolved ?? {};
        await giveBack.execute({ id, fence, attempt, startedAt });
      });
      return tracked(id, releasing);
    },

    commitRefresh: (id, held, change, credentials, audit, recorded = 'all') => {
      const committing = transaction(async (orm) => {
        const { connection, lease } = await lockedVersion(orm, id);
        const mode = commitMode(held, connection, lease);
        if (mode === 'gone' || mode === 'superseded') return mode;
        const { refreshConnection, replaceCredentials, resolve, dropIntent } = statements(orm);
        const isLeftOut = recorded === 'changes' && isRoutine(held, connection!, lease);
        await Promise.all([
          refreshConnection.execute({ ...committedFields(change, connection!), id }),
          replaceCredentials.execute({ ...credentials, id }),
          (mode === 'release' ? resolve : dropIntent).execute({ id }),
          record(orm, isLeftOut ? undefined : commitEntry(audit, connection!), {
            kind: 'connection',
            id,
            generation: connection!.generation + 1,
          }),
        ]);
        if (!held.keepsValues || connection!.generation !== held.generation) await refreshCapturedValues(orm, id);
        if (audit.integration !== null)
          await replaceTokenDigests(orm, { id, integration: audit.integration }, credentials.tokenDigests);
        return committedAs(connection!);
      });
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
        return connection!.status === 'on_hold' ? ('on_hold' as const) : ('recorded' as const);
      });
      return tracked(id, recording);
    },

    recentlyDead: (integration, since, limit) =>
      autocommit((orm) =>
        orm
          .select()
          .from(connections)
          .where(and(isDead, eq(connections.integration, integration), gte(connections.updatedAt, since)))
          .orderBy(desc(connections.updatedAt))
          .limit(limit),
      ),
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
        const latest = orm
          .select({ at: connections.lastRefreshedAt })
          .from(connections)
          .where(and(isActive, isNotNull(connections.nextRefreshAt), eq(connections.integration, integration)))
          .orderBy(desc(connections.nextRefreshAt))
          .limit(LATEST)
          .as('latest');
        const [row] = await orm.select({ at: max(latest.at) }).from(latest);
        return row?.at ?? null;
      }),

    dueIntegrations: (now) =>
      autocommit(async (orm) => {
        const { rows } = await orm.execute<{ integration: string; dueAt: string }>(dueIntegrations(now));
        return rows.map(({ integration, dueAt }) => ({ integration, dueAt: Number(dueAt) }));
      }),
    countDue: (now) =>
      autocommit(async (orm) => {
        const { rows } = await orm.execute<{ integration: string; dueAt: string; count: string }>(
          countDue(dueIntegrations(now), now),
        );
        return rows.map(({ integration, dueAt, count }) => ({
          integration,
          dueAt: Number(dueAt),
          count: Number(count),
        }));
      }),
    claimDue: (integration, now, pushTo, limit) =>
      autocommit(async (orm) => {
        const { rows } = await orm.execute<{ id: string; due_at: string }>(claimDue(integration, now, pushTo, limit));
        return rows.sort((a, b) => Number(a.due_at) - Number(b.due_at)).map(({ id }) => id);
      }),
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
      autocommit((orm) =>
        orm
          .select({ id: leases.connectionId, startedAt: sql<number>`${leases.startedAt}`.mapWith(leases.startedAt) })
          .from(leases)
          .where(
            and(
              isNotNull(leases.attempt),
              or(
                isNull(leases.holder),
                and(eq(leases.holder, holder), inArray(leases.connectionId, [...inDoubt])),
                and(
                  sql`${leases.holder} <> ${holder}`,
                  not(liveness.canJudge() ? isAlive(leases.holder) : isKnown(leases.holder)),
                ),
              ),
            ),
          )
          .orderBy(asc(leases.startedAt)),
      ),
  };
}
