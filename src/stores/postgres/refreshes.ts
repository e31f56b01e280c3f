// Leases, intents and refreshed grants in PostgreSQL: what makes a refresh happen once, and its answer last.
import { and, asc, eq, inArray, isNotNull, isNull, not, or, sql } from 'drizzle-orm';
import type { Store } from '../../ports/index.ts';
import { createPatience } from '../shared/lease-observation.ts';
import { given, type Orm, type PostgresAccess } from './client.ts';
import { isAlive, isKnown, type Liveness } from './liveness.ts';
import { connections, grants, isActive, leases } from './schema.ts';

type RefreshStore = Pick<
  Store,
  'claim' | 'rotate' | 'refreshFailed' | 'dueIntegrations' | 'countDue' | 'claimDue' | 'unresolvedRefreshes'
>;

/** A loose scan: two steps of the index for each integration, however many connections it has. */
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

const countDue = (now: number) => sql`
  select integration, "dueAt", (select count(*) from connections c where c.status = 'active'
    and c.next_refresh_at <= ${now} and c.integration = d.integration) as count
  from (${dueIntegrations(now)}) d`;

/** The oldest of an integration that nobody else is taking just now: the head of a partial index, in its order. */
export const claimDue = (integration: string, now: number, pushTo: number, limit: number) => sql`
  with due as materialized (
    select id, next_refresh_at as due_at from connections
    where status = 'active' and integration = ${integration} and next_refresh_at <= ${now}
    order by next_refresh_at limit ${limit} for no key update skip locked
  )
  update connections set next_refresh_at = ${pushTo} from due where connections.id = due.id
  returning connections.id, due_at`;

