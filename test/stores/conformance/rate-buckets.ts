// The contract of the store: token buckets that all processes share.
import { expect, test } from 'vitest';
import type { Opened } from './index.ts';

export function rateBuckets(at: Opened): void {
  /** So slow that nothing is added while a test runs. */
  const limits = { perSecond: 0.001, burst: 8, reserve: 0 };

  test('a bucket holds a burst, and refills at its rate', async () => {
    expect(await at.store.takeFromBucket('slack', 5, limits)).toEqual({ taken: 5, inMs: 0 });
    const rest = await at.store.takeFromBucket('slack', 5, limits);
    expect(rest.taken).toBe(3);
    const none = await at.store.takeFromBucket('slack', 1, limits);
    expect(none.taken).toBe(0);
    expect(none.inMs).toBeGreaterThan(0);
    expect(none.inMs).toBeLessThanOrEqual(1_000_000);
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
    expect(taken).toBe(8);
    expect((await other.takeFromBucket('github', 1, limits)).taken).toBe(1);
  });

  test('a smaller burst limits what the bucket holds', async () => {
    expect((await at.store.takeFromBucket('slack', 1, limits)).taken).toBe(1);
    const less = { ...limits, burst: 2 };
    expect((await at.store.takeFromBucket('slack', 8, less)).taken).toBe(2);
  });

  test('a blocked bucket gives nothing until then, to any process, and a shorter block does not end it sooner', async () => {
    const other = await at.another();
    expect((await at.store.takeFromBucket('api/slack', 1, limits)).taken).toBe(1);
    await at.store.blockBucket('api/slack', 60_000);
    await other.blockBucket('api/slack', 10);
    const { taken, inMs } = await other.takeFromBucket('api/slack', 1, limits);
    expect(taken).toBe(0);
    expect(inMs).toBeGreaterThan(50_000);
    expect(inMs).toBeLessThanOrEqual(60_000);
    expect((await other.takeFromBucket('api/github', 1, limits)).taken).toBe(1);
    await other.blockBucket('api/github', 1);
    await expect.poll(async () => (await at.store.takeFromBucket('api/github', 1, limits)).taken).toBe(1);
  });

  test('what is blocked is listed, the longest first, also a bucket that nothing was taken from', async () => {
    const other = await at.another();
    expect(await other.blockedBuckets(9)).toEqual([]);
    await at.store.blockBucket('api/a', 30_000);
    await at.store.blockBucket('api/b', 60_000.5);
    await at.store.blockBucket('api/over', 0);
    const blocked = await other.blockedBuckets(9);
    expect(blocked.map(({ bucket }) => bucket)).toEqual(['api/b', 'api/a']);
    for (const { forMs } of blocked) expect(forMs).toBeGreaterThan(25_000);
    expect(await other.blockedBuckets(1)).toHaveLength(1);
  });

  test('idle buckets are deleted, and not those that are blocked', async () => {
    for (const bucket of ['a', 'b', 'c']) await at.store.takeFromBucket(bucket, 8, limits);
    await at.store.blockBucket('c', 60_000);
    expect(await at.store.deleteIdleBuckets(60_000, 9)).toBe(false);
    expect((await at.store.takeFromBucket('a', 1, limits)).taken).toBe(0);
    await expect.poll(() => at.store.deleteIdleBuckets(1, 1)).toBe(true);
    const takesAll = async () => {
      await at.store.deleteIdleBuckets(1, 9);
      return (await at.store.takeFromBucket('a', 8, limits)).taken;
    };
    await expect.poll(takesAll).toBe(8);
    expect(await at.store.blockedBuckets(9)).toHaveLength(1);
  });

  test('the processes that use the database are counted', async () => {
    expect(await at.store.countProcesses()).toBeGreaterThanOrEqual(1);
  });
}
