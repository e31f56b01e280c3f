// Clients that are registered at authorization servers of others, in PostgreSQL.
import { and, asc, count, eq, gt, inArray, isNull, lt, lte, or, type SQL } from 'drizzle-orm';
import type { RegistrationBounds, RegistrationStore } from '../../ports/index.ts';
import { inExcess, isFree, UNCLAIMED } from '../shared/client-registrations.ts';
import { deleteSome } from './chosen-rows.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { clientRegistrations, integrations } from './schema.ts';

export function createRegistrationStore({ autocommit, transaction, record }: PostgresAccess): RegistrationStore {
  const { id, claimedBy, claimedUntil, createdAt, updatedAt, client } = clientRegistrations;
  const heldBy = (one: string, by: string) => and(eq(id, one), eq(claimedBy, by));

  /** Whether there is room for a new one. Of several that look at the same time each may be one too many. */
  async function makeRoom(orm: Orm, integration: string, now: number, bounds: RegistrationBounds): Promise<boolean> {
    const own = eq(clientRegistrations.integration, integration);
    const counted = async (where: SQL | undefined) =>
      (await orm.select({ n: count() }).from(clientRegistrations).where(where))[0]?.n ?? 0;
    if ((await counted(and(own, gt(createdAt, bounds.since)))) >= bounds.mostNew) return false;
    const excess = inExcess(await counted(own), bounds);
    if (excess === 0) return true;
    const idle = await orm
      .select({ id })
      .from(clientRegistrations)
      .where(and(own, or(isNull(claimedUntil), lte(claimedUntil, now))))
      .orderBy(asc(updatedAt))
      .limit(excess)
      .for('update', { skipLocked: true });
    if (idle.length < excess) return false;
    const ids = idle.map((one) => one.id);
    await orm.delete(clientRegistrations).where(inArray(id, ids));
    return true;
  }

  return {
    clientRegistration: (one) =>
      autocommit(async (orm) => (await orm.select().from(clientRegistrations).where(eq(id, one)))[0]),
    claimRegistration: ({ version, ...place }, { by, now, until }, bounds) =>
      transaction(async (orm) => {
        // Its deletion waits for this, or this for it.
        const [integration] = await orm
          .select({ id: integrations.id })
          .from(integrations)
          .where(eq(integrations.id, place.integration))
          .for('share');
        if (!integration) return 'taken';
        const claim = { claimedBy: by, claimedUntil: until, updatedAt: now };
        const [before] = await orm.select().from(clientRegistrations).where(eq(id, place.id)).for('no key update');
        if (!before) {
          if (version !== 0) return 'taken';
          if (!(await makeRoom(orm, place.integration, now, bounds))) return 'too_many';
          const row = { ...place, ...claim, version: 0, client: null, createdAt: now };
          const added = await orm.insert(clientRegistrations).values(row).onConflictDoNothing().returning({ id });
          return added.length > 0 ? 'claimed' : 'taken';
        }
        if (before.version !== version || !isFree(before, now)) return 'taken';
        await orm.update(clientRegistrations).set(claim).where(eq(id, place.id));
        return 'claimed';
      }),
    storeRegistration: (one, by, client, now, audit) =>
      transaction(async (orm) => {
        const [before] = await orm.select().from(clientRegistrations).where(heldBy(one, by)).for('no key update');
        if (!before) return false;
        const change = { ...UNCLAIMED, client, version: before.version + 1, updatedAt: now };
        await orm.update(clientRegistrations).set(change).where(eq(id, one));
        await record(orm, audit);
        return true;
      }),
    releaseRegistration: (one, by) =>
      transaction(async (orm) => {
        await orm.delete(clientRegistrations).where(and(heldBy(one, by), isNull(client)));
        await orm.update(clientRegistrations).set(UNCLAIMED).where(heldBy(one, by));
      }),
    touchRegistration: (one, now) =>
      autocommit(async (orm) => {
        await orm.update(clientRegistrations).set({ updatedAt: now }).where(eq(id, one));
      }),
    deleteRegistrations: (before, limit) =>
      autocommit((orm) => deleteSome(orm, clientRegistrations, id, lt(updatedAt, before), limit)),
  };
}
