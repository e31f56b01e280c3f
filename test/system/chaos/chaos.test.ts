// The short chaos run: real brokers killed, stopped, starved and misled, against a provider that forgives nothing.
// `npm run chaos` is the long one.
import { describe, it, vi } from 'vitest';
import * as scenarios from './scenarios.ts';
import { play, SEED } from './short-run.ts';

vi.setConfig({ testTimeout: 90_000 });

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

  it('costs no grant when one of two replicas dies and stays away, nor a stampede after an outage', async ({
    expect,
  }) => {
    const acts = [loneSurvivor, outage(1_000, 2_000)];
    expect(await play({ windowMs: 6_000, connections: 20, readers: 0, perSecond: 10, acts })).toEqual([]);
  });
});
