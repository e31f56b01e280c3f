// Memory of the token cache per token.
import { setTimeout as pause } from 'node:timers/promises';
import { experiment, median, request, tally } from '../harness.ts';
import { seed } from '../seed.ts';
import type { Broker } from '../servers/broker.ts';
import { startRemote } from '../servers/remote.ts';

const TOKEN = 2_048;
/** Time until the audit entries of the reads are written. */
const FLUSHED_MS = 2_500;

export const cached = experiment({
  figures: {
    cached: {
      title: 'memory for each 2 kB token cached',
      baseline: 'its bytes',
      better: 'lower',
      floor: 2,
      goal: 1.65,
    },
  },
  async run({ load, defer, quick }) {
    const tokens = quick ? 5_000 : 20_000;
    const seeded = await seed({ connections: tokens, token: TOKEN });
    defer(seeded.remove);
    const requests = Array.from({ length: tokens }, (_, n) =>
      request('GET', `/v1/connections/${seeded.idOf(n)}/token`, seeded.callerKey),
    );
    await load.ask('prepare', { name: 'by id', requests });
    await load.ask('prepare', { name: 'one', requests: requests.slice(0, 1) });
    const ours: number[] = [];
    const resident: number[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      const broker = await startRemote<Broker>('broker', { env: seeded.env, execArgv: ['--expose-gc'] });
      const url = await broker.ask('url', null);
      const counted = tally(load, broker.pid);
      // Warm-up: all functions of a read are compiled before the measurement.
      await counted.drive({ url, requests: 'one', connections: 32, ms: 60_000, count: 10_000 });
      await pause(FLUSHED_MS);
      const before = await broker.ask('memory', null);
      await counted.drive({ url, requests: 'by id', connections: 32, ms: 60_000, count: tokens });
      await pause(FLUSHED_MS);
      const after = await broker.ask('memory', null);
      ours.push((after.heap - before.heap) / (tokens - 1));
      resident.push((after.resident - before.resident) / (tokens - 1));
      await broker.stop();
    }
    return {
      cached: {
        ours,
        baseline: ours.map(() => TOKEN),
        unit: 'bytes',
        notes: [
          `${tokens} tokens; heap and buffers after a collection; the resident set grew by ${median(resident).toFixed(0)} bytes each`,
        ],
      },
    };
  },
});