export function refreshStore({ ask, write, prepared, record }: PostgresAccess, liveness: Liveness): RefreshStore {
  const patience = createPatience();
  const { holder } = liveness;
  /**
   * Connections of whose last sentence the outcome is not known: this process may hold their leases, and do nothing about
   * it. They are orphans too, while it lives.
   */
  const loose = new Set<string>();
  async function accounted<T>(id: string, saying: Promise<T>): Promise<T> {
    try {
      const outcome = await saying;
      loose.delete(id);
      return outcome;
    } catch (error) {
      loose.add(id);
      throw error;
    }
  }

  const connectionId = sql.placeholder('id');
  const byId = eq(connections.id, given(connections.id, 'id'));
  const statements = prepared((orm, name) => ({
    active: orm
      .select()
      .from(connections)
      .where(and(byId, isActive))
      .for('no key update')
      .prepare(name('active_locked')),
    /** After the connection is locked: what is read with the lock may be older than it. */
    held: orm
      .select({
        grant: {
          accessToken: grants.accessToken,
          refreshToken: grants.refreshToken,
          idToken: grants.idToken,
          credentials: grants.credentials,
        },
        lease: leases,
        isAlive: isAlive(leases.holder),
        isKnown: isKnown(leases.holder),
      })
      .from(grants)
      .leftJoin(leases, eq(leases.connectionId, grants.connectionId))
      .where(eq(grants.connectionId, connectionId))
      .prepare(name('held')),
    take: orm
      .insert(leases)
      .values({
        connectionId,
        fence: sql.placeholder('fence'),
        holder: sql.placeholder('holder'),
        attempt: sql.placeholder('attempt'),
        startedAt: given(leases.startedAt, 'startedAt'),
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
      .prepare(name('take')),
    state: orm
      .select({ status: connections.status, generation: connections.generation })
      .from(connections)
      .where(byId)
      .for('no key update')
      .prepare(name('state_locked')),
    fence: orm
      .select({ fence: leases.fence })
      .from(leases)
      .where(eq(leases.connectionId, connectionId))
      .prepare(name('fence')),
    release: orm
      .update(leases)
      .set({ holder: null })
      .where(eq(leases.connectionId, connectionId))
      .prepare(name('release')),
    releaseResolved: orm
      .update(leases)
      .set({ holder: null, attempt: null, startedAt: null })
      .where(eq(leases.connectionId, connectionId))
      .prepare(name('release_resolved')),
    rotateConnection: orm
      .update(connections)
      .set({
        status: 'active',
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
      .where(byId)
      .prepare(name('rotate_connection')),
    rotateGrant: orm
      .update(grants)
      .set({
        accessToken: given(grants.accessToken, 'accessToken'),
        refreshToken: given(grants.refreshToken, 'refreshToken'),
        idToken: given(grants.idToken, 'idToken'),
        credentials: given(grants.credentials, 'credentials'),
      })
      .where(eq(grants.connectionId, connectionId))
      .prepare(name('rotate_grant')),
  }));

  /**
   * Undefined when the holder may still write, and nobody else may until the sentence ends. The lease itself may have been
   * released: while no other claim and no other grant came after it, what it brings is the newest there is.
   */
  async function tooLate(
    orm: Orm,
    id: string,
    held: { fence: number; generation: number },
  ): Promise<'gone' | 'superseded' | undefined> {
    const { state, fence } = statements(orm);
    // Sent together, answered in this order: the fence is read with the connection locked.
    const [[now], [lease]] = await Promise.all([state.execute({ id }), fence.execute({ id })]);
    if (!now || now.status === 'revoked') return 'gone';
    return lease?.fence === held.fence && now.generation === held.generation ? undefined : 'superseded';
  }

  return {
    async claim(id, { attempt, generation, now, monotonic }) {
      await liveness.assure();
      const taking = write(async (orm) => {
        const { active, held, take } = statements(orm);
        const [[connection], [at]] = await Promise.all([active.execute({ id }), held.execute({ id })]);
        if (!connection || connection.generation > generation || !at) return 'gone';
        const { grant, lease } = at;
        // A lease that counts: another process has it, lives, and is not taking for ever.
        const isOthers =
          lease !== null &&
          lease.holder !== null &&
          lease.holder !== holder &&
          (liveness.knowsTheDead() ? at.isAlive : at.isKnown);
        if (isOthers && !patience.isOver(id, lease.fence, monotonic)) return 'busy';
        const fence = (lease?.fence ?? 0) + 1;
        const unresolved =
          lease !== null && lease.attempt !== null && lease.startedAt !== null
            ? { attempt: lease.attempt, startedAt: lease.startedAt }
            : null;
        await take.execute({ id, fence, holder, attempt, startedAt: unresolved?.startedAt ?? now });
        return { connection, grant, fence, unresolved };
      });
      return accounted(id, taking);
    },

    rotate: (id, held, change, grant, by) => {
      const keeping = write(async (orm) => {
        const late = await tooLate(orm, id, held);
        if (late) return late;
        const { rotateConnection, rotateGrant, releaseResolved } = statements(orm);
        await Promise.all([
          rotateConnection.execute({ ...change, id }),
          rotateGrant.execute({ ...grant, id }),
          releaseResolved.execute({ id }),
          record(orm, by, { kind: 'connection', id, generation: held.generation + 1 }),
        ]);
        return 'kept' as const;
      });
      return accounted(id, keeping);
    },

    refreshFailed: (id, held, failure, by) => {
      const settling = write(async (orm) => {
        const late = await tooLate(orm, id, held);
        if (late) return late;
        await orm
          .update(connections)
          .set({
            ...(failure.reason !== null && { status: 'needs_reauth', reason: failure.reason }),
            lastRefreshError: failure.error,
            nextRefreshAt: failure.nextRefreshAt,
            failures: sql`${connections.failures} + 1`,
            updatedAt: failure.error.at,
          })
          .where(eq(connections.id, id));
        const { release, releaseResolved } = statements(orm);
        await (failure.resolved ? releaseResolved : release).execute({ id });
        await record(orm, by, { kind: 'connection', id, generation: held.generation });
        return 'kept' as const;
      });
      return accounted(id, settling);
    },

    dueIntegrations: (now) =>
      ask(async (orm) => {
        const { rows } = await orm.execute<{ integration: string; dueAt: string }>(dueIntegrations(now));
        return rows.map(({ integration, dueAt }) => ({ integration, dueAt: Number(dueAt) }));
      }),
    countDue: (now) =>
      ask(async (orm) => {
        const { rows } = await orm.execute<{ integration: string; dueAt: string; count: string }>(countDue(now));
        return rows.map(({ integration, dueAt, count }) => ({
          integration,
          dueAt: Number(dueAt),
          count: Number(count),
        }));
      }),
    claimDue: (integration, now, pushTo, limit) =>
      ask(async (orm) => {
        const { rows } = await orm.execute<{ id: string; due_at: string }>(claimDue(integration, now, pushTo, limit));
        return rows.sort((a, b) => Number(a.due_at) - Number(b.due_at)).map(({ id }) => id);
      }),
    unresolvedRefreshes: () =>
      ask((orm) =>
        orm
          .select({ id: leases.connectionId, startedAt: sql<number>`${leases.startedAt}`.mapWith(leases.startedAt) })
          .from(leases)
          .where(
            and(
              isNotNull(leases.attempt),
              or(
                isNull(leases.holder),
                and(eq(leases.holder, holder), inArray(leases.connectionId, [...loose])),
                and(
                  sql`${leases.holder} <> ${holder}`,
                  not(liveness.knowsTheDead() ? isAlive(leases.holder) : isKnown(leases.holder)),
                ),
              ),
            ),
          )
          .orderBy(asc(leases.startedAt)),
      ),
  };
}
