// After the store was away: what is only due waits for whoever has something to keep once more; what is in doubt does not.
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/telemetry.ts';
import { startScheduler } from '../../../src/broker/refresh/scheduler.ts';
import { refuse } from '../../../src/domain/errors.ts';
import { type Store, StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { connected } from '../../stores/builders.ts';

const done = refuse({ code: 'not_found', what: 'connection', id: 'none' });

/** One that is due, and one in doubt; tells which of them were begun. */
async function scheduled(mayLoseCommits: boolean, wrap: (store: Store) => Partial<Store> = () => ({})) {
  const store = await openSqlite('file::memory:');
  let moved = 0;
  const clock = { now: () => Date.now(), monotonic: () => performance.now() + moved };
  const begun: string[] = [];
  const beginning = (what: string) => async () => {
    begun.push(what);
    return done;
  };
  const refresher = { refreshAhead: beginning('due'), resolve: beginning('in doubt') };
  const scheduler = startScheduler({
    store: { ...store, unresolvedRefreshes: async () => [{ id: 'con_1', startedAt: Date.now() }], ...wrap(store) },
    refresher,
    rateLimiter: { capacity: () => 8 },
    circuitBreakers: { capacity: () => 8 },
    mayLoseCommits,
    clock,
    log: createLogger('silent'),
  });
  onTestFinished(async () => {
    await scheduler.stop();
    await store.close();
  });
  const due = () => connected(store, { nextRefreshAt: Date.now() - 1 });
  return { scheduler, begun, due, pass: (ms: number) => (moved += ms) };
}
const SOON = { timeout: 5_000, interval: 10 };

/** Twice: what is due comes right after it, if it does. */
const inDoubt = (begun: string[]) => expect.poll(() => begun.filter((one) => one === 'in doubt').length, SOON).toBe(2);

test('what is due waits until that has passed', async () => {
  const { scheduler, begun, due, pass } = await scheduled(true);
  scheduler.hold();
  await due();
  begun.length = 0;
  await inDoubt(begun);
  expect(begun).not.toContain('due');
  pass(4_000);
  await expect.poll(() => begun, SOON).toContain('due');
});

test.each([
  ['that may have gone back', true],
  ['that is a file of this machine, and has lost nothing', false],
])('a store that failed, %s: whether what is due waits', async (_, mayLoseCommits) => {
  let failing = true;
  const { begun, due } = await scheduled(mayLoseCommits, (store) => ({
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
