// The long chaos run: `npm run chaos -- --kills 150 --connections 300 --seed 1`, with `--store postgres --replicas 3` for
// replicas on PostgreSQL, and `--workers 2` for workers that share a port. Prints a table of figures, and exits with 1 when an invariant is violated.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { startPostgres } from '../../support/postgres-server.ts';
import { type ChaosRun, type Options, startChaosRun } from './driver.ts';
import * as freezes from './freezes.ts';
import * as outages from './outages.ts';
import { type Figures, summarize, violatedInvariants } from './results.ts';
import * as scenarios from './scenarios.ts';
import * as tenants from './tenants.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '150' },
    connections: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** `sqlite`, or `postgres`: starts a server, and a proxy to it for each replica. */
    store: { type: 'string', default: 'sqlite' },
    /** The number of brokers; by default three on PostgreSQL, else one. */
    replicas: { type: 'string' },
    /** The worker processes of each broker: workers are killed, and what a broker is told to do to itself is left out. */
    workers: { type: 'string', default: '1' },
    /** Only this part: `window`, `none`. */
    part: { type: 'string' },
    /** Only these scenarios, by name, comma-separated; the run prints the names. */
    only: { type: 'string' },
  },
});
const [kills, connections, seed] = [Number(values.kills), Number(values.connections), Number(values.seed)];
const only = values.only?.split(',');

const PAUSE_MS = 3_000;

type Step = [name: string, scenario: scenarios.Scenario];

/**
 * Two thirds of the kills with a reuse window, one third without: there, each kill may lose as many connections as are
 * refreshed concurrently.
 */
const PARTS: { name: string; windowMs: number; kills: number; concurrency: number }[] = [
  { name: 'window', windowMs: 10_000, kills: Math.ceil((kills * 2) / 3), concurrency: 32 },
  { name: 'none', windowMs: 0, kills: Math.floor(kills / 3), concurrency: 6 },
];

const server = values.store === 'postgres' ? await startPostgres() : undefined;
const root = fileURLToPath(new URL('../../../', import.meta.url));
/** What the image runs: it starts in a fifth of the time that the sources take. */
const bundle = join(root, 'dist', `chaos-${process.pid}`);
execFileSync(process.execPath, ['build.ts', bundle, 'test/system/chaos/broker.ts'], { cwd: root, stdio: 'ignore' });
process.on('exit', () => rmSync(bundle, { recursive: true, force: true }));
const workers = Number(values.workers);
const replicas = Number(values.replicas ?? (server ? 3 : 1));

const workerSteps = (count: number): Step[] => [
  ['worker-kills', scenarios.workerKills(count)],
  ['kills', scenarios.randomKills(Math.ceil(count / 10))],
];

const killSteps = (count: number): Step[] => [
  ['kills', scenarios.randomKills(Math.ceil(count / 2))],
  ['kill-at-refresh-points', scenarios.killsAtRefreshPoints(Math.floor(count / 2))],
  ...(server ? [] : [['kills-of-two-brokers', scenarios.killsOfTwoBrokers(6)] satisfies Step]),
];

const sqliteSteps: Step[] = [
  ['database-locked', scenarios.databaseLocked(3_000)],
  ['database-locked-long', scenarios.databaseLocked(9_000)],
  ['database-and-rescue-file-locked', scenarios.databaseLocked(8_000, { rescueToo: true })],
  ['database-locked-and-kill', scenarios.databaseLocked(8_000, { killAmid: true })],
  ['kill-with-rescue-file', scenarios.replicaKilledWithRescueFile],
  ['clock-jumps', scenarios.clockJumps(1_500)],
];

const postgresSteps: Step[] = [
  ['replica-disconnected', outages.replicaDisconnected(3_000, 'cut')],
  ['replica-disconnected-long', outages.replicaDisconnected(9_000, 'cut')],
  ['replica-stalled', outages.replicaDisconnected(5_000, 'stall')],
  ['replica-disconnected-and-killed', outages.replicaDisconnectedAndKilled(3_000)],
  ['database-outage', outages.databaseOutage(3_000, 'cut')],
  ['database-outage-long', outages.databaseOutage(9_000, 'cut')],
  ['database-stalled', outages.databaseOutage(8_000, 'stall')],
  ['database-outage-and-kill', outages.databaseOutageAndKill(8_000)],
  ['sessions-terminated', outages.sessionsTerminated(6_000)],
];

