// Calls through the proxy, against the same pipe without the broker.
import { request as httpRequest } from 'node:http';
import { type Bench, experiment, interleave, median, request, type Started, startShipped, tally } from '../harness.ts';
import { type Seeded, seed } from '../seed.ts';
import type { Api } from '../servers/api.ts';
import type { Pipe } from '../servers/pipe.ts';
import { processorSeconds, type Remote, residentBytes, startRemote } from '../servers/remote.ts';

const BASELINE = 'the same undici pipe without the broker';
const LARGE = 100 * 1_024 * 1_024;
const HUGE = 1_024 * 1_024 * 1_024;
const FIRST_STREAMS = 1_000;
const STREAMS = 3_000;

interface Parties {
  seeded: Seeded;
  broker: Started;
  pipe: Remote<Pipe>;
  pipeUrl: string;
  /** Of a proxied call. */
  pathOf(path: string): string;
}

async function setUp({ defer }: Bench): Promise<Parties> {
  const api = await startRemote<Api>('api');
  defer(api.stop);
  const pipe = await startRemote<Pipe>('pipe');
  defer(pipe.stop);
  const url = await api.ask('url', undefined as never);
  const pipeUrl = await pipe.ask('to', url);
  const seeded = await seed({ connections: 100, token: 940, apiBaseUrl: url });
  defer(seeded.remove);
  const broker = await startShipped(seeded);
  defer(broker.stop);
  return { seeded, broker, pipe, pipeUrl, pathOf: (path) => `/v1/connections/${seeded.idOf(0)}/proxy${path}` };
}

export const proxied = experiment({
  figures: {
    proxied: {
      title: 'proxied GETs of 1 kB, 32 connections',
      baseline: BASELINE,
      better: 'higher',
      floor: 0.5,
      goal: 0.7,
    },
  },
  async run(bench) {
    const { load, rounds, sliceMs } = bench;
    const { seeded, broker, pipe, pipeUrl } = await setUp(bench);
    const ofBroker = (n: number) =>
      request('GET', `/v1/connections/${seeded.idOf(n % 100)}/proxy/small`, seeded.callerKey);
    await load.ask('prepare', { name: 'broker', requests: Array.from({ length: 100 }, (_, n) => ofBroker(n)) });
    await load.ask('prepare', { name: 'pipe', requests: [request('GET', '/small', seeded.callerKey)] });
    const sides = {
      baseline: { url: pipeUrl, requests: 'pipe', counted: tally(load, pipe.pid) },
      ours: { url: broker.url, requests: 'broker', counted: tally(load, broker.pid) },
    };
    const drive = async (side: keyof typeof sides, connections: number) => {
      const { url, requests, counted } = sides[side];
      return counted.drive({ url, requests, connections, ms: sliceMs });
    };
    const perSecond = (side: keyof typeof sides) => async () => {
      const { answered, seconds } = await drive(side, 32);
      return answered / seconds;
    };
    const measured = await interleave(rounds + 1, { baseline: perSecond('baseline'), ours: perSecond('ours') });
    const latency = await interleave(rounds, {
      baseline: async () => (await drive('baseline', 1)).p50,
      ours: async () => (await drive('ours', 1)).p50,
    });
    const added = median(latency.ours.map((ms, i) => ms - latency.baseline[i]!));
    return {
      proxied: {
        ours: measured.ours.slice(1),
        baseline: measured.baseline.slice(1),
        unit: 'requests/s',
        notes: [
          `added latency with one connection: ${added.toFixed(2)} ms (median)`,
          ...sides.ours.counted.against(sides.baseline.counted),
          ...sides.ours.counted.notes('proxied'),
          ...sides.baseline.counted.notes('pipe'),
        ],
        facts: { added_ms: added },
      },
    };
  },
});

