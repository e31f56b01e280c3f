// The contract of the store: clients that are registered at authorization servers, by one process of all.
import { expect, test } from 'vitest';
import { aCiphertext, anEntry, anIntegration, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function clientRegistrations(at: Opened): void {
  const place = { id: 'slack/abc', integration: 'slack', issuer: 'https://as.example', version: 0 };
  const claimOf = (by: string, now = NOW) => ({ by, now, until: now + 1_000 });
  const withIntegration = () => at.store.putIntegration(anIntegration(), anEntry());

  test('of many that claim a registration at the same time one gets it, and stores the client with its audit entry', async () => {
    await withIntegration();
    const another = await at.another();
    const claims = [1, 2, 3, 4].map((n) => (n % 2 ? at.store : another).claimRegistration(place, claimOf(`reg_${n}`)));
    const got = await Promise.all(claims);
    expect(got.filter(Boolean)).toHaveLength(1);
    const by = `reg_${got.indexOf(true) + 1}`;
    expect(await another.clientRegistration(place.id)).toEqual({
      ...{ ...place, client: null, claimedBy: by, claimedUntil: NOW + 1_000 },
      ...{ createdAt: NOW, updatedAt: NOW },
    });

    const [client, entry, refused] = [aCiphertext('client'), anEntry(), anEntry()];
    expect(await another.storeRegistration(place.id, 'reg_other', client, NOW, refused)).toBe(false);
    expect(await at.store.storeRegistration(place.id, by, client, NOW + 5, entry)).toBe(true);
    expect([await recorded(at.store, entry), await recorded(at.store, refused)]).toEqual([true, false]);
    const stored = { ...place, client, version: 1, claimedBy: null, claimedUntil: null, createdAt: NOW };
    expect(await another.clientRegistration(place.id)).toEqual({ ...stored, updatedAt: NOW + 5 });
    // It has ended with the client.
    expect(await at.store.storeRegistration(place.id, by, client, NOW + 6, anEntry())).toBe(false);
    expect(await at.store.clientRegistration('slack/none')).toBeUndefined();
  });

  test('a claim is of one version, and ends by itself or when it is given back', async () => {
    await withIntegration();
    const claim = (by: string, version: number, now: number) =>
      at.store.claimRegistration({ ...place, version }, claimOf(by, now));
    expect(await claim('reg_1', 1, NOW)).toBe(false);
    expect(await claim('reg_1', 0, NOW)).toBe(true);
    expect(await claim('reg_2', 0, NOW + 999)).toBe(false);
    // Its process was killed.
    expect(await claim('reg_2', 0, NOW + 1_000)).toBe(true);
    expect(await at.store.storeRegistration(place.id, 'reg_1', aCiphertext('client'), NOW, anEntry())).toBe(false);
    await at.store.releaseRegistration(place.id, 'reg_1');
    expect(await claim('reg_3', 0, NOW + 1_001)).toBe(false);
    await at.store.releaseRegistration(place.id, 'reg_2');
    expect(await claim('reg_3', 0, NOW + 1_001)).toBe(true);
    await at.store.storeRegistration(place.id, 'reg_3', aCiphertext('client'), NOW, anEntry());
    expect(await claim('reg_4', 0, NOW + 9_000)).toBe(false);
    expect(await claim('reg_4', 1, NOW + 9_000)).toBe(true);
  });

  test('it ends with its integration, and there is none without one', async () => {
    expect(await at.store.claimRegistration(place, claimOf('reg_1'))).toBe(false);
    await withIntegration();
    expect(await at.store.claimRegistration(place, claimOf('reg_1'))).toBe(true);
    expect(await at.store.deleteIntegration('slack', anEntry())).toBe('deleted');
    expect(await at.store.clientRegistration(place.id)).toBeUndefined();
  });
}
