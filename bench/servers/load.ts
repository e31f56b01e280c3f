// The load generator: HTTP/1.1 over raw keep-alive sockets, one request in flight on each (no pipelining). It is minimal,
// so that it is faster than any server that it drives.
import { connect, type Socket } from 'node:net';
import { answerTo } from './remote.ts';

export interface Job {
  url: string;
  /** The name of prepared requests. They are sent in order, and then again from the first. */
  requests: string;
  /** The index of the first one. Default: 0. */
  from?: number;
  connections: number;
  /** The run ends after this many milliseconds, or after `count` requests, whichever comes first. */
  ms: number;
  count?: number;
}

export interface Driven {
  answered: number;
  /** Responses with a status other than 200. */
  refused: number;
  /** The head of the first of these. */
  refusal: string | undefined;
  seconds: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
  /** CPU time of the generator, in seconds. Close to `seconds`: it was the bottleneck. */
  processor: number;
}

const HEAD_END = '\r\n\r\n';
const CHUNK = 64 * 1_024;

/** One socket. `done` is called with the head of each response, once its last byte has arrived. */
class Connection {
  done: (head: string) => void = () => undefined;
  /** Rejects when the connection fails or is closed. */
  readonly broken: Promise<never>;
  #socket: Socket;
  #head = '';
  #missing = -1;

  constructor(url: URL) {
    const onread = { buffer: Buffer.allocUnsafe(CHUNK), callback: this.#arrived.bind(this) };
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true, onread });
    this.#socket = socket;
    this.broken = new Promise((_, reject) => {
      socket.on('error', reject).on('end', () => reject(new Error('the server closed a connection')));
    });
  }

  send = (request: Buffer) => void this.#socket.write(request);
  end = () => void this.#socket.destroy();
  ask(request: Buffer): Promise<string> {
    return new Promise((resolve) => {
      this.done = resolve;
      this.send(request);
    });
  }

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
    this.done(head);
    return true;
  }
}

function lengthOf(answer: string, end: number): number {
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer);
  if (!length || length.index > end) throw new Error('a response without content-length');
  return Number(length[1]);
}

const prepared = new Map<string, Buffer[]>();

async function drive({
  url,
  requests,
  from = 0,
  connections,
  ms,
  count = Number.POSITIVE_INFINITY,
}: Job): Promise<Driven> {
  const wanted = prepared.get(requests)!;
  const sockets = Array.from({ length: connections }, () => new Connection(new URL(url)));
  const broken = Promise.race(sockets.map((socket) => socket.broken));
  try {
    // One response on each first: accepting connections is not measured.
    await Promise.race([broken, Promise.all(sockets.map((socket) => socket.ask(wanted[from % wanted.length]!)))]);
    const cpu = process.cpuUsage();
    const started = performance.now();
    const measured = await Promise.race([broken, run(sockets, wanted, { from, until: started + ms, count })]);
    const seconds = (performance.now() - started) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    return { ...measured, seconds, processor: (user + system) / 1e6 };
  } finally {
    for (const socket of sockets) socket.end();
  }
}

/** Sends on all sockets, on each again as soon as it has a response, until the time or the count is reached. */
function run(
  sockets: Connection[],
  wanted: Buffer[],
  { from, until, count }: { from: number; until: number; count: number },
): Promise<Omit<Driven, 'seconds' | 'processor'>> {
  const latencies: number[] = [];
  let [sent, refused, open] = [0, 0, sockets.length];
  let refusal: string | undefined;
  return new Promise((resolve) => {
    const finish = () => {
      const sorted = Float64Array.from(latencies).sort();
      const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
      resolve({ answered: sorted.length, refused, refusal, p50: at(0.5), p99: at(0.99) });
    };
    for (const socket of sockets) {
      let began = 0;
      const next = (now: number) => {
        if (now >= until || sent >= count) {
          if (--open === 0) finish();
          return;
        }
        began = now;
        socket.send(wanted[(from + sent++) % wanted.length]!);
      };
      socket.done = (head) => {
        const now = performance.now();
        latencies.push(now - began);
        if (!head.startsWith('HTTP/1.1 200')) {
          refused++;
          refusal ??= head;
        }
        next(now);
      };
      next(performance.now());
    }
  });
}

const handlers = {
  /** Complete requests as raw HTTP/1.1. */
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
