// The short chaos run on PostgreSQL, in the long run of the tests: replicas lose the database. `npm test` has
// test/system/postgres/ for that. `npm run chaos -- --store postgres` runs for as long as one wants.
import { it, vi } from 'vitest';
import { isLong } from '../../support/long.ts';
import * as outages from './outages.ts';
import * as scenarios from './scenarios.ts';
import { runScenarios, SEED } from './short-run.ts';

vi.setConfig({ testTimeout: 180_000 });
console.info(`chaos on PostgreSQL, seed ${SEED} (CHAOS_SEED runs it again)`);

it.runIf(isLong)(
  'chaos on PostgreSQL: replicas that lose the database, and one that is killed meanwhile, lose no grant',
  async ({ expect }) => {
    const scenarioList = [
      scenarios.massInvalidGrant(2_000),
      scenarios.compressedResponses(2_000),
      outages.replicaDisconnected(1_000, 'cut'),
      outages.databaseOutage(4_000, 'stall'),
      outages.sessionsTerminated(1_000),
      outages.replicaDisconnectedAndKilled(1_000),
    ];
    const run = { windowMs: 10_000, replicas: 3, connections: 20, scenarios: scenarioList };
    expect(await runScenarios(run)).toEqual([]);
  },
);

it.runIf(isLong)(
  'chaos on PostgreSQL without a reuse window: what a cut-off replica has served before it is killed is spent by no other',
  async ({ expect }) => {
    const killed = outages.replicaDisconnectedAndKilled(1_500);
    const run = { windowMs: 0, replicas: 3, connections: 40, perSecond: 100, readers: 6 };
    expect(await runScenarios({ ...run, scenarios: [killed, killed, killed] })).toEqual([]);
  },
);
