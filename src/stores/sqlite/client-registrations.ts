// Clients that are registered at authorization servers of others, in SQLite.
import { and, eq } from 'drizzle-orm';
import type { RegistrationStore } from '../../ports/index.ts';
import { isFree, UNCLAIMED } from '../shared/client-registrations.ts';
import type { SqliteAccess } from './client.ts';
import { clientRegistrations, integrations } from './schema.ts';

export function createRegistrationStore({ orm, read, write, record }: SqliteAccess): RegistrationStore {
  const { id, claimedBy } = clientRegistrations;
  const byId = (one: string) => orm.select().from(clientRegistrations).where(eq(id, one)).get();
  const heldBy = (one: string, by: string) => and(eq(id, one), eq(claimedBy, by));

  return {
    clientRegistration: (one) => read(() => byId(one)),
    claimRegistration: ({ version, ...place }, { by, now, until }) =>
      write(() => {
        const integration = orm
          .select({ id: integrations.id })
          .from(integrations)
          .where(eq(integrations.id, place.integration));
        if (integration.get() === undefined) return false;
        const claim = { claimedBy: by, claimedUntil: until, updatedAt: now };
        const before = byId(place.id);
        if (before === undefined) {
          if (version !== 0) return false;
          orm
            .insert(clientRegistrations)
            .values({ ...place, ...claim, version: 0, client: null, createdAt: now })
            .run();
          return true;
        }
        if (before.version !== version || !isFree(before, now)) return false;
        orm.update(clientRegistrations).set(claim).where(eq(id, place.id)).run();
        return true;
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
      write(() => void orm.update(clientRegistrations).set(UNCLAIMED).where(heldBy(one, by)).run()),
  };
}
