// Requests to a broker as bytes: targets, headers and bodies that no HTTP client sends.
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  status: number;
  /** As they came, in lower case. */
  headers: [name: string, value: string][];
  header(name: string): string | undefined;
  /** Without its transfer coding. */
  body: Buffer;
  /** The body's end came: not only the end of the connection. */
  isComplete: boolean;
}

export interface RawCall {
  socket: Socket;
  /** All that came until now. */
  received(): string;
  /** Fulfilled when the received text matches. */
  until(pattern: RegExp): Promise<void>;
  /** Fulfilled with the answer once it is complete, or the connection has ended. */
  answer: Promise<RawAnswer>;
  closed: Promise<void>;
}

/** Sends these bytes at once; more may be written to the socket. */
export function rawCall(url: string, bytes: string | Buffer): RawCall {
  const { hostname, port } = new URL(url);
  const isHead = typeof bytes === 'string' && bytes.startsWith('HEAD ');
  const socket = connect(Number(port), hostname);
  let received: Buffer = Buffer.alloc(0);
  /** `received` is the beginning of it. Twice as large each time that it is full: copied for each chunk, 32 MB take a minute. */
  let memory = Buffer.alloc(64 * 1_024);
  const receive = (chunk: Buffer) => {
    const length = received.length + chunk.length;
    if (length > memory.length) memory = Buffer.concat([received], Math.max(length, 2 * memory.length));
    chunk.copy(memory, received.length);
    received = memory.subarray(0, length);
  };
  const waiting = new Set<() => void>();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const answer = new Promise<RawAnswer>((resolve) => {
    const look = () => {
      const found = parseAnswer(received, isHead);
      if (found?.isComplete) resolve(found);
      for (const one of waiting) one();
    };
    socket.on('data', (chunk: Buffer) => {
      receive(chunk);
      look();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      for (const one of waiting) one();
      resolve(
        parseAnswer(received, isHead) ?? {
          status: 0,
          headers: [],
          header: () => undefined,
          body: received,
          isComplete: false,
        },
      );
    });
  });
  socket.write(bytes);
  return {
    socket,
    received: () => received.toString('latin1'),
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (pattern.test(received.toString('latin1'))) {
            waiting.delete(look);
            resolve();
          } else if (socket.destroyed) {
            waiting.delete(look);
            reject(new Error(`the connection ended before ${pattern}: ${received.toString('latin1').slice(0, 500)}`));
          }
        };
        waiting.add(look);
        look();
      }),
    answer,
    closed,
  };
}

/** Undefined: its head is not complete. Interim responses are skipped. */
function parseAnswer(bytes: Buffer, isHead: boolean): RawAnswer | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [line = '', ...rest] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const status = Number(line.split(' ')[1]);
  const after = bytes.subarray(end + 4);
  if (status < 200) return parseAnswer(after, isHead);
  const headers = rest.map((one): [string, string] => [
    one.slice(0, one.indexOf(':')).toLowerCase(),
    one.slice(one.indexOf(':') + 1).trim(),
  ]);
  const header = (name: string) => headers.find(([one]) => one === name)?.[1];
  const { body, isComplete } = bodyOf(after, isHead ? 204 : status, header);
  return { status, headers, header, body, isComplete };
}

function bodyOf(after: Buffer, status: number, header: (name: string) => string | undefined) {
  if (status === 204 || status === 304) return { body: Buffer.alloc(0), isComplete: true };
  const length = header('content-length');
  if (header('transfer-encoding') !== 'chunked') {
    if (length === undefined) return { body: after, isComplete: false };
    return { body: after.subarray(0, Number(length)), isComplete: after.length >= Number(length) };
  }
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = after.indexOf('\r\n', at);
    if (end < 0) return { body: Buffer.concat(chunks), isComplete: false };
    const size = Number.parseInt(after.subarray(at, end).toString(), 16);
    if (after.length < end + 2 + size + 2) return { body: Buffer.concat(chunks), isComplete: false };
    if (size === 0) return { body: Buffer.concat(chunks), isComplete: true };
    chunks.push(after.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
