// Token reads from the token cache, with all checks enabled, and from the database.
import {
  type Bench,
  experiment,
  type FigureSpec,
  interleave,
  request,
  sample,
  startShipped,
  tally,
} from '../harness.ts';
import { type Seeded, seed } from '../seed.ts';

/** With a token of this length, the response has 1.2 kB. */
const TOKEN = 940;
const WARM = 1_000;
/** The token cache is full of these. */
const CACHED = 50_000;
/** Others: each of them is read once, or so rarely that it does not get in. */
const COLD = 150_000;
const BASELINE = '`node:http` answering the same bytes';

const figure = (title: string, floor: number, goal: number): FigureSpec => ({
  title,
  baseline: BASELINE,
  better: 'higher',
  floor,
  goal,
});

const byId =
  ({ idOf, callerKey }: Seeded) =>
  (n: number) =>
    request('GET', `/v1/connections/${idOf(n)}/token`, callerKey);
const byOwner =
  ({ ownerOf, integrationOf, callerKey }: Seeded) =>
  (n: number) =>
    request('GET', `/v1/token?integration=${integrationOf(n)}&owner=${ownerOf(n)}`, callerKey);

/** A broker with this many connections, and the baseline with the same response. */
async function setUp({ plain, load, defer }: Bench, connections: number) {
  const seeded = await seed({ connections, token: TOKEN });
  defer(seeded.remove);
  const broker = await startShipped(seeded);
  defer(broker.stop);
  const answer = await sample(broker.url, `/v1/connections/${seeded.idOf(0)}/token`, seeded.callerKey);
  const plainUrl = await plain.ask('answer', answer);
  const requests = async (name: string, of: (n: number) => string) =>
    load.ask('prepare', { name, requests: Array.from({ length: connections }, (_, n) => of(n)) });
  return { seeded, broker, plainUrl, requests, bytes: Buffer.byteLength(answer.body) };
}

const unit = 'requests/s';

export const warm = experiment({
  figures: {
    warm: figure('warm token read by id, 32 connections', 0.62, 0.85),
    'warm-owner': figure('warm token read by owner, 32 connections', 0.62, 0.85),
    'warm-256': figure('warm token read by id, 256 connections', 0.58, 0.8),
  },
  async run(bench) {
    const { seeded, broker, plainUrl, requests, bytes } = await setUp(bench, WARM);
    await requests('by id', byId(seeded));
    await requests('by owner', byOwner(seeded));
    const tallies = new Map<string, ReturnType<typeof tally>>();
    const drive = (name: string, url: string, pid: number, wanted: string, connections: number) => {
      const counted = tally(bench.load, pid);
      tallies.set(name, counted);
      return async () => {
        const { answered, seconds } = await counted.drive({ url, requests: wanted, connections, ms: bench.sliceMs });
        return answered / seconds;
      };
    };
    const at = (connections: number) => ({
      baseline: drive(`node:http ${connections}`, plainUrl, bench.plain.pid, 'by id', connections),
      id: drive(`by id ${connections}`, broker.url, broker.pid, 'by id', connections),
      owner: drive(`by owner ${connections}`, broker.url, broker.pid, 'by owner', connections),
    });
    const [few, many] = [at(32), at(256)];
    // Warm-up: for the compiler and the cache.
    await interleave(1, few);
    const of32 = await interleave(bench.rounds, few);
    const of256 = await interleave(bench.rounds, { baseline: many.baseline, id: many.id });
    const notes = (ours: string, baseline: string) => [
      `answers of ${bytes} bytes, ${WARM} connections in rotation`,
      ...tallies.get(ours)!.against(tallies.get(baseline)!),
      ...[ours, baseline].flatMap((name) => tallies.get(name)!.notes(name)),
    ];
    return {
      warm: { ours: of32.id, baseline: of32.baseline, unit, notes: notes('by id 32', 'node:http 32') },
      'warm-owner': { ours: of32.owner, baseline: of32.baseline, unit, notes: notes('by owner 32', 'node:http 32') },
      'warm-256': { ours: of256.id, baseline: of256.baseline, unit, notes: notes('by id 256', 'node:http 256') },
    };
  },
});

export const cold = experiment({
  figures: { cold: figure('cold token read: row read and decrypted, SQLite, 32 connections', 0.28, 0.4) },
  async run(bench) {
    const [cached, others] = bench.quick ? [CACHED, COLD / 5] : [CACHED, COLD];
    const { seeded, broker, plainUrl, bytes } = await setUp(bench, cached + others);
    const requests = (from: number, count: number) => Array.from({ length: count }, (_, n) => byId(seeded)(from + n));
    await bench.load.ask('prepare', { name: 'cached', requests: requests(0, cached) });
    await bench.load.ask('prepare', { name: 'by id', requests: requests(cached, others) });
    await bench.load.ask('drive', { url: broker.url, requests: 'cached', connections: 32, ms: 60_000, count: cached });
    const [ours, theirs] = [tally(bench.load, broker.pid), tally(bench.load, bench.plain.pid)];
    let from = 0;
    // Continues where the previous slice ended.
    const slice = async (counted: typeof ours, url: string) => {
      const job = { url, requests: 'by id', from, connections: 32, ms: bench.sliceMs };
      const { answered, seconds } = await counted.drive(job);
      if (counted === ours) from += answered;
      return answered / seconds;
    };
    const measured = await interleave(bench.rounds + 1, {
      baseline: () => slice(theirs, plainUrl),
      ours: () => slice(ours, broker.url),
    });
    const hits = await cacheHits(broker.url);
    return {
      cold: {
        ours: measured.ours.slice(1),
        baseline: measured.baseline.slice(1),
        unit,
        notes: [
          `answers of ${bytes} bytes, ${others} connections in rotation beside ${cached} in the token cache, ${hits} read from it`,
          ...ours.against(theirs),
          ...ours.notes('cold'),
          ...theirs.notes('node:http'),
        ],
      },
    };
  },
});

async function cacheHits(url: string): Promise<number> {
  const metrics = await (await fetch(new URL('/metrics', url))).text();
  return Number(/^valetkey_token_cache_lookups_total\{outcome="hit"\} (\d+)/m.exec(metrics)?.[1] ?? 0);
}
