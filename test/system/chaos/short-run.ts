// A short chaos run for the test suite. Uses the bundle, since it starts many brokers.
import { bundledProgram } from '../../support/bundle.ts';
import { isLong } from '../../support/long.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { startChaosRun } from './driver.ts';
import { summarize, violatedInvariants } from './results.ts';
import type * as scenarios from './scenarios.ts';

/** The same one in each run of `npm test`: what fails there fails for a change. */
export const SEED = Number(process.env.CHAOS_SEED ?? (isLong ? Date.now() % 1_000_000 : 1));

/** Each connection is read several times a second, and several runs share two cores; the long run reads five times as often. */
const READ_PAUSE_MS: [number, number] = [15, 75];

export interface ShortRun {
  windowMs: number;
  connections?: number;
  readers?: number;
  perSecond?: number;
  scenarios: scenarios.Scenario[];
  /** The number of brokers; by default one. */
  replicas?: number;
  /** By default PostgreSQL with several replicas, SQLite with one. */
  store?: 'sqlite' | 'postgres';
  tls?: boolean;
  /** The worker processes of each broker; by default one. */
  workers?: number;
}

/** Runs the scenarios, waits for recovery, and returns the violated invariants. */
export async function runScenarios({
  windowMs,
  connections = 30,
  readers = 3,
  perSecond = 40,
  scenarios: scenarioList,
  replicas = 1,
  store = replicas > 1 ? 'postgres' : 'sqlite',
  tls = false,
  workers = 1,
}: ShortRun): Promise<string[]> {
  const limits = { concurrency: 8, perSecond };
  const postgres = store === 'postgres' ? await createMigratedDatabase() : undefined;
  const context = await startChaosRun({
    seed: SEED,
    connections,
    windowMs,
    limits,
    readers,
    readPauseMs: READ_PAUSE_MS,
    replicas,
    tls,
    workers,
    postgres,
    program: await bundledProgram('broker'),
  });
  try {
    for (const scenario of scenarioList) await scenario(context);
    return violatedInvariants(summarize(await context.recover()), windowMs);
  } finally {
    await context.close();
  }
}
