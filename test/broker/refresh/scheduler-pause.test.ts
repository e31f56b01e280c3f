// After an outage of the store: due connections wait for lost commits to be committed again, refreshes in doubt do not.
import { expect, onTestFinished, test, vi } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { startScheduler } from '../../../src/broker/refresh/scheduler.ts';
import { refuse } from '../../../src/domain/errors.ts';
import { SCHEDULER_TICK_MS } from '../../../src/domain/time-limits.ts';
import { type Store, StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { connected } from '../../stores/builders.ts';

const done = refuse({ code: 'not_found', what: 'connection', id: 'none' });

/** A scheduler with one connection due and one refresh in doubt, and a record of which of them were begun. */
async function setUp(mayLoseCommits: boolean, wrap: (store: Store) => Partial<Store> = () => ({})) {
  const store = await openSqlite('file::memory:');
  let nowMs = 0;
  // It stands still: on a busy machine, ticks come late, and the hold would have passed.
  const clock = { now: () => Date.now(), monotonic: () => nowMs };
  const begun: string[] = [];
  const beginning = (what: string) => async () => {
    begun.push(what);
    return done;
  };
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const refresher = { refreshAhead: beginning('due'), resolve: beginning('in doubt') };
  const scheduler = startScheduler({
    store: { ...store, unresolvedRefreshes: async () => [{ id: 'con_1', startedAt: Date.now() }], ...wrap(store) },
    refresher,
    rateLimiter: { capacity: () => 8 },
    circuitBreakers: { capacity: () => Number.POSITIVE_INFINITY },
    targets: { known: () => Promise.reject(new Error('not asked for')) },
    mayLoseCommits,
    clock,
    log: createLogger('silent'),
  });
  onTestFinished(async () => {
    await scheduler.stop();
    vi.useRealTimers();
    await store.close();
  });
  const due = () => connected(store, { nextRefreshAt: Date.now() - 1 });
  return { scheduler, begun, due, pass: (ms: number) => (nowMs += ms) };
}
const SOON = { timeout: 30_000, interval: 10 };
/** For each look: the next tick. */
const tick = () => void vi.advanceTimersByTime(SCHEDULER_TICK_MS);

/** Twice: due connections are claimed right after the refreshes in doubt, if they are. */
function inDoubt(begun: string[]) {
  const looked = () => {
    tick();
    return begun.filter((one) => one === 'in doubt').length;
  };
  return expect.poll(looked, SOON).toBeGreaterThanOrEqual(2);
}

test('hold: due connections wait until it has passed', async () => {
  const { scheduler, begun, due, pass } = await setUp(true);
  scheduler.hold();
  await due();
  begun.length = 0;
  await inDoubt(begun);
  expect(begun).not.toContain('due');
  pass(4_000);
  const looked = () => {
    tick();
    return begun;
  };
  await expect.poll(looked, SOON).toContain('due');
});

test.each([
  ['may lose commits: due connections wait', true],
  ['loses no commits: due connections are claimed', false],
])('failed tick, store that %s', async (_, mayLoseCommits) => {
  let failing = true;
  const { begun, due } = await setUp(mayLoseCommits, (store) => ({
    dueIntegrations: (now) => {
      if (!failing) return store.dueIntegrations(now);
      failing = false;
      return Promise.reject(new StoreError('away'));
    },
  }));
  await due();
  await expect.poll(() => failing, SOON).toBe(false);
  begun.length = 0;
  await inDoubt(begun);
  expect(begun.includes('due')).toBe(!mayLoseCommits);
});
