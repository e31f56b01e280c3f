// Start time and memory at rest.
import { setTimeout as pause } from 'node:timers/promises';
import { experiment, median, SHIPPED, startEmpty, startShipped } from '../harness.ts';
import { seed } from '../seed.ts';
import { residentBytes } from '../servers/remote.ts';

/** Time until memory that only the start needs is released. */
const AT_REST_MS = 1_500;
const MEGABYTE = 1_024 * 1_024;

export const footprint = experiment({
  figures: {
    start: {
      title: 'start to listening on a database of 100,000 connections',
      baseline: 'start of an empty `node:http` server',
      better: 'lower',
      floor: 4,
      goal: 2,
    },
    memory: {
      title: 'memory at rest',
      baseline: 'an empty `node:http` server',
      better: 'lower',
      floor: 2.5,
      goal: 1.5,
    },
  },
  async run({ rounds, quick, defer }) {
    const seeded = await seed({ connections: quick ? 10_000 : 100_000, integrations: 10 });
    defer(seeded.remove);
    const start = { ours: [] as number[], baseline: [] as number[] };
    const processor = { ours: [] as number[], baseline: [] as number[] };
    const memory = { ours: [] as number[], baseline: [] as number[] };
    // Warm-up: fills the caches of the file system.
    await (await startShipped(seeded)).stop();
    for (let round = 0; round < rounds; round++) {
      const empty = await startEmpty();
      const broker = await startShipped(seeded);
      // Loads the framework, which no broker that is asked for its readiness is without.
      await (await fetch(`${broker.url}/readyz`)).text();
      await pause(quick ? 300 : AT_REST_MS);
      start.baseline.push(empty.startedInMs);
      start.ours.push(broker.startedInMs);
      processor.baseline.push(empty.startedWith ?? Number.NaN);
      processor.ours.push(broker.startedWith ?? Number.NaN);
      memory.baseline.push((residentBytes(empty.pid) ?? Number.NaN) / MEGABYTE);
      memory.ours.push((residentBytes(broker.pid) ?? Number.NaN) / MEGABYTE);
      await Promise.all([empty.stop(), broker.stop()]);
    }
    const [ours, theirs] = [median(processor.ours) * 1_000, median(processor.baseline) * 1_000];
    const byProcessor = `by processor time: ${(ours / theirs).toFixed(1)} (${ours} against ${theirs} ms)`;
    return {
      start: {
        ...start,
        unit: 'ms',
        notes: [`started from ${SHIPPED}`, ...(Number.isNaN(ours) ? [] : [byProcessor])],
      },
      memory: {
        ...memory,
        unit: 'MB resident',
        notes: [`started from ${SHIPPED}, ${AT_REST_MS} ms after it was first ready`],
      },
    };
  },
});
