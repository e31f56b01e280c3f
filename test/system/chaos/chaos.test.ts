// The short chaos run: brokers are killed, restarted, and lose their disk or provider. The provider detects refresh token
// reuse. `npm run chaos` is the long run.
import { describe, it, vi } from 'vitest';
import { isLong } from '../../support/long.ts';
import * as scenarios from './scenarios.ts';
import { runScenarios, SEED } from './short-run.ts';

vi.setConfig({ testTimeout: 180_000 });

/** Of the provider: longer than a broker takes to start beside everything else that runs here, which can be eight seconds. */
const WINDOW_MS = 30_000;

describe.concurrent(`chaos, seed ${SEED} (CHAOS_SEED runs it again)`, () => {
  const {
    killsAtRefreshPoints: chosenKills,
    clockJumps,
    hangsAfterRotation: hangs,
    databaseLocked: lockedDisk,
    replicaKilledDuringRefreshes: loneSurvivor,
    misconfiguration,
    compressedResponses: compressed,
    providerOutage: outage,
    providerStopped: stopped,
    randomKills,
    restarts: terms,
    massInvalidGrant,
    wrongClientId,
  } = scenarios;

  it('kills and a locked database without a reuse window: lose only grants whose response was in flight at a kill', async ({
    expect,
  }) => {
    const more = isLong ? [compressed(2_000), misconfiguration(1_000), clockJumps(800)] : [lockedDisk(1_000)];
    expect(await runScenarios({ windowMs: 0, scenarios: [terms(1), chosenKills(3), ...more] })).toEqual([]);
  });

  // What a provider can do is in test/broker/refresh/ one by one; with a reuse window, fewer grants may be lost.
  if (!isLong) return;

  it('kills and a locked database: lose no grant with a reuse window of 30 s', async ({ expect }) => {
    const scenarioList = [chosenKills(4), lockedDisk(1_000), randomKills(2)];
    expect(await runScenarios({ windowMs: WINDOW_MS, scenarios: scenarioList })).toEqual([]);
  });

  it('workers that are killed: lose no grant with a reuse window of 30 s', async ({ expect }) => {
    const scenarioList = [scenarios.workerKills(8), terms(1)];
    expect(await runScenarios({ windowMs: WINDOW_MS, workers: 2, scenarios: scenarioList })).toEqual([]);
  });

  it('provider that hangs after the rotation: loses no grant with a reuse window of 10 s', async ({ expect }) => {
    expect(await runScenarios({ windowMs: 10_000, scenarios: [hangs(2_000)] })).toEqual([]);
  });

  it('refresh tokens that are refused for a while, and a wrong client id: lose no grant', async ({ expect }) => {
    const scenarioList = [massInvalidGrant(3_000), wrongClientId(2_000)];
    expect(await runScenarios({ windowMs: 0, scenarios: scenarioList })).toEqual([]);
  });

  it('provider that stops for a while: loses no grant without a reuse window', async ({ expect }) => {
    expect(await runScenarios({ windowMs: 0, connections: 10, readers: 1, scenarios: [stopped(9_000)] })).toEqual([]);
  });

  it('replica that is killed for good, and a provider outage: lose no grant, and cause no burst of refreshes', async ({
    expect,
  }) => {
    const scenarioList = [loneSurvivor, outage(1_000, 2_000)];
    expect(
      await runScenarios({ windowMs: 6_000, connections: 20, readers: 0, perSecond: 10, scenarios: scenarioList }),
    ).toEqual([]);
  });
});
