// Connections that are due and cannot be refreshed: they are put off, and do not come back at once.
import { expect, onTestFinished, test, vi } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { startScheduler } from '../../../src/broker/refresh/scheduler.ts';
import { refuse } from '../../../src/domain/errors.ts';
import { CLAIMED_DUE_AGAIN_MS, SCHEDULER_TICK_MS } from '../../../src/domain/time-limits.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { connected, NOW } from '../../stores/builders.ts';

const SOON = { timeout: 30_000, interval: 10 };

async function setUp(refreshAhead: () => Promise<ReturnType<typeof refuse>>) {
  const store = await openSqlite('file::memory:');
  let now = NOW;
  let ticks = 0;
  const begun: string[] = [];
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const scheduler = startScheduler({
    store: {
      ...store,
      unresolvedRefreshes: async () => {
        ticks++;
        return [];
      },
    },
    refresher: {
      refreshAhead: ({ id }) => {
        begun.push(id);
        return refreshAhead();
      },
      resolve: refreshAhead,
    },
    rateLimiter: { capacity: () => 2 },
    circuitBreakers: { capacity: () => Number.POSITIVE_INFINITY },
    targets: { known: () => Promise.reject(new Error('not asked for')) },
    mayLoseCommits: false,
    clock: { now: () => now, monotonic: () => 0 },
    log: createLogger('silent'),
  });
  onTestFinished(async () => {
    await scheduler.stop();
    vi.useRealTimers();
    await store.close();
  });
  const ticked = async (count: number) => {
    const wanted = ticks + count;
    const looked = () => {
      vi.advanceTimersByTime(SCHEDULER_TICK_MS);
      return ticks;
    };
    await expect.poll(looked, SOON).toBeGreaterThanOrEqual(wanted);
  };
  return { store, begun, ticked, pass: (ms: number) => (now += ms) };
}

test('refused ones are begun once, put off in the store, and leave their places to others', async () => {
  const done = refuse({ code: 'not_found', what: 'connection', id: 'none' });
  const { store, begun, ticked, pass } = await setUp(async () => done);
  const ids: string[] = [];
  for (let i = 0; i < 6; i++) ids.push((await connected(store, { nextRefreshAt: NOW - 10 + i })).connection.id);
  await ticked(4);
  await expect.poll(() => [...begun].sort(), SOON).toEqual([...ids].sort());
  await expect.poll(() => store.dueIntegrations(NOW), SOON).toEqual([]);
  await ticked(3);
  expect(begun).toHaveLength(ids.length);
  pass(CLAIMED_DUE_AGAIN_MS);
  await ticked(4);
  await expect.poll(() => begun.length, SOON).toBe(2 * ids.length);
});

test('one whose refresh is under way is not begun again', async () => {
  const slow = Promise.withResolvers<ReturnType<typeof refuse>>();
  const { store, begun, ticked } = await setUp(() => slow.promise);
  const first = (await connected(store, { nextRefreshAt: NOW - 2 })).connection.id;
  const second = (await connected(store, { nextRefreshAt: NOW - 1 })).connection.id;
  await expect.poll(() => ticked(1).then(() => begun.length), SOON).toBe(2);
  await ticked(3);
  expect(begun.sort()).toEqual([first, second].sort());
  expect(await store.dueIntegrations(NOW)).toHaveLength(1);
  slow.resolve(refuse({ code: 'not_found', what: 'connection', id: 'none' }));
});