export const proxiedStreams = experiment({
  figures: {
    'proxied-large': {
      title: 'proxied downloads of 100 MB',
      baseline: BASELINE,
      better: 'higher',
      floor: 0.9,
      goal: 0.95,
    },
    'proxied-uploads': {
      title: 'proxied uploads of 100 MB',
      baseline: BASELINE,
      better: 'higher',
      floor: 0.9,
      goal: 0.95,
    },
    'proxied-streams': {
      title: `memory of ${STREAMS} open event streams beside ${FIRST_STREAMS} others, each`,
      baseline: '60 kB',
      better: 'lower',
      floor: 1,
      goal: 0.8,
    },
  },
  async run(bench) {
    const { quick, rounds } = bench;
    const { seeded, broker, pipe, pipeUrl, pathOf } = await setUp(bench);
    const headers = { authorization: `Bearer ${seeded.callerKey}` };
    const costs = { baseline: [] as number[], ours: [] as number[] };
    /** Megabytes per second, and processor time of its server. */
    const timed = (side: keyof typeof costs, what: Omit<Transfer, 'headers'>) => async () => {
      const [url, pid] = side === 'ours' ? [broker.url, broker.pid] : [pipeUrl, pipe.pid];
      const path = side === 'ours' ? pathOf(what.path) : what.path;
      const [began, before] = [performance.now(), processorSeconds(pid)];
      await transfer(url, { ...what, path, headers });
      const seconds = (performance.now() - began) / 1_000;
      costs[side].push((processorSeconds(pid) ?? Number.NaN) - (before ?? Number.NaN));
      return LARGE / 1e6 / seconds;
    };
    const byProcessor = (): string[] => {
      const [ours, baseline] = [costs.ours.splice(0).slice(1), costs.baseline.splice(0).slice(1)].map(median);
      return Number.isNaN(ours) ? [] : [`by processor time: ${(baseline! / ours!).toFixed(2)}`];
    };
    const downloaded = { path: `/large?bytes=${LARGE}` };
    const large = await interleave(rounds + 1, {
      baseline: timed('baseline', downloaded),
      ours: timed('ours', downloaded),
    });
    const largeByProcessor = byProcessor();
    const uploaded = { path: '/large', method: 'POST', upload: LARGE };
    const uploads = await interleave(rounds + 1, {
      baseline: timed('baseline', uploaded),
      ours: timed('ours', uploaded),
    });
    const uploadsByProcessor = byProcessor();

    const before = residentBytes(broker.pid) ?? Number.NaN;
    const size = quick ? LARGE : HUGE;
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, residentBytes(broker.pid) ?? 0);
    }, 20);
    await transfer(broker.url, { path: pathOf(`/huge?bytes=${size}`), headers });
    const afterDownload = peak;
    await transfer(broker.url, { path: pathOf('/huge'), headers, method: 'POST', upload: size });
    clearInterval(watch);

    const streams = await memoryOfStreams(broker, pathOf('/events'), headers);
    const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    return {
      'proxied-large': {
        ours: large.ours.slice(1),
        baseline: large.baseline.slice(1),
        unit: 'MB/s',
        notes: [
          ...largeByProcessor,
          `resident while ${megabytes(size)} pass: from ${megabytes(before)} to at most ${megabytes(afterDownload)} down, ${megabytes(peak)} up`,
        ],
        facts: { grown_mb: (peak - before) / 1e6 },
      },
      'proxied-uploads': {
        ours: uploads.ours.slice(1),
        baseline: uploads.baseline.slice(1),
        unit: 'MB/s',
        notes: uploadsByProcessor,
      },
      'proxied-streams': {
        ours: [streams.later],
        baseline: [60],
        unit: 'kB resident',
        notes: [`each of the ${FIRST_STREAMS} before them, for which the heap grows: ${streams.first.toFixed(1)} kB`],
      },
    };
  },
});

/**
 * In kB, each. The first streams make the process load and compile what they need, and its young generation grow, up to 33 MB,
 * which other requests use as well. What a stream takes is what those after them add, over a few collections of garbage.
 */
async function memoryOfStreams(
  { url, pid }: Started,
  path: string,
  headers: Record<string, string>,
): Promise<{ first: number; later: number }> {
  const grownBy = async (streams: number) => {
    const before = residentBytes(pid) ?? Number.NaN;
    await Promise.all(Array.from({ length: streams }, () => openStream(url, path, headers)));
    return ((residentBytes(pid) ?? Number.NaN) - before) / streams / 1_000;
  };
  return { first: await grownBy(FIRST_STREAMS), later: await grownBy(STREAMS) };
}

interface Transfer {
  path: string;
  headers: Record<string, string>;
  method?: string;
  upload?: number;
}

const PIECE = Buffer.alloc(64 * 1_024, 'x');

/** Sends a request, and reads its response to the end. */
function transfer(url: string, { path, headers, method = 'GET', upload = 0 }: Transfer): Promise<void> {
  return new Promise((resolve, reject) => {
    const length = upload > 0 ? { 'content-length': upload } : {};
    const sent = httpRequest(
      new URL(path, url),
      { method, headers: { ...headers, ...length }, agent: false },
      (response) => {
        if (response.statusCode !== 200) reject(new Error(`${path}: ${response.statusCode}`));
        response.on('end', resolve).on('error', reject).resume();
      },
    );
    sent.on('error', reject);
    let left = upload;
    const more = () => {
      while (left > 0) {
        const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
        left -= piece.length;
        if (!sent.write(piece)) return void sent.once('drain', more);
      }
      sent.end();
    };
    more();
  });
}

/** Opens a stream, which ends with its server, and returns once its first event is here. */
function openStream(url: string, path: string, headers: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(new URL(path, url), { headers, agent: false }, (response) => {
      response.once('data', () => resolve()).on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}
