// What 100,000 undelivered events cost the others: reads and refreshes, while endpoints hang and others are down.
import { setTimeout as pause } from 'node:timers/promises';
import { addEndpoints, addUndelivered, countOpen, createAdmin, hostOf, removeDeliveries } from '../endpoints.ts';
import { type Bench, experiment, interleave, median, request, tally } from '../harness.ts';
import { seed } from '../seed.ts';
import type { Broker } from '../servers/broker.ts';
import type { Provider } from '../servers/provider.ts';
import type { Receiver } from '../servers/receiver.ts';
import { processorSeconds, startRemote } from '../servers/remote.ts';
import { refreshAll } from './refreshing.ts';

const WARM = 1_000;
const INTEGRATIONS = 10;
/** Of each kind: half of the endpoints never answer, half refuse connections. */
const ENDPOINTS = 20;
/** As a monitoring system does, but more often. */
const SCRAPE_MS = 1_000;
/** Until the engine has met what is due, or its absence. */
const SETTLED_MS = 2_500;
const REFUSING_PORT = 9;

async function setUp(bench: Bench, connections: number) {
  const { defer } = bench;
  const receiver = await startRemote<Receiver>('receiver');
  defer(receiver.stop);
  const provider = await startRemote<Provider>('provider');
  defer(provider.stop);
  const tokenUrl = `${await provider.ask('url', null)}/token`;
  const seeded = await seed({ connections, integrations: INTEGRATIONS, token: 200, tokenUrl });
  defer(seeded.remove);
  const admin = createAdmin(seeded);
  const broker = await startRemote<Broker>('broker', { env: admin.env });
  defer(broker.stop);
  const url = await broker.ask('url', null);
  const port = await receiver.ask('port', null);
  const urls = Array.from({ length: ENDPOINTS }, (_, n) => hostOf(n, n % 2 === 0 ? port : REFUSING_PORT, '/slow'));
  const endpoints = await addEndpoints(admin, url, urls);
  const scrapes = setInterval(() => void fetch(new URL('/metrics', url)).catch(() => undefined), SCRAPE_MS);
  defer(() => clearInterval(scrapes));
  const events = (bench.quick ? 20_000 : 100_000) / ENDPOINTS;

  return {
    seeded,
    broker,
    url,
    undelivered: events * ENDPOINTS,
    async withUndelivered() {
      removeDeliveries(seeded);
      addUndelivered(seeded, endpoints, events);
      await pause(SETTLED_MS);
    },
    async without() {
      removeDeliveries(seeded);
      await pause(SETTLED_MS);
    },
  };
}

export const undelivered = experiment({
  figures: {
    'undelivered-reads': {
      title: 'p99 of warm reads with 100,000 undelivered events',
      baseline: 'p99 without any',
      better: 'lower',
      floor: 1.5,
      goal: 1.1,
    },
    'undelivered-refreshes': {
      title: 'refreshes a second with 100,000 undelivered events',
      baseline: 'without any',
      better: 'higher',
      floor: 0.67,
      goal: 0.9,
    },
  },
  async run(bench) {
    const each = bench.quick ? 500 : 1_500;
    const rounds = Math.min(bench.rounds, 3) + 1;
    const last = WARM + each * 2 * rounds;
    const { seeded, broker, url, undelivered: count, ...backlog } = await setUp(bench, last);
    const requests = Array.from({ length: WARM }, (_, n) =>
      request('GET', `/v1/connections/${seeded.idOf(n)}/token`, seeded.callerKey),
    );
    await bench.load.ask('prepare', { name: 'by id', requests });
    const counted = { idle: tally(bench.load, broker.pid), busy: tally(bench.load, broker.pid) };
    const job = { url, requests: 'by id', connections: 32, ms: 2 * bench.sliceMs };
    const refreshed = { idle: [] as number[], busy: [] as number[] };
    const costs = { idle: [] as number[], busy: [] as number[] };
    const open: number[] = [];
    let from = WARM;
    const measure = async (side: 'idle' | 'busy') => {
      const { p99 } = await counted[side].drive(job);
      const before = processorSeconds(broker.pid) ?? 0;
      const { kept, seconds } = await refreshAll(broker, seeded, [from, from + each]);
      costs[side].push((((processorSeconds(broker.pid) ?? 0) - before) / kept) * 1e6);
      from += each;
      refreshed[side].push(kept / seconds);
      return p99;
    };
    const measured = await interleave(rounds, {
      async baseline() {
        await backlog.without();
        return measure('idle');
      },
      async ours() {
        await backlog.withUndelivered();
        const p99 = await measure('busy');
        open.push(countOpen(seeded));
        return p99;
      },
    });
    const notes = [
      `${count} deliveries due to ${ENDPOINTS} endpoints, of which half hang and half refuse connections; ${median(open)} are open in the end; metrics are read once a second`,
    ];
    return {
      'undelivered-reads': {
        ours: measured.ours.slice(1),
        baseline: measured.baseline.slice(1),
        unit: 'ms',
        notes: [...notes, ...counted.busy.notes('with'), ...counted.idle.notes('without')],
      },
      'undelivered-refreshes': {
        ours: refreshed.busy.slice(1),
        baseline: refreshed.idle.slice(1),
        unit: 'refreshes/s',
        notes: [
          `${each} connections of ${INTEGRATIONS} integrations each round, limits as shipped; ${median(costs.busy.slice(1)).toFixed(0)} µs of processor time each, without ${median(costs.idle.slice(1)).toFixed(0)}`,
          ...notes,
        ],
      },
    };
  },
});
