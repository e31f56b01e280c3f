// `npm run bench`: measures the figures of docs/performance.md, each against its baseline in the same run.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { disturbance } from './disturbance.ts';
import { cached } from './figures/cached.ts';
import { consoleViews, consoleViewsPostgres } from './figures/console.ts';
import { deliveryLatency, slowEndpoints } from './figures/deliveries.ts';
import { footprint } from './figures/footprint.ts';
import { jwt } from './figures/jwt.ts';
import { paced } from './figures/paced.ts';
import { proxied, proxiedStreams } from './figures/proxied.ts';
import { cold, warm } from './figures/reads.ts';
import { readsDuringRefreshes, refreshes } from './figures/refreshing.ts';
import { replicaRefreshes, saturatedRefreshes } from './figures/refreshing-postgres.ts';
import { coldPostgres, replicaReads } from './figures/replicas.ts';
import { sessions } from './figures/sessions.ts';
import { tick } from './figures/tick.ts';
import { undelivered } from './figures/undelivered.ts';
import { webhooks } from './figures/webhooks.ts';
import { workerReads } from './figures/workers.ts';
import type { Bench, Experiment } from './harness.ts';
import { disturbanceOf, lineOf, machine, pageOf, type Report, resultOf, tableOf } from './report.ts';
import type { Load } from './servers/load.ts';
import type { Plain } from './servers/plain.ts';
import { startRemote } from './servers/remote.ts';

const PAGE = new URL('../docs/performance.md', import.meta.url);
const experiments: Experiment[] = [
  warm,
  cold,
  paced,
  coldPostgres,
  sessions,
  jwt,
  refreshes,
  saturatedRefreshes,
  readsDuringRefreshes,
  workerReads,
  replicaReads,
  replicaRefreshes,
  webhooks,
  deliveryLatency,
  undelivered,
  slowEndpoints,
  proxied,
  proxiedStreams,
  consoleViews,
  consoleViewsPostgres,
  tick,
  footprint,
  cached,
];
/** Maximum duration of a run in seconds. Experiments that have not started after five sixths of it are skipped. */
const MAX_SECONDS = { whole: 1_200, quick: 300 };
const known = experiments.flatMap(({ figures }) => Object.keys(figures));

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    only: { type: 'string', default: known.join(',') },
  },
});
const wanted = values.only.split(',');
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`There is no figure ${unknown.join(', ')}. Known figures: ${known.join(', ')}.`);
  process.exit(2);
}
// Runs after an interrupt too: stops processes and removes files.
const cleanUps: (() => unknown)[] = [];
const cleanUp = async () => {
  for (const one of cleanUps.splice(0).reverse()) await one();
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void cleanUp().finally(() => process.exit(130)));
}

const began = performance.now();
const maxSeconds = values.quick ? MAX_SECONDS.quick : MAX_SECONDS.whole;
const report: Report = {
  date: new Date().toISOString(),
  quick: values.quick,
  machine: machine(),
  seconds: 0,
  disturbances: [],
  figures: [],
  failed: [],
};
for (const { figures, run } of experiments) {
  const names = Object.keys(figures).filter((name) => wanted.includes(name));
  if (names.length === 0) continue;
  try {
    if (performance.now() - began > maxSeconds * 1_000 * (5 / 6))
      throw new Error(`no time left within ${maxSeconds} s`);
    report.disturbances.push(await disturbance());
    const measured = await run(await benchOf(values.quick));
    for (const name of names) {
      const result = resultOf(name, figures[name]!, measured[name]!);
      report.figures.push(result);
      console.error(lineOf(result));
    }
  } catch (error) {
    for (const name of names) report.failed.push({ name, error: String(error) });
    console.error(`${names.join(', ')}: not measured:`, error);
  } finally {
    await cleanUp();
  }
}
report.seconds = Math.round((performance.now() - began) / 1_000);
if (report.failed.length > 0) process.exitCode = 1;
console.log(values.json ? JSON.stringify(report) : `\n${tableOf(report)}\n\n${disturbanceOf(report)}`);
if (values.write) {
  if (values.quick || report.figures.length < known.length)
    console.error('docs/performance.md is not written: it needs a complete run.');
  else writeFileSync(PAGE, pageOf(report));
}

/** New processes for each experiment, so that none runs on processes that another has warmed up. */
async function benchOf(quick: boolean): Promise<Bench> {
  const load = await startRemote<Load>('load');
  cleanUps.push(load.stop);
  const plain = await startRemote<Plain>('plain');
  cleanUps.push(plain.stop);
  return {
    quick,
    rounds: quick ? 3 : 5,
    sliceMs: quick ? 300 : 1_500,
    load,
    plain,
    defer: (one) => void cleanUps.push(one),
  };
}
