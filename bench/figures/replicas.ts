// Several replicas on one PostgreSQL: their throughput, and the load on the database.
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Bench,
  experiment,
  type FigureSpec,
  interleave,
  median,
  request,
  sample,
  startShipped,
  tally,
} from '../harness.ts';
import { type Database, startServer } from '../postgres.ts';
import type { Broker, Progress } from '../servers/broker.ts';
import type { Provider } from '../servers/provider.ts';
import { processorSeconds, type Remote, startRemote } from '../servers/remote.ts';

const against1 = (title: string, floor: number, goal: number): FigureSpec => ({
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

const LATENCY_MS = 200;
const IN_FLIGHT = 32;
const WITHIN_MS = 60_000;

/** Starts replicas on a database. */
async function brokers(bench: Bench, database: Database, count: number) {
  const limits = { VALETKEY_REFRESH_CONCURRENCY: String(IN_FLIGHT), VALETKEY_REFRESH_RATE: '100000' };
  const replicas: Remote<Broker>[] = [];
  for (let n = 0; n < count; n++) {
    const replica = await startRemote<Broker>('broker', { env: { ...database.env(n), ...limits } });
    bench.defer(replica.stop);
    replicas.push(replica);
  }
  const progress = () => Promise.all(replicas.map((replica) => replica.ask('progress', null)));
  const processor = () => replicas.reduce((sum, { pid }) => sum + (processorSeconds(pid) ?? 0), 0);
  const kept = (all: Progress[]) => all.reduce((sum, one) => sum + one.kept, 0);

  return {
    processor,
    /** Makes `each` connections due, calls `onDue`, and returns the refreshes per second when all are refreshed. */
    async refresh(round: number, each: number, onDue: () => Promise<void>): Promise<number> {
      for (const replica of replicas) await replica.ask('forget', null);
      // As autovacuum does within a minute: leases are created by the first refresh.
      await database.ask('analyze');
      const [from, to] = [round * each, (round + 1) * each].map(database.seeded.idOf);
      await database.ask(
        `update connections set next_refresh_at = ${Date.now() - 1} where id >= '${from}' and id < '${to}'`,
      );
      await onDue();
      const late = performance.now() + WITHIN_MS;
      let all = await progress();
      while (kept(all) < each) {
        if (performance.now() > late) throw new Error(`only ${kept(all)} refreshes within ${WITHIN_MS} ms`);
        await pause(20);
        all = await progress();
      }
      const busy = all.filter((one) => one.kept > 0);
      const ms = Math.max(...busy.map(({ until }) => until)) - Math.min(...busy.map(({ since }) => since));
      return (each / ms) * 1_000;
    },
  };
}

export const replicaRefreshes = experiment({
  figures: {
    'refresh-2': against1(`refreshes a second on two replicas, a provider that takes ${LATENCY_MS} ms`, 1.5, 1.9),
    'refresh-3': against1(`refreshes a second on three replicas, a provider that takes ${LATENCY_MS} ms`, 2, 2.8),
  },
  async run(bench) {
    const provider = await startRemote<Provider>('provider', { env: { LATENCY_MS: String(LATENCY_MS) } });
    bench.defer(provider.stop);
    const tokenUrl = `${await provider.ask('url', null)}/token`;
    const server = await startServer();
    bench.defer(server.stop);
    const rounds = Math.min(bench.rounds, 3) + 1;
    const each = bench.quick ? 200 : 600;
    const fleets: (Awaited<ReturnType<typeof brokers>> & { count: number; database: Database })[] = [];
    // Each on its own database, since idle replicas would refresh as well.
    for (const count of [1, 2, 3]) {
      const database = await server.database({ connections: each * count * rounds, token: 200, tokenUrl });
      fleets.push({ count, database, ...(await brokers(bench, database, count)) });
    }
    const costs: number[] = [];
    const databaseCosts: number[] = [];
    const walBytes: number[] = [];
    const written = async ({ database }: (typeof fleets)[number]) => {
      const [row] = await database.ask("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as bytes");
      return Number(row?.bytes);
    };
    const side = (one: (typeof fleets)[number]) => {
      let round = 0;
      return async () => {
        let [processor, database, bytes] = [0, 0, 0];
        // What makes them due writes a version of each row too.
        const perSecond = await one.refresh(round++, each * one.count, async () => {
          [processor, database, bytes] = [one.processor(), (await server.processor()) ?? 0, await written(one)];
        });
        const count = each * one.count;
        costs.push(((one.processor() - processor) / count) * 1e6);
        databaseCosts.push(((((await server.processor()) ?? 0) - database) / count) * 1e6);
        walBytes.push(((await written(one)) - bytes) / count);
        return perSecond;
      };
    };
    const [one, two, three] = fleets.map(side) as [() => Promise<number>, () => Promise<number>, () => Promise<number>];
    const measured = await interleave(rounds, { one, two, three });
    const facts = {
      brokerMicros: median(costs),
      databaseMicros: median(databaseCosts),
      journalBytes: median(walBytes),
      oneReplica: median(measured.one.slice(1)),
    };
    const notes = [
      `${IN_FLIGHT} requests in flight at each replica; ${facts.brokerMicros.toFixed(0)} µs of processor time each, and ${facts.databaseMicros.toFixed(0)} µs of the database's, on the same machine`,
      `${facts.journalBytes.toFixed(0)} bytes of write-ahead log each`,
    ];
    const common = { baseline: measured.one.slice(1), unit: 'refreshes/s', notes };
    return {
      'refresh-2': { ours: measured.two.slice(1), ...common },
      'refresh-3': { ours: measured.three.slice(1), ...common, facts },
    };
  },
});
