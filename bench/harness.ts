// What every figure shares: its form, taking turns with a baseline, and the processes that it measures.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Seeded } from './seed.ts';
import type { Driven, Job, Load } from './servers/load.ts';
import type { Plain } from './servers/plain.ts';
import { processorSeconds, type Remote } from './servers/remote.ts';

export interface FigureSpec {
  title: string;
  /** What the ratio is taken against. */
  baseline: string;
  /** `higher`: a ratio of at least the floor holds; `lower`: of at most. */
  better: 'higher' | 'lower';
  floor: number;
  goal: number;
}

/** Pairs that were measured one right after the other. */
export interface Measured {
  ours: number[];
  baseline: number[];
  /** Of both. */
  unit: string;
  /** What else is worth knowing. */
  notes: string[];
  /** What other figures are made of, by arithmetic. */
  facts?: Record<string, number>;
}

export interface Experiment<Name extends string = string> {
  figures: Record<Name, FigureSpec>;
  run(bench: Bench): Promise<Record<Name, Measured>>;
}

/** Ties the names of the figures to those of the results. */
export const experiment = <Name extends string>(one: Experiment<Name>): Experiment<Name> => one;

/** What an experiment is given; `defer` is called when it has ended, however it ended. */
export interface Bench {
  quick: boolean;
  rounds: number;
  /** Milliseconds that one side is driven for in one round. */
  turn: number;
  load: Remote<Load>;
  plain: Remote<Plain>;
  defer(cleanUp: () => unknown): void;
}

/** Each side once in every round, in the order given: what disturbs the machine disturbs all of them. */
export async function takeTurns<Name extends string>(
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

/** A request as it goes over the wire. */
export function request(method: 'GET' | 'POST', path: string, key: string, body?: object): string {
  const text = body === undefined ? '' : JSON.stringify(body);
  const ofBody = body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${text.length}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\n${ofBody}\r\n${text}`;
}

/** How a server was driven, turn by turn: requests a second, and what each cost it. */
export interface Tally {
  turn(job: Job): Promise<Driven>;
  /** Microseconds of the server's processor time for each request; and how busy the generator was. */
  notes(name: string): string[];
  /** The same of both, as a ratio: what else runs on the machine hardly changes it. */
  against(baseline: Tally): string[];
  cost(): number | undefined;
}

export function tally(load: Remote<Load>, pid: number): Tally {
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
    async turn(job) {
      const before = processorSeconds(pid);
      const driven = await load.ask('drive', job);
      const after = processorSeconds(pid);
      if (driven.refused > 0 || driven.answered === 0)
        throw new Error(`${driven.refused} of ${driven.answered} were refused: ${driven.refusal?.slice(0, 200)}`);
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
/** As shipped in the image: the bundle, where one was built. */
export const SHIPPED = ['dist/main.js', 'src/main.ts'].find((path) => existsSync(new URL(path, ROOT)))!;

export interface Started {
  pid: number;
  url: string;
  /** From its spawning until it said that it listens. */
  startedInMs: number;
  stop(): Promise<void>;
}

/** The broker as an operator runs it. */
export const startShipped = ({ env }: Pick<Seeded, 'env'>): Promise<Started> =>
  startProcess([fileURLToPath(new URL(SHIPPED, ROOT))], env, /"event":"listening".*"url":"([^"]+)"/);

const EMPTY = `const server = require('node:http').createServer((_, response) => response.end());
server.listen(0, '127.0.0.1', () => console.log('listening at http://127.0.0.1:' + server.address().port));`;

/** What Node itself takes: a server that answers nothing of worth. */
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
      const said = listens.exec(line)?.[1];
      if (said !== undefined) resolve(said);
    });
    void gone.then(([code]) => reject(new Error(`${args.at(-1)} ended with ${code} before it listened`)));
  });
  return {
    pid: child.pid!,
    url,
    startedInMs: performance.now() - began,
    async stop() {
      child.kill('SIGKILL');
      await gone;
      process.off('exit', orphaned);
    },
  };
}

/** The answer of a server to one request: its headers, but for those that every server sets itself, and its body. */
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
  const own = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length']);
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !own.has(name)));
  return { headers: { ...headers, 'content-length': String(Buffer.byteLength(text)) }, body: text };
}