const HANG_STEP: Step = ['hang-after-rotation', scenarios.hangsAfterRotation(2_000)];
const faultSteps: Step[] = [
  ['restarts', scenarios.restarts(5)],
  ['provider-outage', scenarios.providerOutage(6_000)],
  ['provider-rate-limit', scenarios.providerRateLimit(5_000)],
  ['provider-latency', scenarios.providerLatency(12_000)],
  ['compressed-responses', scenarios.compressedResponses(6_000)],
  ['lost-responses', scenarios.lostResponses(6_000)],
  ['wrong-client-secret', scenarios.misconfiguration(4_000)],
  ['mass-invalid-grant', scenarios.massInvalidGrant(5_000)],
  ['wrong-client-id', scenarios.wrongClientId(4_000)],
  ['noisy-tenant', tenants.noisyTenant(10_000)],
  ['shared-grants', tenants.sharedGrants(20)],
  ['provider-stopped', scenarios.providerStopped(90_000)],
  ['slow-responses', scenarios.slowResponses(60_000, 9_000)],
  ['very-slow-responses', scenarios.slowResponses(60_000, 40_000)],
  ['broker-frozen', scenarios.brokerFrozen(5, 12_000)],
  ['replicas-frozen', freezes.replicasFrozen(Math.ceil(kills / 5))],
  ...(server ? postgresSteps : sqliteSteps),
];

/** The clocks of workers are real, and a signal to a supervisor freezes none of them. */
const OF_ONE_PROCESS = ['clock-jumps', 'broker-frozen', 'replicas-frozen'];

const stepsOf = (windowMs: number, count: number): Step[] => [
  ...(windowMs > 0 ? [HANG_STEP] : []),
  ...(workers > 1
    ? [...faultSteps.filter(([name]) => !OF_ONE_PROCESS.includes(name)), ...workerSteps(count)]
    : [...faultSteps, ...killSteps(count)]),
];

async function runSteps(context: ChaosRun, steps: Step[]): Promise<string[]> {
  const failed: string[] = [];
  for (const [name, scenario] of steps) {
    if (only && !only.includes(name)) continue;
    // Recovers from the previous scenario first: the reuse window covers one failure, not two at once.
    await pause(PAUSE_MS);
    const begun = performance.now();
    await scenario(context).catch((error: unknown) => failed.push(`${name}: ${String(error)}`));
    console.log(`  ${name}: ${((performance.now() - begun) / 1_000).toFixed(1)} s`);
  }
  return failed;
}

let ok = true;
const table: Record<string, Record<string, number>> = {};
const begun = performance.now();
console.log(
  `seed ${seed}: ${kills} kills, ${connections} connections, ${replicas} replicas of ${workers} workers on ${values.store}`,
);
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
    workers,
    tls: true,
    program: join(bundle, 'code', 'broker.js'),
    postgres: server && (await createDatabase(server.url, name)),
  };
  const context = await startChaosRun(options);
  try {
    const failed = await runSteps(context, stepsOf(windowMs, count));
    const figures = summarize(await context.recover());
    const violations = [...failed, ...violatedInvariants(figures, windowMs)];
    for (const each of violations) console.log(`  FAILED: ${each}`);
    if (violations.length > 0) ok = false;
    table[name] = countsOf(figures);
    await context.close(violations.length > 0);
  } catch (error) {
    await context.close(true);
    throw error;
  }
}
console.table(table);
console.log(
  `${ok ? 'all invariants hold' : 'invariants are violated'} (seed ${seed}, ${((performance.now() - begun) / 1_000).toFixed(0)} s)`,
);
await server?.stop();
process.exit(ok ? 0 : 1);

async function createDatabase(url: (database: string) => string, name: string): Promise<string> {
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
