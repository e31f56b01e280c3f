// Leases, intents and refreshed grants in SQLite: what makes a refresh happen once, and its answer last.
import { and, asc, eq, getTableColumns, isNotNull, lte, sql } from 'drizzle-orm';
import type { Store } from '../../ports/index.ts';
import { createPatience } from '../shared/lease-observation.ts';
import { given, runner, type SqliteAccess } from './client.ts';
import type { Liveness } from './liveness.ts';
import { connections, grants, isActive, leases } from './schema.ts';

type RefreshStore = Pick<
  Store,
  'claim' | 'rotate' | 'refreshFailed' | 'dueIntegrations' | 'countDue' | 'claimDue' | 'unresolvedRefreshes'
>;

/** A loose scan: two steps of the index for each integration, however many connections it has. */
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

const countDue = (now: number) => sql`
  select integration, "dueAt", (select count(*) from connections c where c.status = 'active'
    and c.next_refresh_at <= ${now} and c.integration = d.integration) as count
  from (${dueIntegrations(now)}) d`;

/** Active connections of an integration whose time has come, oldest first: the head of a partial, covering index. */
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

export function refreshStore({ orm, read, write, record }: SqliteAccess, liveness: Liveness): RefreshStore {
  const patience = createPatience();
  /** A lease that counts: another process has it, lives, and is not taking for ever. */
  const isOthers = (id: string, lease: { holder: string | null; fence: number }, monotonic: number): boolean =>
    lease.holder !== null &&
    lease.holder !== liveness.holder &&
    liveness.isAlive(lease.holder) &&
    !patience.isOver(id, lease.fence, monotonic);

  const connectionId = sql.placeholder('id');
  // Point reads, not a join: with one, better-sqlite3 takes three times as long for the same rows.
  const active = orm
    .select()
    .from(connections)
    .where(and(eq(connections.id, connectionId), isActive))
    .prepare();
  const { connectionId: _, ...secrets } = getTableColumns(grants);
  const grantOf = orm.select(secrets).from(grants).where(eq(grants.connectionId, connectionId)).prepare();
  const leaseOf = orm.select().from(leases).where(eq(leases.connectionId, connectionId)).prepare();
  const take = orm
    .insert(leases)
    .values({
      connectionId,
      fence: sql.placeholder('fence'),
      holder: sql.placeholder('holder'),
      attempt: sql.placeholder('attempt'),
      startedAt: sql.placeholder('startedAt'),
    })
    .onConflictDoUpdate({
      target: leases.connectionId,
      set: {
        fence: sql`excluded.fence`,
        holder: sql`excluded.holder`,
        attempt: sql`excluded.attempt`,
        startedAt: sql`excluded.started_at`,
      },
    })
    .prepare();

  const state = orm
    .select({ status: connections.status, generation: connections.generation })
    .from(connections)
    .where(eq(connections.id, connectionId))
    .prepare();
  /**
   * Undefined when the holder may still write. The lease itself may have been released: while no other
   * claim and no other grant came after it, what it brings is the newest there is.
   */
  function tooLate(id: string, held: { fence: number; generation: number }): 'gone' | 'superseded' | undefined {
    const now = state.get({ id });
    if (!now || now.status === 'revoked') return 'gone';
    return leaseOf.get({ id })?.fence === held.fence && now.generation === held.generation ? undefined : 'superseded';
  }
  const release = orm.update(leases).set({ holder: null }).where(eq(leases.connectionId, connectionId)).prepare();
  const releaseResolved = orm
    .update(leases)
    .set({ holder: null, attempt: null, startedAt: null })
    .where(eq(leases.connectionId, connectionId))
    .prepare();

  const reactivate = orm
    .update(connections)
    .set({ status: 'active' })
    .where(eq(connections.id, connectionId))
    .prepare();
  /** Only of an active one: its status written anew would touch three indexes for nothing. */
  const rotateConnection = orm
    .update(connections)
    .set({
      reason: null,
      failures: 0,
      lastRefreshError: null,
      generation: sql`${connections.generation} + 1`,
      scopes: given(connections.scopes, 'scopes'),
      tokenType: given(connections.tokenType, 'tokenType'),
      issuedAt: given(connections.issuedAt, 'issuedAt'),
      expiresAt: given(connections.expiresAt, 'expiresAt'),
      nextRefreshAt: given(connections.nextRefreshAt, 'nextRefreshAt'),
      reauthDueAt: given(connections.reauthDueAt, 'reauthDueAt'),
      lastRefreshedAt: given(connections.lastRefreshedAt, 'lastRefreshedAt'),
      captured: given(connections.captured, 'captured'),
      identity: given(connections.identity, 'identity'),
      updatedAt: given(connections.updatedAt, 'updatedAt'),
    })
    .where(
      and(
        eq(connections.id, connectionId),
        isActive,
        eq(connections.generation, sql.placeholder('generation')),
        sql`${sql.placeholder('fence')} = (select fence from leases where connection_id = connections.id)`,
      ),
    )
    .prepare();
  const rotateGrant = orm
    .update(grants)
    .set({
      accessToken: given(grants.accessToken, 'accessToken'),
      refreshToken: given(grants.refreshToken, 'refreshToken'),
      idToken: given(grants.idToken, 'idToken'),
      credentials: given(grants.credentials, 'credentials'),
    })
    .where(eq(grants.connectionId, connectionId))
    .prepare();

  const unresolved = orm
    .select({ id: leases.connectionId, holder: leases.holder, startedAt: sql<number>`${leases.startedAt}` })
    .from(leases)
    .where(isNotNull(leases.attempt))
    .orderBy(asc(leases.startedAt))
    .prepare();
  const due = dueConnections(orm).prepare();
  const push = orm
    .update(connections)
    .set({ nextRefreshAt: given(connections.nextRefreshAt, 'pushTo') })
    .where(eq(connections.id, connectionId))
    .prepare();
  const run = {
    take: runner(orm, take),
    release: runner(orm, release),
    releaseResolved: runner(orm, releaseResolved),
    rotateConnection: runner(orm, rotateConnection),
    rotateGrant: runner(orm, rotateGrant),
    push: runner(orm, push),
  };

  return {
    claim: (id, { attempt, generation, now, monotonic }) =>
      write(() => {
        const connection = active.get({ id });
        if (!connection || connection.generation > generation) return 'gone';
        const lease = leaseOf.get({ id });
        if (lease && isOthers(id, lease, monotonic)) return 'busy';
        const fence = (lease?.fence ?? 0) + 1;
        const unresolved =
          lease?.attempt != null && lease.startedAt !== null
            ? { attempt: lease.attempt, startedAt: lease.startedAt }
            : null;
        run.take({ id, fence, holder: liveness.holder, attempt, startedAt: unresolved?.startedAt ?? now });
        return { connection, grant: grantOf.get({ id })!, fence, unresolved };
      }),

    rotate: (id, held, change, grant, by) =>
      write(() => {
        const rotated = () => run.rotateConnection({ ...change, id, ...held }).changes > 0;
        if (!rotated()) {
          const late = tooLate(id, held);
          if (late) return late;
          reactivate.run({ id });
          rotated();
        }
        run.rotateGrant({ ...grant, id });
        run.releaseResolved({ id });
        record(by, { kind: 'connection', id, generation: held.generation + 1 });
        return 'kept';
      }),

    refreshFailed: (id, held, failure, by) =>
      write(() => {
        const late = tooLate(id, held);
        if (late) return late;
        orm
          .update(connections)
          .set({
            ...(failure.reason !== null && { status: 'needs_reauth', reason: failure.reason }),
            lastRefreshError: failure.error,
            nextRefreshAt: failure.nextRefreshAt,
            failures: sql`${connections.failures} + 1`,
            updatedAt: failure.error.at,
          })
          .where(eq(connections.id, id))
          .run();
        (failure.resolved ? run.releaseResolved : run.release)({ id });
        record(by, { kind: 'connection', id, generation: held.generation });
        return 'kept';
      }),

    dueIntegrations: (now) => read(() => orm.all<{ integration: string; dueAt: number }>(dueIntegrations(now))),
    countDue: (now) => read(() => orm.all<{ integration: string; dueAt: number; count: number }>(countDue(now))),
    claimDue: (integration, now, pushTo, limit) =>
      write(() =>
        due.all({ integration, now, limit }).map(({ id }) => {
          run.push({ id, pushTo });
          return id;
        }),
      ),
    unresolvedRefreshes: () =>
      read(() =>
        unresolved
          .all()
          .filter(({ holder }) => holder === null || (holder !== liveness.holder && !liveness.isAlive(holder)))
          .map(({ id, startedAt }) => ({ id, startedAt })),
      ),
  };
}
