// Tombstones, and the outbox of revocations that the provider has still to confirm, in SQLite.
import { and, asc, eq, lte, sql } from 'drizzle-orm';
import type { PendingRevocation, Store } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { connections, grants, leases, pendingRevocations } from './schema.ts';

type RevocationStore = Pick<
  Store,
  'revoke' | 'addPendingRevocation' | 'claimRevocations' | 'settleRevocation' | 'postponeRevocation'
>;

export function revocationStore({ orm, read, write, record }: SqliteAccess): RevocationStore {
  const due = orm
    .select()
    .from(pendingRevocations)
    .where(lte(pendingRevocations.nextAt, sql.placeholder('now')))
    .orderBy(asc(pendingRevocations.nextAt))
    .limit(sql.placeholder('limit'))
    .prepare();
  const tombstone = (id: string) => and(eq(connections.id, id), eq(connections.status, 'revoked'));

  return {
    revoke: (id, upstream, firstTryAt, by) =>
      write(() => {
        const before = orm.select().from(connections).where(eq(connections.id, id)).get();
        if (!before) return undefined;
        if (before.status === 'revoked') return { connection: before, already: true, pending: null };
        const [grant] = orm.delete(grants).where(eq(grants.connectionId, id)).returning().all();
        orm.delete(leases).where(eq(leases.connectionId, id)).run();
        const change = {
          status: 'revoked',
          reason: null,
          nextRefreshAt: null,
          reauthDueAt: null,
          upstreamRevocation: upstream,
          updatedAt: by.at,
        } as const;
        orm.update(connections).set(change).where(eq(connections.id, id)).run();
        let pending: PendingRevocation | null = null;
        if (upstream === 'pending') {
          pending = {
            // One revocation for one entry of the audit log: its id is as unique, and as ordered.
            id: by.id.replace(/^(evt_)?/, 'rev_'),
            connectionId: id,
            integration: before.integration,
            params: before.params,
            captured: before.captured,
            accessToken: grant!.accessToken,
            refreshToken: grant!.refreshToken,
            attempts: 0,
            nextAt: firstTryAt,
            createdAt: by.at,
          };
          orm.insert(pendingRevocations).values(pending).run();
        }
        record(by, { kind: 'connection', id, generation: before.generation });
        return { connection: { ...before, ...change }, already: false, pending };
      }),

    addPendingRevocation: (revocation) =>
      write(() => {
        orm.insert(pendingRevocations).values(revocation).run();
        const change = { upstreamRevocation: 'pending', updatedAt: revocation.createdAt } as const;
        orm.update(connections).set(change).where(tombstone(revocation.connectionId)).run();
      }),

    claimRevocations: async (now, pushTo, limit) => {
      if (!(await read(() => due.get({ now, limit: 1 })))) return [];
      return write(() =>
        due.all({ now, limit }).map((revocation) => {
          const change = { nextAt: pushTo, attempts: revocation.attempts + 1 };
          orm.update(pendingRevocations).set(change).where(eq(pendingRevocations.id, revocation.id)).run();
          return { ...revocation, ...change };
        }),
      );
    },

    settleRevocation: (id, outcome, by) =>
      write(() => {
        const [settled] = orm.delete(pendingRevocations).where(eq(pendingRevocations.id, id)).returning().all();
        if (!settled) return;
        const others = orm
          .select({ id: pendingRevocations.id })
          .from(pendingRevocations)
          .where(eq(pendingRevocations.connectionId, settled.connectionId))
          .get();
        if (!others)
          orm
            .update(connections)
            .set({ upstreamRevocation: outcome, updatedAt: by.at })
            .where(tombstone(settled.connectionId))
            .run();
        record(by);
      }),

    postponeRevocation: (id, nextAt) =>
      write(() => void orm.update(pendingRevocations).set({ nextAt }).where(eq(pendingRevocations.id, id)).run()),
  };
}
