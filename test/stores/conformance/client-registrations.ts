// The contract of the store: clients that are registered at authorization servers, by one process of all.
import { expect, test } from 'vitest';
import { aCiphertext, anEntry, anIntegration, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function clientRegistrations(at: Opened): void {
  const place = { id: 'slack/abc', integration: 'slack', issuer: 'https://as.example', version: 0 };
  const claimOf = (by: string, now = NOW) => ({ by, now, until: now + 1_000 });
  const BOUNDS = { most: 3, mostNew: 10, since: NOW - 60_000 };
  const withIntegration = () => at.store.putIntegration(anIntegration(), anEntry());

  test('of many that claim a registration at the same time one gets it, and stores the client with its audit entry', async () => {
    await withIntegration();
    const another = await at.another();
    const claims = [1, 2, 3, 4].map((n) =>
      (n % 2 ? at.store : another).claimRegistration(place, claimOf(`reg_${n}`), BOUNDS),
    );
    const got = await Promise.all(claims);
    expect(got.toSorted()).toEqual(['claimed', 'taken', 'taken', 'taken']);
    const by = `reg_${got.indexOf('claimed') + 1}`;
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
      at.store.claimRegistration({ ...place, version }, claimOf(by, now), BOUNDS);
    expect(await claim('reg_1', 1, NOW)).toBe('taken');
    expect(await claim('reg_1', 0, NOW)).toBe('claimed');
    expect(await claim('reg_2', 0, NOW + 999)).toBe('taken');
    // Its process was killed.
    expect(await claim('reg_2', 0, NOW + 1_000)).toBe('claimed');
    expect(await at.store.storeRegistration(place.id, 'reg_1', aCiphertext('client'), NOW, anEntry())).toBe(false);
    await at.store.releaseRegistration(place.id, 'reg_1');
    expect(await claim('reg_3', 0, NOW + 1_001)).toBe('taken');
    await at.store.releaseRegistration(place.id, 'reg_2');
    expect(await claim('reg_3', 0, NOW + 1_001)).toBe('claimed');
    await at.store.storeRegistration(place.id, 'reg_3', aCiphertext('client'), NOW, anEntry());
    expect(await claim('reg_4', 0, NOW + 9_000)).toBe('taken');
    expect(await claim('reg_4', 1, NOW + 9_000)).toBe('claimed');
  });

  test('it ends with its integration, and there is none without one', async () => {
    expect(await at.store.claimRegistration(place, claimOf('reg_1'), BOUNDS)).toBe('taken');
    await withIntegration();
    expect(await at.store.claimRegistration(place, claimOf('reg_1'), BOUNDS)).toBe('claimed');
    expect(await at.store.deleteIntegration('slack', anEntry())).toBe('deleted');
    expect(await at.store.clientRegistration(place.id)).toBeUndefined();
  });

  test('of an integration there are so many, and so many new ones: the one that was idle longest makes room', async () => {
    await withIntegration();
    const claim = (id: string, now: number, bounds = BOUNDS, integration = 'slack') =>
      at.store.claimRegistration({ ...place, id, integration }, claimOf(id, now), bounds);
    for (const [i, id] of ['a', 'b', 'c'].entries()) {
      expect(await claim(id, NOW + i)).toBe('claimed');
      await at.store.storeRegistration(id, id, aCiphertext(id), NOW + i, anEntry());
    }
    await at.store.touchRegistration('a', NOW + 5);
    await at.store.touchRegistration('none', NOW + 5);
    expect(await claim('d', NOW + 6, { ...BOUNDS, mostNew: 3 })).toBe('too_many');
    expect(await claim('d', NOW + 6)).toBe('claimed');
    const there = async () => {
      const rows = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((id) => at.store.clientRegistration(id)));
      return rows.flatMap((row) => (row ? [row.id] : [])).join('');
    };
    expect(await there()).toBe('acd');
    // One that is being registered makes no room, and what was never registered leaves nothing.
    expect(await claim('e', NOW + 7, { ...BOUNDS, most: 1 })).toBe('too_many');
    await at.store.releaseRegistration('d', 'd');
    expect(await there()).toBe('ac');
    // Others of the same version are no new ones.
    await at.store.touchRegistration('a', NOW + 5);
    expect(await at.store.deleteRegistrations(NOW + 5, 9)).toBe(false);
    expect(await there()).toBe('a');
    const next = at.store.claimRegistration({ ...place, id: 'a', version: 1 }, claimOf('z'), { ...BOUNDS, mostNew: 0 });
    expect(await next).toBe('claimed');
  });
}
