// Reads at a pace that leaves the broker idle in between: what holds up a single one of them. Each is of another connection, so
// that its entry in the audit log is flushed, and the log of the database is written to the file meanwhile.
import { setTimeout as pause } from 'node:timers/promises';
import { type Bench, experiment, interleave, median, request, sample, tally } from '../harness.ts';
import { seed } from '../seed.ts';
import type { Broker } from '../servers/broker.ts';
import type { Plain } from '../servers/plain.ts';
import { type Remote, startRemote } from '../servers/remote.ts';
import type { Turns } from '../servers/turns.ts';

const PER_SECOND = 10_000;
/** All of them are in the token cache. */
const CONNECTIONS = 10_000;
const TOKEN = 940;
/** More than are ever in flight, unless the server is held up. */
const SOCKETS = 32;
/** Until the flush of the last slice has ended. */
const SETTLED_MS = 1_500;

async function setUp({ defer, load, plain }: Bench) {
  const seeded = await seed({ connections: CONNECTIONS, token: TOKEN });
  defer(seeded.remove);
  const broker = await startRemote<Broker>('broker', { env: seeded.env });
  defer(broker.stop);
  const url = await broker.ask('url', null);
  const pathOf = (n: number) => `/v1/connections/${seeded.idOf(n)}/token`;
  const plainUrl = await plain.ask('answer', await sample(url, pathOf(0), seeded.callerKey));
  const requests = Array.from({ length: CONNECTIONS }, (_, n) => request('GET', pathOf(n), seeded.callerKey));
  await load.ask('prepare', { name: 'each', requests });
  return { broker, url, plainUrl };
}

export const paced = experiment({
  figures: {
    'paced-p99': {
      title: `p99 of warm reads of ${PER_SECOND} different connections a second`,
      baseline: 'p99 of `node:http` at the same pace',
      better: 'lower',
      floor: 2,
      goal: 1.5,
    },
    stalls: {
      title: 'the longest turn of the event loop meanwhile, in processor time: audit entries, checkpoints, collections',
      baseline: '2 ms',
      better: 'lower',
      floor: 1,
      goal: 0.5,
    },
  },
  async run(bench) {
    const { broker, url, plainUrl } = await setUp(bench);
    const turns: Record<'ours' | 'theirs', Turns[]> = { ours: [], theirs: [] };
    const side = (remote: Remote<Broker> | Remote<Plain>, at: string, into: Turns[]) => {
      const counted = tally(bench.load, remote.pid);
      const ask = () => (remote as Remote<Plain>).ask('turns', null);
      return {
        counted,
        async drive() {
          const job = { url: at, requests: 'each', connections: SOCKETS, ms: 3 * bench.sliceMs, perSecond: PER_SECOND };
          await ask();
          const { p99 } = await counted.drive(job);
          into.push(await ask());
          await pause(SETTLED_MS);
          return p99;
        },
      };
    };
    const ours = side(broker, url, turns.ours);
    const theirs = side(bench.plain, plainUrl, turns.theirs);
    // The first round fills the cache, and warms up the compiler.
    const { baseline, own } = await interleave(bench.rounds + 1, { baseline: theirs.drive, own: ours.drive });
    const each = (of: Turns[], member: keyof Turns) => of.slice(1).map((measured) => measured[member]);
    const said = (of: Turns[]) =>
      `${median(each(of, 'longest')).toFixed(1)} ms, ${median(each(of, 'long')).toFixed(1)} in a second longer than 2 ms, one in a thousand longer than ${median(each(of, 'p999')).toFixed(1)} ms, by the clock up to ${median(each(of, 'longestByClock')).toFixed(1)} ms`;
    return {
      'paced-p99': {
        ours: own.slice(1),
        baseline: baseline.slice(1),
        unit: 'ms',
        notes: [...ours.counted.notes('reads'), ...theirs.counted.notes('node:http')],
      },
      stalls: {
        ours: each(turns.ours, 'longest'),
        baseline: each(turns.ours, 'longest').map(() => 2),
        unit: 'ms',
        notes: [`reads: ${said(turns.ours)}`, `node:http: ${said(turns.theirs)}`],
      },
    };
  },
});
