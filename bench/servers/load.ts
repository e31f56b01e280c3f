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
  /** So many are sent in a second, as soon as a connection is free. Default: each connection sends when it has a response. */
  perSecond?: number;
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
  perSecond,
}: Job): Promise<Driven> {
  const wanted = prepared.get(requests)!;
  const sockets = Array.from({ length: connections }, () => new Connection(new URL(url)));
  const broken = Promise.race(sockets.map((socket) => socket.broken));
  try {
    // One response on each first: accepting connections is not measured.
    await Promise.race([broken, Promise.all(sockets.map((socket) => socket.ask(wanted[from % wanted.length]!)))]);
    const cpu = process.cpuUsage();
    const started = performance.now();
    const until = started + ms;
    const running =
      perSecond === undefined
        ? run(sockets, wanted, { from, until, count })
        : runPaced(sockets, wanted, { from, until, perSecond });
    const measured = await Promise.race([broken, running]);
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
  const counted = createCount();
  let [sent, open] = [0, sockets.length];
  return new Promise((resolve) => {
    for (const socket of sockets) {
      let began = 0;
      const next = (now: number) => {
        if (now >= until || sent >= count) {
          if (--open === 0) resolve(counted.result());
          return;
        }
        began = now;
        socket.send(wanted[(from + sent++) % wanted.length]!);
      };
      socket.done = (head) => {
        const now = performance.now();
        counted.add(now - began, head);
        next(now);
      };
      next(performance.now());
    }
  });
}

/**
 * Sends at a pace, whether or not there are responses. The latency of a request counts from when it was to be sent, so that what
 * holds up the server counts for all requests that come meanwhile; that this process is late does not.
 */
function runPaced(
  sockets: Connection[],
  wanted: Buffer[],
  { from, until, perSecond }: { from: number; until: number; perSecond: number },
): Promise<Omit<Driven, 'seconds' | 'processor'>> {
  const counted = createCount();
  const free = [...sockets];
  /** When each request that is not sent yet was to be sent. */
  const due: number[] = [];
  const began = performance.now();
  let [planned, sent] = [0, 0];
  const send = () => {
    while (due.length > 0 && free.length > 0) {
      const [socket, since] = [free.pop()!, due.shift()!];
      socket.done = (head) => {
        counted.add(performance.now() - since, head);
        free.push(socket);
        send();
      };
      socket.send(wanted[(from + sent++) % wanted.length]!);
    }
  };
  return new Promise((resolve) => {
    const plan = () => {
      const now = performance.now();
      if (now >= until) {
        if (free.length === sockets.length) resolve(counted.result());
        else setTimeout(plan, 1);
        return;
      }
      for (const until = ((now - began) * perSecond) / 1_000; planned < until; planned++) due.push(now);
      send();
      setTimeout(plan, 1);
    };
    plan();
  });
}

function createCount() {
  const latencies: number[] = [];
  let refused = 0;
  let refusal: string | undefined;
  return {
    add(latency: number, head: string): void {
      latencies.push(latency);
      if (head.startsWith('HTTP/1.1 200')) return;
      refused++;
      refusal ??= head;
    },
    result(): Omit<Driven, 'seconds' | 'processor'> {
      const sorted = Float64Array.from(latencies).sort();
      const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
      return { answered: sorted.length, refused, refusal, p50: at(0.5), p99: at(0.99) };
    },
  };
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
