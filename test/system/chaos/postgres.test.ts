// The short chaos run on PostgreSQL: replicas lose the database. `npm run chaos -- --store postgres` is the long run.
import { it, vi } from 'vitest';
import { isLong } from '../../support/long.ts';
import * as outages from './outages.ts';
import * as scenarios from './scenarios.ts';
import { runScenarios, SEED } from './short-run.ts';

vi.setConfig({ testTimeout: 180_000 });
console.info(`chaos on PostgreSQL, seed ${SEED} (CHAOS_SEED runs it again)`);

it('chaos on PostgreSQL: replicas that lose the database, and one that is killed meanwhile, lose no grant', async ({
  expect,
}) => {
  const {
    replicaDisconnected: cutOff,
    replicaDisconnectedAndKilled: cutOffAndKill,
    databaseOutage: databaseAway,
    sessionsTerminated: terminations,
  } = outages;
  const scenarioList = isLong
    ? [
        scenarios.massInvalidGrant(2_000),
        scenarios.compressedResponses(2_000),
        cutOff(1_000, 'cut'),
        databaseAway(4_000, 'stall'),
        terminations(1_000),
        cutOffAndKill(1_000),
      ]
    : [cutOffAndKill(1_000)];
  const replicas = isLong ? 3 : 2;
  expect(await runScenarios({ windowMs: 10_000, replicas, connections: 20, scenarios: scenarioList })).toEqual([]);
});
