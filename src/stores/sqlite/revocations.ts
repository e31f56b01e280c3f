// Tombstones, and the outbox of revocations that the provider has not confirmed, in SQLite.
import { and, asc, eq, gt, inArray, lte, sql } from 'drizzle-orm';
import type { RevocationStore } from '../../ports/index.ts';
import { isAnyTombstone, isTombstone } from '../shared/connections.ts';
import { connecting, connects, pendingRevocationOf, tombstoneOf } from '../shared/revocations.ts';
import { deleteCapturedValues } from './captured-values.ts';
import { deleteCaptures } from './captures.ts';
import type { SqliteAccess } from './client.ts';
import { cancelSessions } from './connect-sessions.ts';
import { prepared } from './prepared-queries.ts';
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

/** From one integration to the next in the index, instead of a scan of all revocations. */
const DUE_INTEGRATIONS = `
  with recursive at(id) as (
    select min(integration) from outbox_revocations
    union all
    select (select min(integration) from outbox_revocations where integration > at.id) from at where at.id is not null
  ), due as (
    select id as integration, (select min(next_at) from outbox_revocations where integration = at.id) as due_at
    from at where id is not null
  )
  select integration from due where due_at <= ? order by due_at`;

/** In the order of their ids. */
export const tombstonesAfter = (orm: Pick<SqliteAccess['orm'], 'select'>, after: string, limit: number) =>
  orm
    .select({ id: connections.id, updatedAt: connections.updatedAt })
    .from(connections)
    .where(and(isAnyTombstone(connections), gt(connections.id, after)))
    .orderBy(asc(connections.id))
    .limit(limit);

export function createRevocationStore({ orm, read, write, record }: SqliteAccess): RevocationStore {
  const due = prepared(() =>
    orm
      .select()
      .from(pendingRevocations)
      .where(
        and(
          eq(pendingRevocations.integration, sql.placeholder('integration')),
          lte(pendingRevocations.nextAt, sql.placeholder('now')),
        ),
      )
      .orderBy(asc(pendingRevocations.nextAt))
      .limit(sql.placeholder('limit')),
  );

  const dueIntegrations = orm.$client.prepare<[number], string>(DUE_INTEGRATIONS).pluck();

  return {
    revoke: (id, upstream, firstTryAt, audit, movesSource = false) =>
      write(() => {
        const before = orm.select().from(connections).where(eq(connections.id, id)).get();
        if (!before) return undefined;
        if (before.status === 'revoked') return { connection: before, already: true, pending: null };
        const [credentials] = orm.delete(grants).where(eq(grants.connectionId, id)).returning().all();
        orm.delete(leases).where(eq(leases.connectionId, id)).run();
        orm.delete(unreadableResponses).where(eq(unreadableResponses.connectionId, id)).run();
        deleteCaptures(orm, id);
        cancelSessions(orm, connects(connectSessions, before), audit.at);
        deleteCapturedValues(orm, id);
        orm.delete(holdChanges).where(eq(holdChanges.connectionId, id)).run();
        const tombstone = tombstoneOf(upstream, audit);
        orm.update(connections).set(tombstone).where(eq(connections.id, id)).run();
        const pending =
          upstream === 'pending' ? pendingRevocationOf(before, credentials, firstTryAt, audit, movesSource) : null;
        if (pending) orm.insert(pendingRevocations).values(pending).run();
        record(audit, { kind: 'connection', id, generation: before.generation });
        return { connection: { ...before, ...tombstone }, already: false, pending };
      }),

    addPendingRevocation: (revocation, of) =>
      write(() => {
        if (of && !isThere(orm, revocation.integration, of)) return false;
        orm.insert(pendingRevocations).values(revocation).run();
        const change = { upstreamRevocation: 'pending', updatedAt: revocation.createdAt } as const;
        orm.update(connections).set(change).where(isTombstone(connections, revocation.connectionId)).run();
        return true;
      }),

    dueRevocations: (now) => read(() => dueIntegrations.all(now)),

    claimRevocations: async (integration, now, pushTo, limit) => {
      if (!(await read(() => due.get({ integration, now, limit: 1 })))) return [];
      return write(() =>
        due.all({ integration, now, limit }).map((revocation) => {
          const change = { nextAt: pushTo, claimedUntil: pushTo, attempts: revocation.attempts + 1 };
          orm.update(pendingRevocations).set(change).where(eq(pendingRevocations.id, revocation.id)).run();
          return { ...revocation, ...change };
        }),
      );
    },

    revocationsUnderWay: (integration, now) =>
      read(() =>
        orm
          .select({ id: pendingRevocations.id })
          .from(pendingRevocations)
          .where(and(eq(pendingRevocations.integration, integration), gt(pendingRevocations.claimedUntil, now)))
          .all()
          .map(({ id }) => id),
      ),

    isConnecting: (integration, owner, account, now) =>
      read(() => orm.all(connecting(integration, owner, account, now)).length > 0),

    settleRevocation: (id, outcome, audit) =>
      write(() => {
        const [settled] = orm.delete(pendingRevocations).where(eq(pendingRevocations.id, id)).returning().all();
        if (!settled) return;
        const other = orm
          .select({ id: pendingRevocations.id })
          .from(pendingRevocations)
          .where(eq(pendingRevocations.connectionId, settled.connectionId))
          .get();
        if (!other)
          orm
            .update(connections)
            .set({ upstreamRevocation: outcome, updatedAt: audit.at })
            .where(isTombstone(connections, settled.connectionId))
            .run();
        record(audit);
      }),

    postponeRevocation: (id, nextAt) =>
      write(
        () =>
          void orm
            .update(pendingRevocations)
            .set({ nextAt, claimedUntil: null })
            .where(eq(pendingRevocations.id, id))
            .run(),
      ),

    purgeTombstones: (before, { limit, after = '' }) =>
      write(() => {
        const examined = tombstonesAfter(orm, after, limit).all();
        const old = examined.flatMap(({ id, updatedAt }) => (updatedAt < before ? [id] : []));
        const { connectionId } = pendingRevocations;
        const pending = orm.selectDistinct({ id: connectionId }).from(pendingRevocations);
        const kept = new Set(
          pending
            .where(inArray(connectionId, old))
            .all()
            .map(({ id }) => id),
        );
        const ids = old.filter((id) => !kept.has(id));
        for (const table of [grants, leases, eventSequences, reauthNotices, webhookConnections])
          orm.delete(table).where(inArray(table.connectionId, ids)).run();
        orm.delete(connections).where(inArray(connections.id, ids)).run();
        return { purged: ids.length, next: examined.length < limit ? null : examined.at(-1)!.id };
      }),
  };
}
