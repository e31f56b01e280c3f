// The short chaos run on PostgreSQL: replicas that lose the way to it, and one another. `npm run chaos -- --store postgres` is
// the long one.
import { it, vi } from 'vitest';
import * as outages from './outages.ts';
import { play, SEED } from './short-run.ts';

vi.setConfig({ testTimeout: 90_000 });
console.info(`chaos on PostgreSQL, seed ${SEED} (CHAOS_SEED runs it again)`);

it('costs no grant when three replicas lose PostgreSQL, one or all, and one of them is killed meanwhile', async ({
  expect,
}) => {
  const { cutOff, cutOffAndKill, databaseAway, terminations } = outages;
  const acts = [cutOff(1_000, 'cut'), databaseAway(4_000, 'stall'), terminations(1_000), cutOffAndKill(1_000)];
  expect(await play({ windowMs: 10_000, replicas: 3, connections: 20, acts })).toEqual([]);
});
