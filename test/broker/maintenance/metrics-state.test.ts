// What the metrics ask the store: one count at a time, and none for a while, however often they are scraped.
import { expect, test } from 'vitest';
import { createMetricsState } from '../../../src/broker/maintenance/state/metrics-state.ts';
import { METRICS_COUNT_MAX_AGE_MS } from '../../../src/domain/time-limits.ts';
import { StoreError } from '../../../src/ports/index.ts';

const MINUTE = 60_000;

function counted() {
  let [now, counts, pings, active, later] = [0, 0, 0, 0, 0];
  /** What a count takes, by the clock; and whether it fails. */
  let tookMs = 1_000;
  let isDown = false;
  const state = createMetricsState({
    store: {
      inboxState: async () => ({ open: 0, oldestAt: null }),
      countLiveAgentSessions: async () => 0,
      jobState: async () => ({ open: 0, failing: 0, failed: 0 }),
      async countConnections() {
        counts++;
        now += tookMs;
        if (isDown) throw new StoreError('down');
        return [{ integration: 'acme', status: 'active', count: ++active, failing: 0 }];
      },
      deliveryState: async () => ({ open: 2, oldestAt: now - 7_000, dead: 1, disabledEndpoints: 0 }),
      async countDue(by) {
        const withinMs = by - now;
        if (withinMs > 5 * MINUTE) later++;
        const count = withinMs === 0 ? 1 : withinMs === 5 * MINUTE ? 150 : 5_400;
        return [{ integration: 'acme', dueAt: now - 5_000, count }];
      },
      databaseWaits: () => ({ waiting: 1, waited: 2, waitedMs: 3, timedOut: 4 }),
      async ping() {
        pings++;
        if (isDown) throw new StoreError('down');
      },
    },
    vault: { protection: () => 'enforced' },
    engine: { state: () => ({ inFlight: 0, circuitBreakers: [], rescued: 0 }) },
    refreshesPerSecond: 1,
    auditBuffer: { state: () => ({ waiting: 0, lost: 0 }) },
    cache: { changeFeedLagMs: () => 0 },
    upstream: () => ({ upstreamWaiting: [], upstreamBreakers: [] }),
    clock: { now: () => now, monotonic: () => now },
  });
  return {
    state,
    asked: () => ({ counts, pings, later }),
    advance: (ms: number) => {
      now += ms;
    },
    takes: (ms: number) => {
      tookMs = ms;
    },
    down: () => {
      isDown = true;
    },
  };
}
const countOf = ({ connections }: { connections: { count: number }[] }) => connections[0]?.count;

test('scrapes in a loop: one count a minute, whose age is told', async () => {
  const { state, asked, advance } = counted();
  await Promise.all(Array.from({ length: 50 }, state));
  expect(asked().counts).toBe(1);
  for (let i = 0; i < 50; i++) await state();
  expect(asked().counts).toBe(1);
  advance(METRICS_COUNT_MAX_AGE_MS - 1_000);
  expect(countOf(await state())).toBe(1);
  expect((await state()).connectionsAgeMs).toBe(METRICS_COUNT_MAX_AGE_MS);
  advance(1_000);
  expect(countOf(await state())).toBe(2);
});

test('a quick count is repeated soon', async () => {
  const { state, advance, takes } = counted();
  takes(1);
  expect(countOf(await state())).toBe(1);
  advance(199);
  expect(countOf(await state())).toBe(1);
  advance(1);
  expect(countOf(await state())).toBe(2);
});

test('a store that fails: the counts are left out, and it is not up', async () => {
  const { state, advance, down } = counted();
  expect((await state()).storeUp).toBe(true);
  down();
  advance(METRICS_COUNT_MAX_AGE_MS);
  expect(await state()).toMatchObject({ connections: [], connectionsAgeMs: null, storeUp: false });
});

test('what comes due soon, and within an hour, is compared with what the rate allows in that time', async () => {
  const { state } = counted();
  const { refreshLoad, databaseWaits } = await state();
  expect(refreshLoad).toEqual([
    { integration: 'acme', window: '5m', ratio: 0.5 },
    { integration: 'acme', window: '1h', ratio: 1.5 },
  ]);
  expect(databaseWaits).toEqual({ waiting: 1, waited: 2, waitedMs: 3, timedOut: 4 });
});
