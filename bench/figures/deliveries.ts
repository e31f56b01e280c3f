// Deliveries of events: how soon one begins after the commit, and what endpoints cost that hold theirs open.
import { setTimeout as pause } from 'node:timers/promises';
import { addEndpoints, addUndelivered, createAdmin, hostOf } from '../endpoints.ts';
import { type Bench, experiment, median } from '../harness.ts';
import { seed } from '../seed.ts';
import type { Broker } from '../servers/broker.ts';
import type { Receiver } from '../servers/receiver.ts';
import { type Remote, startRemote } from '../servers/remote.ts';

const LATENCY_MS = 100;
const KILOBYTES = 60;
const SLOW_ENDPOINTS = 1_000;
/** Longer than that of a fast endpoint (`ENDPOINT_SLOW_MS`), so that each has one delivery under way. */
const HOLD_MS = 1_200;
const WITHIN_MS = 60_000;

async function setUp({ defer }: Bench, connections: number, execArgv: string[] = []) {
  const receiver = await startRemote<Receiver>('receiver');
  defer(receiver.stop);
  const port = await receiver.ask('port', null);
  const seeded = await seed({ connections });
  defer(seeded.remove);
  const admin = createAdmin(seeded);
  const broker = await startRemote<Broker>('broker', { env: admin.env, execArgv });
  defer(broker.stop);
  const url = await broker.ask('url', null);
  return { receiver, port, seeded, admin, broker, url };
}

export const deliveryLatency = experiment({
  figures: {
    'delivery-latency': {
      title: 'from the request that causes an event to its delivery, median',
      baseline: `${LATENCY_MS} ms`,
      better: 'lower',
      floor: 1,
      goal: 0.25,
    },
    'delivery-latency-p99': {
      title: 'the same, p99',
      baseline: `${LATENCY_MS} ms`,
      better: 'lower',
      floor: 1,
      goal: 0.5,
    },
  },
  async run(bench) {
    const each = bench.quick ? 50 : 120;
    const { receiver, port, seeded, admin, url } = await setUp(bench, each * (bench.rounds + 1));
    await addEndpoints(admin, url, [hostOf(0, port, '/')]);
    const p50: number[] = [];
    const p99: number[] = [];
    for (let n = 0; n < each * (bench.rounds + 1); ) {
      const delays: number[] = [];
      while (delays.length < each) {
        // At any time of the engine's pauses.
        await pause(Math.random() * 25);
        const began = performance.timeOrigin + performance.now();
        const arrival = receiver.ask('arrival', n + 1);
        await admin.ask(url, 'DELETE', `/v1/connections/${seeded.idOf(n++)}`);
        delays.push((await arrival) - began);
      }
      delays.sort((a, b) => a - b);
      p50.push(median(delays));
      p99.push(delays[Math.floor(delays.length * 0.99)]!);
    }
    const notes = [`${each} revocations each round, one at a time; with the time of the request and of its commit`];
    const result = (values: number[]) => ({
      ours: values.slice(1),
      baseline: values.slice(1).map(() => LATENCY_MS),
      unit: 'ms',
      notes,
    });
    return { 'delivery-latency': result(p50), 'delivery-latency-p99': result(p99) };
  },
});

/** Waits until each endpoint holds a delivery for so long that it counts as slow. */
async function untilHeld(receiver: Remote<Receiver>): Promise<void> {
  const late = performance.now() + WITHIN_MS;
  for (;;) {
    const held = await receiver.ask('held', null);
    if (held >= SLOW_ENDPOINTS) break;
    if (performance.now() > late) throw new Error(`only ${held} deliveries are held within ${WITHIN_MS} ms`);
    await pause(20);
  }
  await pause(HOLD_MS);
}

export const slowEndpoints = experiment({
  figures: {
    'slow-endpoints': {
      title: `memory of ${SLOW_ENDPOINTS} slow endpoints, each with a delivery under way`,
      baseline: `${KILOBYTES} kB`,
      better: 'lower',
      floor: 1,
      goal: 0.8,
    },
    'slow-endpoints-later': {
      title: 'heap and buffers after the tenth delivery of each of them',
      baseline: 'after the second one',
      better: 'lower',
      floor: 1.1,
      goal: 1.02,
    },
  },
  async run(bench) {
    const { receiver, port, seeded, admin, broker, url } = await setUp(bench, 1, ['--expose-gc']);
    const urls = Array.from({ length: SLOW_ENDPOINTS }, (_, n) => hostOf(n, port, '/slow'));
    const endpoints = await addEndpoints(admin, url, urls);
    await pause(500);
    const before = await broker.ask('memory', null);
    const cycles = bench.quick ? 5 : 10;
    addUndelivered(seeded, endpoints, cycles);
    const memory: Awaited<ReturnType<typeof broker.ask<'memory'>>>[] = [];
    while (memory.length < cycles) {
      await untilHeld(receiver);
      memory.push(await broker.ask('memory', null));
      await receiver.ask('release', null);
    }
    const [early, late] = [memory[1]!, memory.at(-1)!];
    const each = (late.heap - before.heap) / SLOW_ENDPOINTS / 1_000;
    const resident = (late.resident - before.resident) / SLOW_ENDPOINTS / 1_000;
    return {
      'slow-endpoints': {
        ours: [each],
        baseline: [KILOBYTES],
        unit: 'kB',
        notes: [
          `endpoints of ${SLOW_ENDPOINTS} hosts, which answer after more than a second; heap and buffers after a collection; the resident set grew by ${resident.toFixed(1)} kB each`,
        ],
      },
      'slow-endpoints-later': {
        ours: [late.heap / 1e6],
        baseline: [early.heap / 1e6],
        unit: 'MB',
        notes: [
          `${cycles} deliveries of each endpoint, one after the other; without any, ${(before.heap / 1e6).toFixed(1)} MB`,
        ],
      },
    };
  },
});
