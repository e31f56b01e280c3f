// The contract of the store: token buckets that all processes share.
import { expect, test } from 'vitest';
import type { Opened } from './index.ts';

export function rateBuckets(at: Opened): void {
  const limits = { perSecond: 1, burst: 8, reserve: 0 };

  test('a bucket holds a burst, and refills at its rate', async () => {
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

  test('a reserve is left to calls without one', async () => {
    const background = { ...limits, reserve: 2 };
    expect((await at.store.takeFromBucket('slack', 20, background)).taken).toBe(6);
    expect((await at.store.takeFromBucket('slack', 20, background)).taken).toBe(0);
    expect((await at.store.takeFromBucket('slack', 20, limits)).taken).toBe(2);
  });

  test('processes share the bucket of an integration, and integrations have buckets of their own', async () => {
    const other = await at.another();
    const many = Array.from({ length: 20 }, (_, i) => (i % 2 ? other : at.store).takeFromBucket('slack', 1, limits));
    const taken = (await Promise.all(many)).reduce((sum, each) => sum + each.taken, 0);
    expect(taken).toBeGreaterThanOrEqual(8);
    // One more may have been added meanwhile.
    expect(taken).toBeLessThanOrEqual(9);
    expect((await other.takeFromBucket('github', 1, limits)).taken).toBe(1);
  });

  test('a smaller burst limits what the bucket holds', async () => {
    expect((await at.store.takeFromBucket('slack', 1, limits)).taken).toBe(1);
    const less = { ...limits, burst: 2 };
    expect((await at.store.takeFromBucket('slack', 8, less)).taken).toBe(2);
  });
}
