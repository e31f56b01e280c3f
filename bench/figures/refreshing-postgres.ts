// Refreshes on PostgreSQL: of one replica at saturation and one after the other, and of several replicas on one database.
import { setTimeout as pause } from 'node:timers/promises';
import { type Bench, experiment, interleave, median } from '../harness.ts';
import { type Database, type Server, startServer } from '../postgres.ts';
import type { Broker, Progress } from '../servers/broker.ts';
import type { PoolLoop } from '../servers/pool.ts';
import type { Provider } from '../servers/provider.ts';
import { processorSeconds, type Remote, startRemote } from '../servers/remote.ts';
import { WARM_UP } from './refreshing.ts';
import { against1 } from './replicas.ts';

const WITHIN_MS = 60_000;

async function startProvider({ defer }: Bench, latencyMs: number) {
  const provider = await startRemote<Provider>('provider', { env: { LATENCY_MS: String(latencyMs) } });
  defer(provider.stop);
  return `${await provider.ask('url', null)}/token`;
}

/** What one of many refreshes costs, in microseconds of processor time and bytes of write-ahead log. */
interface Cost {
  broker: number;
  database: number;
  log: number;
}
const medianOf = (costs: Cost[]): Cost => {
  const of = (part: keyof Cost) => median(costs.map((cost) => cost[part]));
  return { broker: of('broker'), database: of('database'), log: of('log') };
};

/** Starts replicas on a database. */
async function startFleet(bench: Bench, server: Server, database: Database, count: number, inFlight: number) {
  const limits = { VALETKEY_REFRESH_CONCURRENCY: String(inFlight), VALETKEY_REFRESH_RATE: '100000' };
  const replicas: Remote<Broker>[] = [];
  for (let n = 0; n < count; n++) {
    const replica = await startRemote<Broker>('broker', { env: { ...database.env(n), ...limits } });
    bench.defer(replica.stop);
    replicas.push(replica);
  }
  const progress = () => Promise.all(replicas.map((replica) => replica.ask('progress', null)));
  const kept = (all: Progress[]) => all.reduce((sum, one) => sum + one.kept, 0);

  /** Returns what has been used since, for each of `refreshes`. */
  async function meter(refreshes: number): Promise<() => Promise<Cost>> {
    const used = async (): Promise<Cost> => {
      const [row] = await database.ask("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as bytes");
      const broker = replicas.reduce((sum, { pid }) => sum + (processorSeconds(pid) ?? 0), 0) * 1e6;
      return { broker, database: ((await server.processor()) ?? 0) * 1e6, log: Number(row?.bytes) };
    };
    const before = await used();
    return async () => {
      const after = await used();
      const each = (part: keyof Cost) => (after[part] - before[part]) / refreshes;
      return { broker: each('broker'), database: each('database'), log: each('log') };
    };
  }

  return {
    url: (): Promise<string> => replicas[0]!.ask('url', null),
    meter,
    /** Makes these connections due, and waits until all are refreshed. What makes them due is not measured. */
    async refresh(from: number, count: number): Promise<Cost & { perSecond: number }> {
      for (const replica of replicas) await replica.ask('forget', null);
      // As autovacuum does within a minute: leases are created by the first refresh.
      await database.ask('analyze');
      const [first, end] = [from, from + count].map(database.seeded.idOf);
      await database.ask(
        `update connections set next_refresh_at = ${Date.now() - 1} where id >= '${first}' and id < '${end}'`,
      );
      const measured = await meter(count);
      const late = performance.now() + WITHIN_MS;
      let all = await progress();
      while (kept(all) < count) {
        if (performance.now() > late) throw new Error(`only ${kept(all)} refreshes within ${WITHIN_MS} ms`);
        await pause(20);
        all = await progress();
      }
      const busy = all.filter((one) => one.kept > 0);
      const ms = Math.max(...busy.map(({ until }) => until)) - Math.min(...busy.map(({ since }) => since));
      return { ...(await measured()), perSecond: (count / ms) * 1_000 };
    },
  };
}

const MANY_IN_FLIGHT = 256;

