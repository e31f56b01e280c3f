// Tombstones, and the outbox of revocations that the provider has still to confirm, in PostgreSQL.
import { and, eq, sql } from 'drizzle-orm';
import type { PendingRevocation, Store } from '../../ports/index.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { connections, grants, leases, pendingRevocations } from './schema.ts';

type RevocationStore = Pick<
  Store,
  'revoke' | 'addPendingRevocation' | 'claimRevocations' | 'settleRevocation' | 'postponeRevocation'
>;

export function revocationStore({ ask, write, record }: PostgresAccess): RevocationStore {
  const tombstone = (id: string) => and(eq(connections.id, id), eq(connections.status, 'revoked'));
  const locked = (orm: Orm, id: string) =>
    orm.select().from(connections).where(eq(connections.id, id)).for('no key update');

  return {
    revoke: (id, upstream, firstTryAt, by) =>
      write(async (orm) => {
        const [before] = await locked(orm, id);
        if (!before) return undefined;
        if (before.status === 'revoked') return { connection: before, already: true, pending: null };
        const [grant] = await orm.delete(grants).where(eq(grants.connectionId, id)).returning();
        await orm.delete(leases).where(eq(leases.connectionId, id));
        const change = {
          status: 'revoked',
          reason: null,
          nextRefreshAt: null,
          reauthDueAt: null,
          upstreamRevocation: upstream,
          updatedAt: by.at,
        } as const;
        await orm.update(connections).set(change).where(eq(connections.id, id));
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
          await orm.insert(pendingRevocations).values(pending);
        }
        await record(orm, by, { kind: 'connection', id, generation: before.generation });
        return { connection: { ...before, ...change }, already: false, pending };
      }),

    addPendingRevocation: (revocation) =>
      write(async (orm) => {
        await locked(orm, revocation.connectionId);
        await orm.insert(pendingRevocations).values(revocation);
        const change = { upstreamRevocation: 'pending', updatedAt: revocation.createdAt } as const;
        await orm.update(connections).set(change).where(tombstone(revocation.connectionId));
      }),

    claimRevocations: (now, pushTo, limit) =>
      ask(async (orm) => {
        const due = orm.$with('due', { id: sql<string>`id`.as('due_id') }).as(
          sql`select ${pendingRevocations.id} as due_id from ${pendingRevocations}
            where ${pendingRevocations.nextAt} <= ${now}
            order by ${pendingRevocations.nextAt} limit ${limit} for no key update skip locked`,
        );
        const taken = await orm
          .with(due)
          .update(pendingRevocations)
          .set({ nextAt: pushTo, attempts: sql`${pendingRevocations.attempts} + 1` })
          .where(sql`${pendingRevocations.id} in (select due_id from due)`)
          .returning();
        return taken;
      }),

    settleRevocation: (id, outcome, by) =>
      write(async (orm) => {
        const one = eq(pendingRevocations.id, id);
        const [owed] = await orm.select().from(pendingRevocations).where(one);
        if (!owed) return;
        // Before it is destroyed: of two of one connection that settle at once, the later one shows the outcome.
        await locked(orm, owed.connectionId);
        const settled = await orm.delete(pendingRevocations).where(one).returning({ id: pendingRevocations.id });
        if (settled.length === 0) return;
        const [other] = await orm
          .select({ id: pendingRevocations.id })
          .from(pendingRevocations)
          .where(eq(pendingRevocations.connectionId, owed.connectionId))
          .limit(1);
        if (!other)
          await orm
            .update(connections)
            .set({ upstreamRevocation: outcome, updatedAt: by.at })
            .where(tombstone(owed.connectionId));
        await record(orm, by);
      }),

    postponeRevocation: (id, nextAt) =>
      ask(async (orm) => {
        await orm.update(pendingRevocations).set({ nextAt }).where(eq(pendingRevocations.id, id));
      }),
  };
}
