// Calls through the proxy, against the same pipe without the broker.
import { request as httpRequest } from 'node:http';
import { type Bench, experiment, interleave, median, request, type Started, startShipped, tally } from '../harness.ts';
import { type Seeded, seed } from '../seed.ts';
import type { Api } from '../servers/api.ts';
import type { Pipe } from '../servers/pipe.ts';
import { type Remote, residentBytes, startRemote } from '../servers/remote.ts';

const BASELINE = 'the same undici pipe without the broker';
const LARGE = 100 * 1_024 * 1_024;
const HUGE = 1_024 * 1_024 * 1_024;
const STREAMS = 1_000;

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
      title: `memory of ${STREAMS} open event streams, each`,
      baseline: '60 kB',
      better: 'lower',
      floor: 1,
      goal: 0.8,
    },
  },
  async run(bench) {
    const { quick, rounds } = bench;
    const { seeded, broker, pipeUrl, pathOf } = await setUp(bench);
    const headers = { authorization: `Bearer ${seeded.callerKey}` };
    const download = (url: string, path: string, bytes: number) => async () => {
      const began = performance.now();
      await transfer(url, { path: `${path}?bytes=${bytes}`, headers });
      return bytes / 1e6 / ((performance.now() - began) / 1_000);
    };
    const large = await interleave(rounds + 1, {
      baseline: download(pipeUrl, '/large', LARGE),
      ours: download(broker.url, pathOf('/large'), LARGE),
    });

    const upload = (url: string, path: string) => async () => {
      const began = performance.now();
      await transfer(url, { path, headers, method: 'POST', upload: LARGE });
      return LARGE / 1e6 / ((performance.now() - began) / 1_000);
    };
    const uploads = await interleave(rounds + 1, {
      baseline: upload(pipeUrl, '/large'),
      ours: upload(broker.url, pathOf('/large')),
    });

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

    const empty = residentBytes(broker.pid) ?? Number.NaN;
    const streams = await Promise.all(
      Array.from({ length: STREAMS }, () => openStream(broker.url, pathOf('/events'), headers)),
    );
    const each = ((residentBytes(broker.pid) ?? Number.NaN) - empty) / STREAMS / 1_000;
    for (const close of streams) close();
    const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    return {
      'proxied-large': {
        ours: large.ours.slice(1),
        baseline: large.baseline.slice(1),
        unit: 'MB/s',
        notes: [
          `resident while ${megabytes(size)} pass: from ${megabytes(before)} to at most ${megabytes(afterDownload)} down, ${megabytes(peak)} up`,
        ],
        facts: { grown_mb: (peak - before) / 1e6 },
      },
      'proxied-uploads': {
        ours: uploads.ours.slice(1),
        baseline: uploads.baseline.slice(1),
        unit: 'MB/s',
        notes: [],
      },
      'proxied-streams': { ours: [each], baseline: [60], unit: 'kB', notes: [`${each.toFixed(1)} kB each`] },
    };
  },
});

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

/** Opens a stream, and returns once its first event is here; what closes it. */
function openStream(url: string, path: string, headers: Record<string, string>): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(new URL(path, url), { headers, agent: false }, (response) => {
      response.once('data', () => resolve(() => sent.destroy()));
    });
    sent.on('error', reject);
    sent.end();
  });
}
