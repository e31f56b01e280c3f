// Tombstones, and the outbox of revocations that the provider has not confirmed, in PostgreSQL.
import { and, asc, eq, gt, inArray, lt, sql } from 'drizzle-orm';
import type { RevocationStore } from '../../ports/index.ts';
import { isAnyTombstone, isTombstone } from '../shared/connections.ts';
import { connecting, connects, pendingRevocationOf, tombstoneOf } from '../shared/revocations.ts';
import { deleteCapturedValues } from './captured-values.ts';
import { deleteCaptures } from './captures.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { cancelSessions } from './connect-sessions.ts';
import { isThere } from './read-integration.ts';
import {
  connections,
  connectSessions,
  eventSequences,
  grants,
  holdChanges,
  leases,
  pendingRevocations,
  reauthNotices,
  unreadableResponses,
  webhookConnections,
} from './schema.ts';

const locked = (orm: Orm, id: string) =>
  orm.select().from(connections).where(eq(connections.id, id)).for('no key update');

/** From one integration to the next in the index, instead of a scan of all revocations. */
const dueIntegrations = (now: number) => sql`
  with recursive at(id) as (
    (select integration from outbox_revocations order by integration limit 1)
    union all
    select (select integration from outbox_revocations where integration > at.id order by integration limit 1)
    from at where at.id is not null
  ), due as (
    select id as integration,
      (select next_at from outbox_revocations where integration = at.id order by next_at limit 1) as due_at
    from at where id is not null
  )
  select integration from due where due_at <= ${now} order by due_at`;

/** In the order of their ids. */
export const tombstonesAfter = (orm: Pick<Orm, 'select'>, after: string, limit: number) =>
  orm
    .select({ id: connections.id, updatedAt: connections.updatedAt })
    .from(connections)
    .where(and(isAnyTombstone(connections), gt(connections.id, after)))
    .orderBy(asc(connections.id))
    .limit(limit);

