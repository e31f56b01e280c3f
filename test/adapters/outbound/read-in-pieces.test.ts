// Reading a response in pieces: undici's parser goes on with what it was given after the headers were found to be too large.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createOutbound } from '../../../src/adapters/outbound/outbound.ts';
import { readInPieces } from '../../../src/adapters/outbound/read-in-pieces.ts';

const PIECE = 16 * 1_024;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** A server that sends this to each connection, and its port. */
async function sending(bytes: Buffer): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A connection whose response has come, as a whole. */
async function received(bytes: Buffer): Promise<Socket> {
  const socket = connect(await sending(bytes), '127.0.0.1');
  cleanups.push(() => socket.destroy());
  const made = new Promise<Socket>((resolve) =>
    readInPieces((_, callback) => callback(null, socket))({} as never, (...[, ready]) => resolve(ready!)),
  );
  socket.write('?');
  while (socket.readableLength < bytes.length) await once(socket, 'readable');
  return made;
}

test('a socket gives its bytes in pieces, and all of them', async () => {
  const bytes = Buffer.from(Array.from({ length: 3 * PIECE - 1 }, (_, n) => n & 0xff));
  const socket = await received(bytes);
  const pieces = [socket.read(), socket.read(), socket.read()] as Buffer[];
  expect(pieces.map(({ length }) => length)).toEqual([PIECE, PIECE, PIECE - 1]);
  expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  expect(socket.read()).toBeNull();
});

test('a socket whose headers were too large gives no more', async () => {
  const socket = await received(Buffer.alloc(3 * PIECE));
  socket.on('error', () => undefined);
  expect(socket.read()).toHaveLength(PIECE);
  socket.destroy(Object.assign(new Error('too large'), { code: 'UND_ERR_HEADERS_OVERFLOW' }));
  expect(socket.read()).toBeNull();
});

test.each([
  ['was reset', Object.assign(new Error('reset'), { code: 'ECONNRESET' })],
  // As the inner end of a tunnel that closes.
  ['closed without an error', undefined],
])('a socket that %s gives what is left, at once', async (_, error) => {
  const socket = await received(Buffer.alloc(3 * PIECE));
  socket.on('error', () => undefined);
  expect(socket.read()).toHaveLength(PIECE);
  socket.destroy(error);
  expect(socket.read()).toHaveLength(2 * PIECE);
});

test('the outbound client reads its responses so', async () => {
  const field = Buffer.from('a:b\r\n');
  const head = Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n');
  const port = await sending(Buffer.concat([head, Buffer.alloc(40_000 * field.length, field)]));
  const outbound = createOutbound({ allow: ['127.0.0.1'] });
  cleanups.push(() => outbound.close());
  const made = errorsMade();
  await expect(outbound(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({ code: 'network' });
  // Each field makes two.
  expect(made()).toBeLessThan((2 * PIECE) / field.length);
});

/** How many errors undici has made since: each takes its name in its constructor. */
function errorsMade(): () => number {
  let count = 0;
  const names = new WeakMap<object, unknown>();
  Object.defineProperty(Error.prototype, 'name', {
    configurable: true,
    get(this: object) {
      return names.get(this) ?? 'Error';
    },
    set(this: object, value: unknown) {
      if (value === 'HeadersOverflowError') count++;
      names.set(this, value);
    },
  });
  cleanups.push(() =>
    Object.defineProperty(Error.prototype, 'name', { configurable: true, writable: true, value: 'Error' }),
  );
  return () => count;
}
