// A short chaos run inside of the tests, on the bundle: it starts brokers more often than anything else here.
import { bundledChaosBroker } from '../../support/bundle.ts';
import { aDatabase } from '../../support/postgres.ts';
import { openStage } from './driver.ts';
import { broken, judge } from './results.ts';
import type * as scenarios from './scenarios.ts';

export const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);

export interface Play {
  windowMs: number;
  connections?: number;
  readers?: number;
  perSecond?: number;
  acts: scenarios.Scenario[];
  /** On PostgreSQL, so many; by default, one on a SQLite file. */
  replicas?: number;
}

/** Plays, lets everything recover, and says what did not hold. */
export async function play({
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
    program: await bundledChaosBroker(),
  });
  try {
    for (const act of acts) await act(stage);
    return broken(judge(await stage.settle()), windowMs);
  } finally {
    await stage.close();
  }
}
