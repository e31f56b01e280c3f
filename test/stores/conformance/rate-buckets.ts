// The contract of the store: turns at a provider, shared by all processes.
import { expect, test } from 'vitest';
import type { Opened } from './index.ts';

export function rateBuckets(at: Opened): void {
  const limits = { perSecond: 1, burst: 8, reserve: 0 };

  test('gives a burst, and then what has come since', async () => {
    expect(await at.store.takeFromBucket('slack', 5, limits)).toEqual({ taken: 5, inMs: 0 });
    const rest = await at.store.takeFromBucket('slack', 5, limits);
    expect(rest.taken).toBe(3);
    const none = await at.store.takeFromBucket('slack', 1, limits);
    expect(none.taken).toBe(0);
    expect(none.inMs).toBeGreaterThan(0);
    expect(none.inMs).toBeLessThanOrEqual(1_000);
    const quick = { ...limits, perSecond: 2_000 };
    await expect.poll(async () => (await at.store.takeFromBucket('slack', 1, quick)).taken, { interval: 1 }).toBe(1);
  });

  test('leaves some to those who are in more of a hurry', async () => {
    const patient = { ...limits, reserve: 2 };
    expect((await at.store.takeFromBucket('slack', 20, patient)).taken).toBe(6);
    expect((await at.store.takeFromBucket('slack', 20, patient)).taken).toBe(0);
    expect((await at.store.takeFromBucket('slack', 20, limits)).taken).toBe(2);
  });

  test('shares one integration among all processes, and no two integrations', async () => {
    const other = await at.another();
    const many = Array.from({ length: 20 }, (_, i) => (i % 2 ? other : at.store).takeFromBucket('slack', 1, limits));
    const taken = (await Promise.all(many)).reduce((sum, each) => sum + each.taken, 0);
    expect(taken).toBeGreaterThanOrEqual(8);
    // One more may have come meanwhile.
    expect(taken).toBeLessThanOrEqual(9);
    expect((await other.takeFromBucket('github', 1, limits)).taken).toBe(1);
  });

  test('holds no more than the burst, however small that has become', async () => {
    expect((await at.store.takeFromBucket('slack', 1, limits)).taken).toBe(1);
    const less = { ...limits, burst: 2 };
    expect((await at.store.takeFromBucket('slack', 8, less)).taken).toBe(2);
  });
}