export const saturatedRefreshes = experiment({
  figures: {
    'refresh-postgres': {
      title: `refreshes a second, whole engine, PostgreSQL, ${MANY_IN_FLIGHT} in flight`,
      baseline: 'a bare undici `Pool` loop at the same token endpoint',
      better: 'higher',
      floor: 0.08,
      goal: 0.2,
    },
  },
  async run(bench) {
    const many = bench.quick ? 600 : 3_000;
    const few = bench.quick ? 50 : 200;
    const tokenUrl = await startProvider(bench, 0);
    const server = await startServer();
    bench.defer(server.stop);
    const warmUp = bench.quick ? WARM_UP.quick : WARM_UP.whole;
    const rounds = warmUp + bench.rounds;
    // None is due by itself. The first are made due together, the next have expired, and the last are alive.
    const [firstExpired, firstAlive, connections] = [many, many + few, many + 2 * few].map((n) => n * rounds);
    const inHours = (hours: number) => Date.now() + hours * 3_600_000;
    const [expired, alive] = [-1, 1].map((hours) => ({
      issuedAt: inHours(-2),
      expiresAt: inHours(hours),
      dueAt: inHours(24),
    }));
    const times = (n: number) => (n < firstAlive! ? expired! : alive!);
    const database = await server.database({ connections: connections!, token: 200, tokenUrl, times });
    const { idOf, callerKey } = database.seeded;
    const fleet = await startFleet(bench, server, database, 1, MANY_IN_FLIGHT);
    const url = await fleet.url();
    const pool = await startRemote<PoolLoop>('pool');
    bench.defer(pool.stop);
    const headers = { authorization: `Bearer ${callerKey}` };

    /** Reads tokens that are not cached, one after the other. */
    async function readFew(from: number): Promise<Cost> {
      const measured = await fleet.meter(few);
      for (let n = from; n < from + few; n++) {
        const response = await fetch(`${url}/v1/connections/${idOf(n)}/token`, { headers });
        if (response.status !== 200) throw new Error(`a read: ${response.status} ${await response.text()}`);
        await response.arrayBuffer();
      }
      return measured();
    }

    const costs = { together: [] as Cost[], refreshed: [] as Cost[], alive: [] as Cost[] };
    const loop = () => pool.ask('loop', { tokenUrl, inFlight: MANY_IN_FLIGHT, ms: bench.sliceMs });
    let round = 0;
    async function refreshNext(): Promise<number> {
      const { perSecond, ...cost } = await fleet.refresh(many * round, many);
      costs.together.push(cost);
      costs.refreshed.push(await readFew(firstExpired! + few * round));
      costs.alive.push(await readFew(firstAlive! + few * round));
      round++;
      return perSecond;
    }
    while (round < warmUp) await refreshNext();
    await loop();
    const measured = await interleave(bench.rounds, { baseline: loop, ours: refreshNext });
    const text = (all: Cost[]) => {
      const { broker, database: ofDatabase, log } = medianOf(all.slice(warmUp));
      return `${broker.toFixed(0)} µs of processor time each and ${ofDatabase.toFixed(0)} µs of the database's, on the same machine, ${log.toFixed(0)} bytes of write-ahead log`;
    };
    return {
      'refresh-postgres': {
        ...measured,
        unit: 'refreshes/s',
        notes: [
          `${many} connections each round, logs at info; ${text(costs.together)}`,
          `${few} expired tokens read one after the other, the read included: ${text(costs.refreshed)}`,
          `the same reads of tokens that are alive: ${text(costs.alive)}`,
        ],
      },
    };
  },
});

const LATENCY_MS = 200;
const IN_FLIGHT = 32;

export const replicaRefreshes = experiment({
  figures: {
    'refresh-2': against1(`refreshes a second on two replicas, a provider that takes ${LATENCY_MS} ms`, 1.5, 1.9),
    'refresh-3': against1(`refreshes a second on three replicas, a provider that takes ${LATENCY_MS} ms`, 2, 2.8),
  },
  async run(bench) {
    const tokenUrl = await startProvider(bench, LATENCY_MS);
    const server = await startServer();
    bench.defer(server.stop);
    const rounds = Math.min(bench.rounds, 3) + 1;
    const each = bench.quick ? 200 : 600;
    const costs: Cost[] = [];
    const sides: (() => Promise<number>)[] = [];
    // Each on its own database, since idle replicas would refresh as well.
    for (const count of [1, 2, 3]) {
      const size = each * count;
      const database = await server.database({ connections: size * rounds, token: 200, tokenUrl });
      const fleet = await startFleet(bench, server, database, count, IN_FLIGHT);
      let round = 0;
      sides.push(async () => {
        const { perSecond, ...cost } = await fleet.refresh(size * round++, size);
        costs.push(cost);
        return perSecond;
      });
    }
    const [one, two, three] = sides as [() => Promise<number>, () => Promise<number>, () => Promise<number>];
    const measured = await interleave(rounds, { one, two, three });
    const { broker: brokerMicros, database: databaseMicros, log: journalBytes } = medianOf(costs);
    const facts = { brokerMicros, databaseMicros, journalBytes, oneReplica: median(measured.one.slice(1)) };
    const notes = [
      `${IN_FLIGHT} requests in flight at each replica; ${brokerMicros.toFixed(0)} µs of processor time each, and ${databaseMicros.toFixed(0)} µs of the database's, on the same machine`,
      `${journalBytes.toFixed(0)} bytes of write-ahead log each`,
    ];
    const common = { baseline: measured.one.slice(1), unit: 'refreshes/s', notes };
    return {
      'refresh-2': { ours: measured.two.slice(1), ...common },
      'refresh-3': { ours: measured.three.slice(1), ...common, facts },
    };
  },
});
