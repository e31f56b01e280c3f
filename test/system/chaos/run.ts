// The long chaos run: `npm run chaos -- --kills 150 --connections 300 --seed 1`, with `--store postgres --replicas 3` for
// replicas on PostgreSQL. Prints a table of figures, and ends with exit code 1 when one does not hold.
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { startPostgres } from '../../support/postgres-server.ts';
import { type Options, openStage, type Stage } from './driver.ts';
import * as outages from './outages.ts';
import { broken, type Figures, judge } from './results.ts';
import * as scenarios from './scenarios.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '150' },
    connections: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** `sqlite`, or `postgres`: a server of its own, and a line to it for each replica. */
    store: { type: 'string', default: 'sqlite' },
    /** Brokers at once; three on PostgreSQL. */
    replicas: { type: 'string' },
    /** Only this part: `window`, `none`. */
    part: { type: 'string' },
    /** Only these scenarios, by name, comma-separated. */
    only: { type: 'string' },
  },
});
const [kills, connections, seed] = [Number(values.kills), Number(values.connections), Number(values.seed)];
const only = values.only?.split(',');

const CALM_MS = 3_000;

type Step = [name: string, scenario: scenarios.Scenario];

/**
 * Two thirds of the kills against a provider with a reuse window, one third without: there each costs up to as many
 * connections as are refreshed at once.
 */
const PARTS: { name: string; windowMs: number; kills: number; concurrency: number }[] = [
  { name: 'window', windowMs: 10_000, kills: Math.ceil((kills * 2) / 3), concurrency: 32 },
  { name: 'none', windowMs: 0, kills: Math.floor(kills / 3), concurrency: 6 },
];

const server = values.store === 'postgres' ? await startPostgres() : undefined;
const replicas = Number(values.replicas ?? (server ? 3 : 1));

const killing = (count: number): Step[] => [
  ['random kills', scenarios.randomKills(Math.ceil(count / 2))],
  ['chosen kills', scenarios.chosenKills(Math.floor(count / 2))],
  ...(server ? [] : [['two brokers', scenarios.twoBrokers(6)] satisfies Step]),
];

const onFile: Step[] = [
  ['disk', scenarios.lockedDisk(3_000)],
  ['disk for long', scenarios.lockedDisk(9_000)],
  ['disk and rescue file', scenarios.lockedDisk(8_000, { rescueToo: true })],
  ['disk and a kill', scenarios.lockedDisk(8_000, { killAmid: true })],
  ['disk and a kill of one of two', scenarios.rescuedByTheDead],
  ['clock', scenarios.clockJumps(1_500)],
];

const onServer: Step[] = [
  ['one is cut off', outages.cutOff(3_000, 'cut')],
  ['one is cut off for long', outages.cutOff(9_000, 'cut')],
  ['one line is silent', outages.cutOff(5_000, 'stall')],
  ['one is cut off and killed', outages.cutOffAndKill(3_000)],
  ['database away', outages.databaseAway(3_000, 'cut')],
  ['database away for long', outages.databaseAway(9_000, 'cut')],
  ['database silent', outages.databaseAway(8_000, 'stall')],
  ['database away and a kill', outages.databaseAwayAndKill(8_000)],
  ['sessions are ended', outages.terminations(6_000)],
];

const HANGS: Step = ['hangs after the rotation', scenarios.hangs(2_000)];
const enduring: Step[] = [
  ['SIGTERM', scenarios.terms(5)],
  ['outage', scenarios.outage(6_000)],
  ['throttling', scenarios.throttling(5_000)],
  ['slowness', scenarios.slowness(12_000)],
  ['cuts', scenarios.cuts(6_000)],
  ['misconfiguration', scenarios.misconfiguration(4_000)],
  ...(server ? onServer : onFile),
];

async function play(stage: Stage, steps: Step[]): Promise<string[]> {
  const failed: string[] = [];
  for (const [name, scenario] of steps) {
    if (only && !only.includes(name)) continue;
    // What the one before has lost is had again before the next begins: two at once, nobody could survive.
    await pause(CALM_MS);
    const begun = performance.now();
    await scenario(stage).catch((error: unknown) => failed.push(`${name}: ${String(error)}`));
    console.log(`  ${name}: ${((performance.now() - begun) / 1_000).toFixed(1)} s`);
  }
  return failed;
}

let ok = true;
const table: Record<string, Record<string, number>> = {};
const begun = performance.now();
console.log(`seed ${seed}: ${kills} kills, ${connections} connections, ${replicas} replicas on ${values.store}`);
for (const { name, windowMs, kills: count, concurrency } of PARTS) {
  if (values.part && values.part !== name) continue;
  console.log(`${windowMs === 0 ? 'without a reuse window' : `a reuse window of ${windowMs / 1_000} s`}:`);
  const options: Options = {
    seed: seed + windowMs,
    connections,
    windowMs,
    limits: { concurrency, perSecond: 200 },
    readers: 6,
    replicas,
    postgres: server && (await aDatabase(server.url, name)),
  };
  const stage = await openStage(options);
  try {
    const failed = await play(stage, [...(windowMs > 0 ? [HANGS] : []), ...enduring, ...killing(count)]);
    const figures = judge(await stage.settle());
    const wrong = [...failed, ...broken(figures, windowMs)];
    for (const each of wrong) console.log(`  FAILED: ${each}`);
    if (wrong.length > 0) ok = false;
    table[name] = countsOf(figures);
    await stage.close(wrong.length > 0);
  } catch (error) {
    await stage.close(true);
    throw error;
  }
}
console.table(table);
console.log(
  `${ok ? 'all of it holds' : 'it does not hold'} (seed ${seed}, ${((performance.now() - begun) / 1_000).toFixed(0)} s)`,
);
await server?.stop();
process.exit(ok ? 0 : 1);

async function aDatabase(url: (database: string) => string, name: string): Promise<string> {
  const client = new Client({ connectionString: url('postgres') });
  await client.connect();
  await client.query(`create database chaos_${name}`);
  await client.end();
  return url(`chaos_${name}`);
}

function countsOf(figures: Figures): Record<string, number> {
  const counts = Object.entries(figures).map(([name, value]) => [name, Array.isArray(value) ? value.length : value]);
  return Object.fromEntries(counts) as Record<string, number>;
}
