// Refreshes, from the scheduler's claim to the durable commit; and the latency of reads meanwhile.
import { setTimeout as pause } from 'node:timers/promises';
import { type Bench, experiment, interleave, median, request, tally } from '../harness.ts';
import { type Seeded, seed } from '../seed.ts';
import type { Broker, Progress } from '../servers/broker.ts';
import type { PoolLoop } from '../servers/pool.ts';
import type { Provider } from '../servers/provider.ts';
import { processorSeconds, type Remote, startRemote } from '../servers/remote.ts';

const IN_FLIGHT = 64;
const WITHIN_MS = 60_000;
/** Rounds of refreshes before those that count: a process that runs for weeks is one whose code was compiled. */
export const WARM_UP = { whole: 10, quick: 1 };

async function setUp({ defer }: Bench, connections: number, integrations: number, env: Record<string, string>) {
  const provider = await startRemote<Provider>('provider');
  defer(provider.stop);
  const tokenUrl = `${await provider.ask('url', null)}/token`;
  const seeded = await seed({ connections, integrations, token: 200, tokenUrl });
  defer(seeded.remove);
  const broker = await startRemote<Broker>('broker', { env: { ...seeded.env, ...env } });
  defer(broker.stop);
  return { provider, tokenUrl, seeded, broker };
}

/** Makes connections due, and waits until `enough`. */
export async function refreshAll(
  broker: Remote<Broker>,
  seeded: Seeded,
  [from, to]: [number, number],
  enough: (progress: Progress) => boolean = ({ kept }) => kept >= to - from,
): Promise<Progress> {
  await broker.ask('forget', null);
  seeded.makeDue(from, to);
  return until(broker, enough);
}

async function until(broker: Remote<Broker>, enough: (progress: Progress) => boolean): Promise<Progress> {
  const late = performance.now() + WITHIN_MS;
  for (;;) {
    const progress = await broker.ask('progress', null);
    if (enough(progress)) return progress;
    if (performance.now() > late) throw new Error(`only ${progress.kept} refreshes within ${WITHIN_MS} ms`);
    await pause(20);
  }
}

export const refreshes = experiment({
  figures: {
    refresh: {
      title: `refreshes a second, whole engine, ${IN_FLIGHT} in flight`,
      baseline: 'a bare undici `Pool` loop at the same token endpoint',
      better: 'higher',
      floor: 0.12,
      goal: 0.25,
    },
    fsync: {
      title: `refreshes for each fsync, ${IN_FLIGHT} in flight`,
      baseline: '1',
      better: 'higher',
      floor: 16,
      goal: 32,
    },
  },
  async run(bench) {
    const each = bench.quick ? 600 : 3_000;
    const limits = { VALETKEY_REFRESH_CONCURRENCY: String(IN_FLIGHT), VALETKEY_REFRESH_RATE: '100000' };
    const warmUp = bench.quick ? WARM_UP.quick : WARM_UP.whole;
    const { tokenUrl, seeded, broker, provider } = await setUp(bench, each * (warmUp + bench.rounds), 1, limits);
    const pool = await startRemote<PoolLoop>('pool');
    bench.defer(pool.stop);

    const perCommit: number[] = [];
    const costs: number[] = [];
    const poolCosts: number[] = [];
    let round = 0;
    let busiest = 0;
    const refreshNext = () => refreshAll(broker, seeded, [each * round, each * ++round]);
    while (round < warmUp) await refreshNext();
    await pool.ask('loop', { tokenUrl, inFlight: IN_FLIGHT, ms: bench.sliceMs });
    const measured = await interleave(bench.rounds, {
      async baseline() {
        const seconds = bench.sliceMs / 1_000;
        const before = [provider.pid, pool.pid].map(processorSeconds);
        const rate = await pool.ask('loop', { tokenUrl, inFlight: IN_FLIGHT, ms: bench.sliceMs });
        const [ofProvider = 0, ofPool = 0] = [provider.pid, pool.pid].map(
          (pid, i) => (processorSeconds(pid) ?? 0) - (before[i] ?? 0),
        );
        busiest = Math.max(busiest, ofProvider / seconds);
        poolCosts.push((ofPool / (rate * seconds)) * 1e6);
        return rate;
      },
      async ours() {
        const before = processorSeconds(broker.pid) ?? 0;
        const { kept, seconds, commits } = await refreshNext();
        costs.push((((processorSeconds(broker.pid) ?? 0) - before) / kept) * 1e6);
        perCommit.push(kept / commits);
        return kept / seconds;
      },
    });
    const [cost, poolCost] = [median(costs), median(poolCosts)];
    return {
      refresh: {
        ...measured,
        unit: 'refreshes/s',
        notes: [
          `${each} connections each round, after ${each * warmUp} others, logs at info; ${cost.toFixed(0)} µs of processor time each`,
          `by processor time: ${(poolCost / cost).toFixed(2)}; the pool: ${poolCost.toFixed(1)} µs each`,
          `token endpoint at most ${Math.round(busiest * 100)} % busy under the baseline`,
        ],
      },
      fsync: {
        ours: perCommit,
        baseline: perCommit.map(() => 1),
        unit: 'refreshes/commit',
        notes: ['each refresh has two commits: the intent before the call, the answer after it'],
      },
    };
  },
});

const INTEGRATIONS = 10;

export const readsDuringRefreshes = experiment({
  figures: {
    p99: {
      title: 'p99 of warm reads while 10,000 connections refresh',
      baseline: 'p99 when idle',
      better: 'lower',
      floor: 4,
      goal: 2,
    },
  },
  async run(bench) {
    const due = bench.quick ? 2_000 : 10_000;
    const warm = 1_000;
    // With the default limits: 200 per second for each integration.
    const { seeded, broker } = await setUp(bench, due + warm, INTEGRATIONS, {});
    const url = await broker.ask('url', null);
    const requests = Array.from({ length: warm }, (_, n) =>
      request('GET', `/v1/connections/${seeded.idOf(due + n)}/token`, seeded.callerKey),
    );
    await bench.load.ask('prepare', { name: 'by id', requests });
    const counted = tally(bench.load, broker.pid);
    const job = { url, requests: 'by id', connections: 32, ms: 2 * bench.sliceMs };
    await counted.drive(job);

    const rates: number[] = [];
    const reads = { idle: [] as number[], busy: [] as number[] };
    const measured = await interleave(bench.rounds, {
      async baseline() {
        const { p99, answered, seconds } = await counted.drive(job);
        reads.idle.push(answered / seconds);
        return p99;
      },
      async ours() {
        await refreshAll(broker, seeded, [0, due], ({ claimed }) => claimed > 0);
        const before = await broker.ask('progress', null);
        const { p99, answered, seconds } = await counted.drive(job);
        const after = await broker.ask('progress', null);
        reads.busy.push(answered / seconds);
        rates.push((after.kept - before.kept) / seconds);
        await until(broker, ({ kept }) => kept >= due);
        return p99;
      },
    });
    return {
      p99: {
        ...measured,
        unit: 'ms',
        notes: [
          `${due} connections of ${INTEGRATIONS} integrations, limits as shipped; ${median(rates).toFixed(0)} refreshes/s meanwhile`,
          `reads over 32 connections each as soon as the one before is answered: ${median(reads.busy).toFixed(0)}/s, idle ${median(reads.idle).toFixed(0)}/s`,
        ],
      },
    };
  },
});
