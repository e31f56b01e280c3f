// Clients that are registered at authorization servers of others, in SQLite.
import { and, asc, count, eq, gt, inArray, isNull, lt, lte, or, type SQL } from 'drizzle-orm';
import type { RegistrationBounds, RegistrationStore } from '../../ports/index.ts';
import { inExcess, isFree, UNCLAIMED } from '../shared/client-registrations.ts';
import { deleteSome } from './chosen-rows.ts';
import type { SqliteAccess } from './client.ts';
import { clientRegistrations, integrations } from './schema.ts';

export function createRegistrationStore({ orm, read, write, record }: SqliteAccess): RegistrationStore {
  const { id, claimedBy, claimedUntil, createdAt, updatedAt, client } = clientRegistrations;
  const byId = (one: string) => orm.select().from(clientRegistrations).where(eq(id, one)).get();
  const heldBy = (one: string, by: string) => and(eq(id, one), eq(claimedBy, by));
  const ofIntegration = (integration: string) => eq(clientRegistrations.integration, integration);
  const counted = (where: SQL | undefined) =>
    orm.select({ n: count() }).from(clientRegistrations).where(where).get()?.n ?? 0;

  /** Whether there is room for a new one. */
  function makeRoom(integration: string, now: number, bounds: RegistrationBounds): boolean {
    const own = ofIntegration(integration);
    if (counted(and(own, gt(createdAt, bounds.since))) >= bounds.mostNew) return false;
    const excess = inExcess(counted(own), bounds);
    if (excess === 0) return true;
    const idle = orm
      .select({ id })
      .from(clientRegistrations)
      .where(and(own, or(isNull(claimedUntil), lte(claimedUntil, now))))
      .orderBy(asc(updatedAt))
      .limit(excess)
      .all()
      .map((one) => one.id);
    if (idle.length < excess) return false;
    orm.delete(clientRegistrations).where(inArray(id, idle)).run();
    return true;
  }

  return {
    clientRegistration: (one) => read(() => byId(one)),
    claimRegistration: ({ version, ...place }, { by, now, until }, bounds) =>
      write(() => {
        const integration = orm
          .select({ id: integrations.id })
          .from(integrations)
          .where(eq(integrations.id, place.integration));
        if (integration.get() === undefined) return 'taken';
        const claim = { claimedBy: by, claimedUntil: until, updatedAt: now };
        const before = byId(place.id);
        if (before === undefined) {
          if (version !== 0) return 'taken';
          if (!makeRoom(place.integration, now, bounds)) return 'too_many';
          orm
            .insert(clientRegistrations)
            .values({ ...place, ...claim, version: 0, client: null, createdAt: now })
            .run();
          return 'claimed';
        }
        if (before.version !== version || !isFree(before, now)) return 'taken';
        orm.update(clientRegistrations).set(claim).where(eq(id, place.id)).run();
        return 'claimed';
      }),
    storeRegistration: (one, by, client, now, audit) =>
      write(() => {
        const before = orm.select().from(clientRegistrations).where(heldBy(one, by)).get();
        if (before === undefined) return false;
        const change = { ...UNCLAIMED, client, version: before.version + 1, updatedAt: now };
        orm.update(clientRegistrations).set(change).where(eq(id, one)).run();
        record(audit);
        return true;
      }),
    releaseRegistration: (one, by) =>
      write(() => {
        orm
          .delete(clientRegistrations)
          .where(and(heldBy(one, by), isNull(client)))
          .run();
        orm.update(clientRegistrations).set(UNCLAIMED).where(heldBy(one, by)).run();
      }),
    touchRegistration: (one, now) =>
      write(() => void orm.update(clientRegistrations).set({ updatedAt: now }).where(eq(id, one)).run()),
    deleteRegistrations: (before, limit) =>
      write(() => deleteSome(orm, clientRegistrations, id, lt(updatedAt, before), limit)),
  };
}
