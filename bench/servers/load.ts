// The load generator: HTTP/1.1 over raw sockets that are kept alive, one request under way on each (no pipelining).
// It knows only what it needs, so that it is quicker than any server that it drives.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { answerTo } from './remote.ts';

export interface Job {
  url: string;
  /** Which of the prepared requests; they go out one after the other, and then from the beginning. */
  requests: string;
  connections: number;
  /** It ends after so many milliseconds, or after so many requests, whatever comes first. */
  ms: number;
  count?: number;
}

export interface Driven {
  answered: number;
  /** Of them, with another status than 200. */
  refused: number;
  /** The head of the first that was refused. */
  refusal: string | undefined;
  seconds: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
  /** The generator's own processor time, in seconds: near to `seconds`, it was the bottleneck. */
  processor: number;
}

const HEAD_END = '\r\n\r\n';
const CHUNK = 64 * 1_024;

/** One socket. `done` is called with the head of each answer, once its last byte is there. */
class Lane {
  #socket: Socket;
  #head = '';
  #missing = -1;
  #done: (head: string) => void;

  constructor(url: URL, done: (head: string) => void) {
    this.#done = done;
    const onread = { buffer: Buffer.allocUnsafe(CHUNK), callback: this.#arrived.bind(this) };
    this.#socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true, onread });
  }

  connected = () => once(this.#socket, 'connect');
  onClose = (report: (error?: Error) => void) =>
    this.#socket.on('error', report).on('end', () => report(new Error('the server closed a connection')));
  send = (request: Buffer) => void this.#socket.write(request);
  end = () => void this.#socket.destroy();

  #arrived(size: number, buffer: Uint8Array): boolean {
    if (this.#missing < 0) {
      const before = this.#head.length;
      this.#head += (buffer as Buffer).toString('latin1', 0, size);
      const end = this.#head.indexOf(HEAD_END);
      if (end < 0) return true;
      this.#missing = lengthOf(this.#head, end) - (before + size - end - HEAD_END.length);
    } else this.#missing -= size;
    if (this.#missing > 0) return true;
    const head = this.#head;
    this.#head = '';
    this.#missing = -1;
    this.#done(head);
    return true;
  }
}

function lengthOf(answer: string, end: number): number {
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer);
  if (!length || length.index > end) throw new Error('an answer without content-length');
  return Number(length[1]);
}

const prepared = new Map<string, Buffer[]>();

async function drive({ url, requests, connections, ms, count = Number.POSITIVE_INFINITY }: Job): Promise<Driven> {
  const wanted = prepared.get(requests)!;
  const latencies: number[] = [];
  let [sent, refused] = [0, 0];
  let refusal: string | undefined;
  const lanes: Lane[] = [];
  const open = new Set<Lane>();
  let until = 0;
  let fail: (error: Error) => void = () => undefined;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });

  for (let i = 0; i < connections; i++) {
    let began = 0;
    const next = (now: number) => {
      if (now >= until || sent >= count) {
        open.delete(lane);
        if (open.size === 0) finish();
        return;
      }
      began = now;
      lane.send(wanted[sent++ % wanted.length]!);
    };
    const lane: Lane = new Lane(new URL(url), (head) => {
      const now = performance.now();
      if (began > 0) latencies.push(now - began);
      if (!head.startsWith('HTTP/1.1 200')) {
        refused++;
        refusal ??= head;
      }
      next(now);
    });
    lane.onClose((error) => fail(error ?? new Error('a connection broke')));
    begin.set(lane, next);
    lanes.push(lane);
  }
  await Promise.race([Promise.all(lanes.map((lane) => lane.connected())), finished]);
  const cpu = process.cpuUsage();
  const started = performance.now();
  until = started + ms;
  for (const lane of lanes) open.add(lane);
  for (const lane of lanes) begin.get(lane)!(performance.now());
  await finished.finally(() => {
    for (const lane of lanes) lane.end();
  });
  const seconds = (performance.now() - started) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return {
    answered: sorted.length,
    refused,
    refusal,
    seconds,
    p50: at(0.5),
    p99: at(0.99),
    processor: (user + system) / 1e6,
  };
}

const begin = new WeakMap<Lane, (now: number) => void>();

const handlers = {
  /** Whole requests, as they go over the wire. */
  prepare({ name, requests }: { name: string; requests: string[] }): void {
    prepared.set(
      name,
      requests.map((text) => Buffer.from(text)),
    );
  },
  drive,
};
export type Load = typeof handlers;
answerTo(handlers);
