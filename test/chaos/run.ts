// The long chaos run: `npm run chaos -- --kills 150 --connections 300 --seed 1`. Prints a table of figures, and ends with
// exit code 1 when one does not hold.
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Options, openStage, type Stage } from './driver.ts';
import { broken, type Figures, judge } from './figures.ts';
import * as scenarios from './scenarios.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '150' },
    connections: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
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

const killing = (count: number): Step[] => [
  ['random kills', scenarios.randomKills(Math.ceil(count / 2))],
  ['chosen kills', scenarios.chosenKills(Math.floor(count / 2))],
  ['two brokers', scenarios.twoBrokers(6)],
];

const HANGS: Step = ['hangs after the rotation', scenarios.hangs(2_000)];
const enduring: Step[] = [
  ['SIGTERM', scenarios.terms(5)],
  ['outage', scenarios.outage(6_000)],
  ['throttling', scenarios.throttling(5_000)],
  ['slowness', scenarios.slowness(12_000)],
  ['cuts', scenarios.cuts(6_000)],
  ['misconfiguration', scenarios.misconfiguration(4_000)],
  ['disk', scenarios.lockedDisk(3_000)],
  ['disk for long', scenarios.lockedDisk(9_000)],
  ['disk and rescue file', scenarios.lockedDisk(8_000, { rescueToo: true })],
  ['disk and a kill', scenarios.lockedDisk(8_000, { killAmid: true })],
  ['disk and a kill of one of two', scenarios.rescuedByTheDead],
  ['clock', scenarios.clockJumps(1_500)],
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
console.log(`seed ${seed}: ${kills} kills, ${connections} connections`);
for (const { name, windowMs, kills: count, concurrency } of PARTS) {
  if (values.part && values.part !== name) continue;
  console.log(`${windowMs === 0 ? 'without a reuse window' : `a reuse window of ${windowMs / 1_000} s`}:`);
  const options: Options = {
    seed: seed + windowMs,
    connections,
    windowMs,
    limits: { concurrency, perSecond: 200 },
    readers: 6,
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
process.exitCode = ok ? 0 : 1;

function countsOf(figures: Figures): Record<string, number> {
  const counts = Object.entries(figures).map(([name, value]) => [name, Array.isArray(value) ? value.length : value]);
  return Object.fromEntries(counts) as Record<string, number>;
}
