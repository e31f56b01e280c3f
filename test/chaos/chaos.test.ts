// The short chaos run: real brokers killed, stopped, starved and misled, against a provider that forgives nothing.
// `npm run chaos` is the long one.
import { describe, it, vi } from 'vitest';
import { aDatabase } from '../support/postgres.ts';
import { openStage } from './driver.ts';
import { broken, judge } from './figures.ts';
import * as outages from './outages.ts';
import * as scenarios from './scenarios.ts';

const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);

vi.setConfig({ testTimeout: 90_000 });

interface Play {
  windowMs: number;
  connections?: number;
  readers?: number;
  perSecond?: number;
  acts: scenarios.Scenario[];
  /** On PostgreSQL, so many; by default, one on a SQLite file. */
  replicas?: number;
}

/** Plays, lets everything recover, and says what did not hold. */
async function play({
  windowMs,
  connections = 30,
  readers = 3,
  perSecond = 40,
  acts,
  replicas,
}: Play): Promise<string[]> {
  const limits = { concurrency: 8, perSecond };
  const postgres = replicas === undefined ? undefined : await aDatabase();
  const stage = await openStage({
    seed: SEED,
    connections,
    windowMs,
    limits,
    readers,
    replicas: replicas ?? 1,
    postgres,
  });
  try {
    for (const act of acts) await act(stage);
    return broken(judge(await stage.settle()), windowMs);
  } finally {
    await stage.close();
  }
}

describe.concurrent(`chaos, seed ${SEED} (CHAOS_SEED runs it again)`, () => {
  const { chosenKills, clockJumps, hangs, lockedDisk, loneSurvivor, misconfiguration, outage, randomKills, terms } =
    scenarios;

  it('costs no grant where the provider forgives a reuse for 10 s', async ({ expect }) => {
    const acts = [chosenKills(4), lockedDisk(1_000), randomKills(2)];
    expect(await play({ windowMs: 10_000, acts })).toEqual([]);
  });

  it('costs no grant when the provider rotates and then hangs, where it forgives a reuse for 10 s', async ({
    expect,
  }) => {
    expect(await play({ windowMs: 10_000, acts: [hangs(2_000)] })).toEqual([]);
  });

  it('costs only the grants whose answer a kill has caught, where the provider forgives nothing', async ({
    expect,
  }) => {
    const acts = [terms(1), chosenKills(3), misconfiguration(1_000), clockJumps(800)];
    expect(await play({ windowMs: 0, acts })).toEqual([]);
  });

  it('costs no grant when three replicas lose PostgreSQL, one or all, and one of them is killed meanwhile', async ({
    expect,
  }) => {
    const { cutOff, cutOffAndKill, databaseAway, terminations } = outages;
    const acts = [cutOff(1_000, 'cut'), databaseAway(4_000, 'stall'), terminations(1_000), cutOffAndKill(1_000)];
    expect(await play({ windowMs: 10_000, replicas: 3, connections: 20, acts })).toEqual([]);
  });

  it('costs no grant when one of two replicas dies and stays away, nor a stampede after an outage', async ({
    expect,
  }) => {
    const acts = [loneSurvivor, outage(1_000, 2_000)];
    expect(await play({ windowMs: 6_000, connections: 20, readers: 0, perSecond: 10, acts })).toEqual([]);
  });
});