export function createRevocationStore({ autocommit, transaction, record }: PostgresAccess): RevocationStore {
  return {
    revoke: (id, upstream, firstTryAt, audit, movesSource = false) =>
      transaction(async (orm) => {
        const [now] = await orm.select().from(connections).where(eq(connections.id, id));
        // Before the connection is locked: a renewal locks its session first.
        if (now && now.status !== 'revoked') await cancelSessions(orm, connects(connectSessions, now), audit.at);
        const [before] = await locked(orm, id);
        if (!before) return undefined;
        if (before.status === 'revoked') return { connection: before, already: true, pending: null };
        const [credentials] = await orm.delete(grants).where(eq(grants.connectionId, id)).returning();
        await orm.delete(leases).where(eq(leases.connectionId, id));
        await orm.delete(unreadableResponses).where(eq(unreadableResponses.connectionId, id));
        await deleteCaptures(orm, id);
        await deleteCapturedValues(orm, id);
        await orm.delete(holdChanges).where(eq(holdChanges.connectionId, id));
        const tombstone = tombstoneOf(upstream, audit);
        await orm.update(connections).set(tombstone).where(eq(connections.id, id));
        const pending =
          upstream === 'pending' ? pendingRevocationOf(before, credentials, firstTryAt, audit, movesSource) : null;
        if (pending) await orm.insert(pendingRevocations).values(pending);
        await record(orm, audit, { kind: 'connection', id, generation: before.generation });
        return { connection: { ...before, ...tombstone }, already: false, pending };
      }),

    addPendingRevocation: (revocation, of) =>
      transaction(async (orm) => {
        await locked(orm, revocation.connectionId);
        if (of && !(await isThere(orm, revocation.integration, of))) return false;
        await orm.insert(pendingRevocations).values(revocation);
        const change = { upstreamRevocation: 'pending', updatedAt: revocation.createdAt } as const;
        await orm.update(connections).set(change).where(isTombstone(connections, revocation.connectionId));
        return true;
      }),

    dueRevocations: (now) =>
      autocommit(async (orm) => {
        const { rows } = await orm.execute<{ integration: string }>(dueIntegrations(now));
        return rows.map(({ integration }) => integration);
      }),

    claimRevocations: (integration, now, pushTo, limit) =>
      autocommit(async (orm) => {
        const due = orm.$with('due', { id: sql<string>`id`.as('due_id') }).as(
          sql`select ${pendingRevocations.id} as due_id from ${pendingRevocations}
            where ${pendingRevocations.integration} = ${integration} and ${pendingRevocations.nextAt} <= ${now}
            order by ${pendingRevocations.nextAt} limit ${limit} for no key update skip locked`,
        );
        const claimed = await orm
          .with(due)
          .update(pendingRevocations)
          .set({ nextAt: pushTo, claimedUntil: pushTo, attempts: sql`${pendingRevocations.attempts} + 1` })
          .where(sql`${pendingRevocations.id} in (select due_id from due)`)
          .returning();
        return claimed.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
      }),

    revocationsUnderWay: (integration, now) =>
      autocommit(async (orm) => {
        const rows = await orm
          .select({ id: pendingRevocations.id })
          .from(pendingRevocations)
          .where(and(eq(pendingRevocations.integration, integration), gt(pendingRevocations.claimedUntil, now)));
        return rows.map(({ id }) => id);
      }),

    isConnecting: (integration, owner, account, now) =>
      autocommit(async (orm) => {
        const { rows } = await orm.execute(connecting(integration, owner, account, now));
        return rows.length > 0;
      }),

    settleRevocation: (id, outcome, audit) =>
      transaction(async (orm) => {
        const one = eq(pendingRevocations.id, id);
        const [pending] = await orm.select().from(pendingRevocations).where(one);
        if (!pending) return;
        // Before it is deleted: of two of one connection that are settled at once, the later one sets the outcome.
        await locked(orm, pending.connectionId);
        const settled = await orm.delete(pendingRevocations).where(one).returning({ id: pendingRevocations.id });
        if (settled.length === 0) return;
        const [other] = await orm
          .select({ id: pendingRevocations.id })
          .from(pendingRevocations)
          .where(eq(pendingRevocations.connectionId, pending.connectionId))
          .limit(1);
        if (!other)
          await orm
            .update(connections)
            .set({ upstreamRevocation: outcome, updatedAt: audit.at })
            .where(isTombstone(connections, pending.connectionId));
        await record(orm, audit);
      }),

    postponeRevocation: (id, nextAt) =>
      autocommit(async (orm) => {
        await orm.update(pendingRevocations).set({ nextAt, claimedUntil: null }).where(eq(pendingRevocations.id, id));
      }),

    purgeTombstones: (before, { limit, after = '' }) =>
      transaction(async (orm) => {
        const examined = await tombstonesAfter(orm, after, limit);
        const next = examined.length < limit ? null : examined.at(-1)!.id;
        const old = examined.flatMap(({ id, updatedAt }) => (updatedAt < before ? [id] : []));
        if (old.length === 0) return { purged: 0, next };
        const { id, updatedAt } = connections;
        const locked = await orm
          .select({ id })
          .from(connections)
          .where(and(inArray(id, old), isAnyTombstone(connections), lt(updatedAt, before)))
          .for('update', { skipLocked: true });
        // After the lock: a revocation that is added later finds no connection, and is delivered without one.
        const { connectionId } = pendingRevocations;
        const pending = await orm
          .selectDistinct({ id: connectionId })
          .from(pendingRevocations)
          .where(inArray(connectionId, old));
        const kept = new Set(pending.map((one) => one.id));
        const ids = locked.flatMap((one) => (kept.has(one.id) ? [] : [one.id]));
        if (ids.length === 0) return { purged: 0, next };
        for (const table of [grants, leases, eventSequences, reauthNotices, webhookConnections])
          await orm.delete(table).where(inArray(table.connectionId, ids));
        await orm.delete(connections).where(inArray(id, ids));
        return { purged: ids.length, next };
      }),
  };
}
