// Reads on one PostgreSQL: of several replicas, and those that the database answers.
import { experiment, type FigureSpec, interleave, median, request, sample, startShipped, tally } from '../harness.ts';
import { type Database, startServer } from '../postgres.ts';

export const against1 = (title: string, floor: number, goal: number): FigureSpec => ({
  title,
  baseline: 'one replica',
  better: 'higher',
  floor,
  goal,
});

/** As in reads.ts. */
const TOKEN = 940;
const WARM = 1_000;
const COLD = 60_000;
const CONNECTIONS = 32;

const readOf =
  ({ seeded: { idOf, callerKey } }: Database) =>
  (n: number) =>
    request('GET', `/v1/connections/${idOf(n)}/token`, callerKey);

export const replicaReads = experiment({
  figures: {
    'reads-2': against1('warm reads on two replicas and one machine', 0.7, 1),
    'reads-3': against1('warm reads on three replicas and one machine', 0.65, 1),
  },
  async run(bench) {
    const server = await startServer();
    bench.defer(server.stop);
    const database = await server.database({ connections: WARM, token: TOKEN });
    await bench.load.ask('prepare', {
      name: 'by id',
      requests: Array.from({ length: WARM }, (_, n) => readOf(database)(n)),
    });
    const replicas = await Promise.all([0, 1, 2].map((n) => startShipped({ env: database.env(n) })));
    for (const replica of replicas) bench.defer(replica.stop);
    const tallies = replicas.map(({ pid }) => tally(bench.load, pid));
    const across = (count: number) => async () => {
      const slices = replicas
        .slice(0, count)
        .map(({ url }, i) =>
          tallies[i]!.drive({ url, requests: 'by id', connections: Math.ceil(CONNECTIONS / count), ms: bench.sliceMs }),
        );
      return (await Promise.all(slices)).reduce((sum, { answered, seconds }) => sum + answered / seconds, 0);
    };
    const sides = { one: across(1), two: across(2), three: across(3) };
    // Warm-up: fills the caches.
    await interleave(1, sides);
    const { one, two, three } = await interleave(bench.rounds, sides);
    const common = { baseline: one, unit: 'requests/s' };
    const notes = [`${CONNECTIONS} connections among them; the load generator takes one of the machine's processors`];
    return { 'reads-2': { ours: two, ...common, notes }, 'reads-3': { ours: three, ...common, notes } };
  },
});

export const coldPostgres = experiment({
  figures: {
    'cold-postgres': {
      title: 'cold token read: row read and decrypted, PostgreSQL, 32 connections',
      baseline: '`node:http` answering the same bytes',
      better: 'higher',
      floor: 0.06,
      goal: 0.12,
    },
  },
  async run(bench) {
    const server = await startServer();
    bench.defer(server.stop);
    const connections = bench.quick ? COLD / 6 : COLD;
    const database = await server.database({ connections, token: TOKEN });
    const replica = await startShipped({ env: database.env(0) });
    bench.defer(replica.stop);
    const { seeded } = database;
    const answer = await sample(replica.url, `/v1/connections/${seeded.idOf(0)}/token`, seeded.callerKey);
    const plainUrl = await bench.plain.ask('answer', answer);
    const requests = Array.from({ length: connections }, (_, n) => readOf(database)(n));
    await bench.load.ask('prepare', { name: 'by id', requests });
    const [ours, theirs] = [tally(bench.load, replica.pid), tally(bench.load, bench.plain.pid)];
    let from = 1;
    let busy = 0;
    const slice = async (counted: typeof ours, url: string) => {
      const before = (await server.processor()) ?? 0;
      const job = { url, requests: 'by id', from, connections: CONNECTIONS, ms: bench.sliceMs };
      const { answered, seconds } = await counted.drive(job);
      if (counted === ours) {
        from += answered;
        busy += ((await server.processor()) ?? 0) - before;
      }
      return answered / seconds;
    };
    const measured = await interleave(bench.rounds, {
      baseline: () => slice(theirs, plainUrl),
      ours: () => slice(ours, replica.url),
    });
    const databaseMicros = (busy / (from - 1)) * 1e6;
    return {
      'cold-postgres': {
        ...measured,
        unit: 'requests/s',
        notes: [
          `${connections} connections, read once each; ${databaseMicros.toFixed(0)} µs of the database's processor time each, on the same machine`,
          ...ours.against(theirs),
          ...ours.notes('cold'),
        ],
        facts: { coldPerSecond: median(measured.ours), coldDatabaseMicros: databaseMicros },
      },
    };
  },
});
