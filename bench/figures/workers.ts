// Worker processes that share the port of one machine, on one SQLite file.
import { setTimeout as pause } from 'node:timers/promises';
import { type Bench, experiment, interleave, request, startShipped, tally } from '../harness.ts';
import { type Seeded, seed } from '../seed.ts';
import { childrenSeconds } from '../servers/remote.ts';

/** As in reads.ts. */
const TOKEN = 940;
const WARM = 1_000;
const CONNECTIONS = 64;
const WORKERS = 2;
const WITHIN_MS = 30_000;

/** Resolves when this many workers serve. */
async function serving(url: string, workers: number): Promise<void> {
  const late = performance.now() + WITHIN_MS;
  for (;;) {
    const metrics = await (await fetch(new URL('/metrics', url))).text();
    if (Number(/^valetkey_workers(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1]) >= workers) return;
    if (performance.now() > late) throw new Error(`${workers} workers do not serve after ${WITHIN_MS} ms`);
    await pause(50);
  }
}

/** A broker with its own database, and the requests per second that it answers. */
async function readsOf(bench: Bench, workers: number) {
  const seeded: Seeded = await seed({ connections: WARM, token: TOKEN });
  bench.defer(seeded.remove);
  const env = { ...seeded.env, VALETKEY_WORKERS: String(workers) };
  const broker = await startShipped({ env });
  bench.defer(broker.stop);
  if (workers > 1) await serving(broker.url, workers);
  const requests = `reads of ${workers}`;
  await bench.load.ask('prepare', {
    name: requests,
    requests: Array.from({ length: WARM }, (_, n) =>
      request('GET', `/v1/connections/${seeded.idOf(n)}/token`, seeded.callerKey),
    ),
  });
  const counted = tally(bench.load, broker.pid, childrenSeconds);
  return {
    counted,
    async slice() {
      const job = { url: broker.url, requests, connections: CONNECTIONS, ms: bench.sliceMs };
      const { answered, seconds } = await counted.drive(job);
      return answered / seconds;
    },
  };
}

export const workerReads = experiment({
  figures: {
    workers: {
      title: `warm reads on ${WORKERS} workers, SQLite, ${CONNECTIONS} connections`,
      baseline: 'one process',
      better: 'higher',
      floor: 0.8,
      goal: 1.8,
    },
  },
  async run(bench) {
    const [one, more] = [await readsOf(bench, 1), await readsOf(bench, WORKERS)];
    const sides = { baseline: one.slice, ours: more.slice };
    // Warm-up: fills the caches.
    await interleave(1, sides);
    const measured = await interleave(bench.rounds, sides);
    const notes = [
      'the load generator takes one of the machine’s processors: with two of them, the goal is out of reach',
      ...more.counted.against(one.counted),
      ...more.counted.notes(`${WORKERS} workers`),
      ...one.counted.notes('one process'),
    ];
    return { workers: { ...measured, unit: 'requests/s', notes } };
  },
});
