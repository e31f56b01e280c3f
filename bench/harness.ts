// What all experiments share: their types, interleaving with a baseline, and the processes that they measure.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Seeded } from './seed.ts';
import type { Driven, Job, Load } from './servers/load.ts';
import type { Plain } from './servers/plain.ts';
import { BROKER_OPTIONS, processorSeconds, type Remote } from './servers/remote.ts';

export interface FigureSpec {
  title: string;
  /** The denominator of the ratio. */
  baseline: string;
  /** `higher`: the ratio must be at least the floor; `lower`: at most. */
  better: 'higher' | 'lower';
  floor: number;
  goal: number;
}

/** A figure with its verdict. */
export interface Result extends FigureSpec {
  name: string;
  /** Of each round. */
  ratios: number[];
  ratio: number;
  spread: [lowest: number, highest: number];
  holds: 'goal' | 'floor' | 'no';
  ours: number;
  against: number;
  unit: string;
  notes: string[];
  facts: Record<string, number>;
}

/** Pairs of measurements, each pair taken one right after the other. */
export interface Measured {
  ours: number[];
  baseline: number[];
  /** Of both. */
  unit: string;
  /** Other findings. */
  notes: string[];
  /** Numbers from which others are computed. */
  facts?: Record<string, number>;
}

export interface Experiment<Name extends string = string> {
  figures: Record<Name, FigureSpec>;
  run(bench: Bench): Promise<Record<Name, Measured>>;
}

/** Makes the compiler check that the results have the names of the figures. */
export const experiment = <Name extends string>(one: Experiment<Name>): Experiment<Name> => one;

/** The environment of an experiment. `defer`: runs the callback after the experiment, also if it fails. */
export interface Bench {
  quick: boolean;
  rounds: number;
  /** Milliseconds of load on one side in one round. */
  sliceMs: number;
  load: Remote<Load>;
  plain: Remote<Plain>;
  defer(cleanUp: () => unknown): void;
}

/** Measures each side once in every round, in the given order, so that disturbances of the machine affect all sides. */
export async function interleave<Name extends string>(
  rounds: number,
  sides: Record<Name, () => Promise<number>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(sides) as Name[];
  const measured = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round < rounds; round++) for (const name of names) measured[name].push(await sides[name]());
  return measured;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A request as raw HTTP/1.1. */
export function request(method: 'GET' | 'POST', path: string, key: string, body?: object): string {
  const text = body === undefined ? '' : JSON.stringify(body);
  const bodyHeaders = body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${text.length}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\n${bodyHeaders}\r\n${text}`;
}

/** Drives a server, and collects its requests per second and their cost. */
export interface Tally {
  drive(job: Job): Promise<Driven>;
  /** Microseconds of CPU time of the server per request, latency, and how busy the load generator was. */
  notes(name: string): string[];
  /** The ratio of the CPU times, which other load on the machine hardly affects. */
  against(baseline: Tally): string[];
  /** Median microseconds of CPU time per request; undefined if the system does not report it. */
  cost(): number | undefined;
}

export function tally(load: Remote<Load>, pid: number, secondsOf = processorSeconds): Tally {
  const costs: number[] = [];
  const busy: number[] = [];
  const p99s: number[] = [];
  const cost = () => (costs.length > 0 ? median(costs) : undefined);
  return {
    cost,
    against(baseline) {
      const [ours, theirs] = [cost(), baseline.cost()];
      return ours && theirs ? [`by processor time: ${(theirs / ours).toFixed(2)}`] : [];
    },
    async drive(job) {
      const before = secondsOf(pid);
      const driven = await load.ask('drive', job);
      const after = secondsOf(pid);
      if (driven.refused > 0 || driven.answered === 0)
        throw new Error(`${driven.refused} of ${driven.answered} requests failed: ${driven.refusal?.slice(0, 200)}`);
      if (before !== undefined && after !== undefined) costs.push(((after - before) / driven.answered) * 1e6);
      busy.push(driven.processor / driven.seconds);
      p99s.push(driven.p99);
      return driven;
    },
    notes: (name) => [
      `${name}: ${cost()?.toFixed(1) ?? '?'} µs of processor time each, p99 ${median(p99s).toFixed(2)} ms, load generator ${Math.round(median(busy) * 100)} % busy`,
    ],
  };
}

const ROOT = new URL('../', import.meta.url);
/** The bundle, as in the image, if one was built. */
export const SHIPPED = ['dist/main.js', 'src/main.ts'].find((path) => existsSync(new URL(path, ROOT)))!;

export interface Started {
  pid: number;
  url: string;
  /** From spawning until it logged that it listens. */
  startedInMs: number;
  /** Processor time until then, in seconds; undefined if the system does not report it. */
  startedWith: number | undefined;
  stop(): Promise<void>;
}

/** Starts the broker as an operator does. */
export const startShipped = ({ env }: Pick<Seeded, 'env'>): Promise<Started> =>
  startProcess([...BROKER_OPTIONS, fileURLToPath(new URL(SHIPPED, ROOT))], env, /"event":"listening".*"url":"([^"]+)"/);

const EMPTY = `const server = require('node:http').createServer((_, response) => response.end());
server.listen(0, '127.0.0.1', () => console.log('listening at http://127.0.0.1:' + server.address().port));`;

/** The baseline: an empty Node server. */
export const startEmpty = (): Promise<Started> => startProcess(['-e', EMPTY], {}, /listening at (\S+)/);

async function startProcess(args: string[], env: Record<string, string>, listens: RegExp): Promise<Started> {
  const began = performance.now();
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  const orphaned = () => child.kill('SIGKILL');
  process.on('exit', orphaned);
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const address = listens.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
    void gone.then(([code]) => reject(new Error(`${args.at(-1)} exited with ${code} before it listened`)));
  });
  const startedInMs = performance.now() - began;
  const startedWith = processorSeconds(child.pid!);
  return {
    pid: child.pid!,
    url,
    startedInMs,
    startedWith,
    async stop() {
      child.kill('SIGKILL');
      await gone;
      process.off('exit', orphaned);
    },
  };
}

/** The response to one request: its body, and its headers without those that every server sets itself. */
export async function sample(
  url: string,
  path: string,
  key: string,
  body?: object,
): Promise<{ headers: Record<string, string>; body: string }> {
  const response = await fetch(new URL(path, url), {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
  const ignored = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length']);
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !ignored.has(name)));
  return { headers: { ...headers, 'content-length': String(Buffer.byteLength(text)) }, body: text };
}
