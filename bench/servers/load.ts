// The load generator: HTTP/1.1 over raw sockets that are kept alive, one request under way on each (no pipelining).
// It knows only what it needs, so that it is quicker than any server that it drives.
import { connect, type Socket } from 'node:net';
import { answerTo } from './remote.ts';

export interface Job {
  url: string;
  /** Which of the prepared requests; they go out one after the other, and then from the beginning. */
  requests: string;
  /** The first of them; 0 by default. */
  from?: number;
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
  done: (head: string) => void = () => undefined;
  /** Rejected when the connection does not last. */
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
  if (!length || length.index > end) throw new Error('an answer without content-length');
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
  const lanes = Array.from({ length: connections }, () => new Lane(new URL(url)));
  const broken = Promise.race(lanes.map((lane) => lane.broken));
  try {
    // One answer on each beforehand: a busy server takes new connections in one by one, and that is not measured.
    await Promise.race([broken, Promise.all(lanes.map((lane) => lane.ask(wanted[from % wanted.length]!)))]);
    const cpu = process.cpuUsage();
    const started = performance.now();
    const measured = await Promise.race([broken, rush(lanes, wanted, { from, until: started + ms, count })]);
    const seconds = (performance.now() - started) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    return { ...measured, seconds, processor: (user + system) / 1e6 };
  } finally {
    for (const lane of lanes) lane.end();
  }
}

/** All lanes ask, each again as soon as it is answered, until the time or the number has come. */
function rush(
  lanes: Lane[],
  wanted: Buffer[],
  { from, until, count }: { from: number; until: number; count: number },
): Promise<Omit<Driven, 'seconds' | 'processor'>> {
  const latencies: number[] = [];
  let [sent, refused, open] = [0, 0, lanes.length];
  let refusal: string | undefined;
  return new Promise((resolve) => {
    const finish = () => {
      const sorted = Float64Array.from(latencies).sort();
      const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
      resolve({ answered: sorted.length, refused, refusal, p50: at(0.5), p99: at(0.99) });
    };
    for (const lane of lanes) {
      let began = 0;
      const next = (now: number) => {
        if (now >= until || sent >= count) {
          if (--open === 0) finish();
          return;
        }
        began = now;
        lane.send(wanted[(from + sent++) % wanted.length]!);
      };
      lane.done = (head) => {
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
