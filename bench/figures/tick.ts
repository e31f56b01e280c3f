// The cost of a scheduler tick when nothing is due, by the number of stored connections.
import { openSqlite } from '../../src/stores/sqlite/store.ts';
import { type Bench, experiment, interleave } from '../harness.ts';
import { seed } from '../seed.ts';

const FEW = 1_000;
const INTEGRATIONS = 20;
const ROOM = 64;

/** Measures one tick in milliseconds, with the queries of the scheduler. */
async function tickOn({ defer, quick }: Bench, connections: number): Promise<() => Promise<number>> {
  const seeded = await seed({ connections, integrations: INTEGRATIONS });
  defer(seeded.remove);
  const store = await openSqlite(`file:${seeded.database}`);
  defer(store.close);
  const tick = async () => {
    const now = Date.now();
    for (const { integration } of await store.dueIntegrations(now)) await store.dueConnections(integration, now, ROOM);
  };
  const ticks = quick ? 200 : 1_000;
  return async () => {
    const began = performance.now();
    for (let i = 0; i < ticks; i++) await tick();
    return (performance.now() - began) / ticks;
  };
}

export const tick = experiment({
  figures: {
    tick: {
      title: 'a scheduler tick with 1,000,000 connections stored, none due',
      baseline: 'the same with 1,000 stored',
      better: 'lower',
      floor: 3,
      goal: 1.2,
    },
  },
  async run(bench) {
    const many = bench.quick ? 20_000 : 1_000_000;
    const [baseline, ours] = [await tickOn(bench, FEW), await tickOn(bench, many)];
    await interleave(1, { baseline, ours });
    const measured = await interleave(bench.rounds, { baseline, ours });
    const notes = [`${many} connections of ${INTEGRATIONS} integrations`];
    return { tick: { ...measured, unit: 'ms', notes } };
  },
});
