// Clients that are registered at authorization servers of others, in PostgreSQL.
import { and, eq } from 'drizzle-orm';
import type { RegistrationStore } from '../../ports/index.ts';
import { isFree, UNCLAIMED } from '../shared/client-registrations.ts';
import type { PostgresAccess } from './client.ts';
import { clientRegistrations, integrations } from './schema.ts';

export function createRegistrationStore({ autocommit, transaction, record }: PostgresAccess): RegistrationStore {
  const { id, claimedBy } = clientRegistrations;
  const heldBy = (one: string, by: string) => and(eq(id, one), eq(claimedBy, by));

  return {
    clientRegistration: (one) =>
      autocommit(async (orm) => (await orm.select().from(clientRegistrations).where(eq(id, one)))[0]),
    claimRegistration: ({ version, ...place }, { by, now, until }) =>
      transaction(async (orm) => {
        // Its deletion waits for this, or this for it.
        const [integration] = await orm
          .select({ id: integrations.id })
          .from(integrations)
          .where(eq(integrations.id, place.integration))
          .for('share');
        if (!integration) return false;
        const claim = { claimedBy: by, claimedUntil: until, updatedAt: now };
        if (version === 0) {
          const row = { ...place, ...claim, version: 0, client: null, createdAt: now };
          const added = await orm.insert(clientRegistrations).values(row).onConflictDoNothing().returning({ id });
          if (added.length > 0) return true;
        }
        const [before] = await orm.select().from(clientRegistrations).where(eq(id, place.id)).for('no key update');
        if (!before || before.version !== version || !isFree(before, now)) return false;
        await orm.update(clientRegistrations).set(claim).where(eq(id, place.id));
        return true;
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
      autocommit(async (orm) => {
        await orm.update(clientRegistrations).set(UNCLAIMED).where(heldBy(one, by));
      }),
  };
}
