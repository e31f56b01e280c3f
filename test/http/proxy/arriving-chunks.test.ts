// The chunks of a request, read one at a time from a real connection.
import { once } from 'node:events';
import { type ClientRequest, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { arrivingChunks } from '../../../src/http/proxy/arriving-chunks.ts';

const MEGABYTE = 1_024 * 1_024;

let handle: (incoming: IncomingMessage, response: ServerResponse) => void;
const server = createServer((incoming, response) => handle(incoming, response));
beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** The server's side of a request whose client is returned, too. */
async function begin(
  length: number | 'chunked',
): Promise<{ client: ClientRequest; incoming: IncomingMessage; response: ServerResponse }> {
  const { promise, resolve } = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
  handle = (...given) => resolve(given);
  const { port } = server.address() as AddressInfo;
  const framing = length === 'chunked' ? { 'transfer-encoding': length } : { 'content-length': length };
  const client = request({ port, method: 'POST', headers: framing });
  client.on('error', () => undefined);
  client.flushHeaders();
  const [incoming, response] = await promise;
  return { client, incoming, response };
}

const reader = (incoming: IncomingMessage) => arrivingChunks(incoming)[Symbol.asyncIterator]();

test('arriving chunks: all of them in order, and then the end, as often as it is asked for', async () => {
  const sent = Buffer.from(Array.from({ length: 3 * MEGABYTE }, (_, i) => i % 251));
  const { client, incoming } = await begin(sent.length);
  client.end(sent);
  const chunks = reader(incoming);
  const read: Uint8Array[] = [];
  for (let one = await chunks.next(); !one.done; one = await chunks.next()) read.push(one.value);
  expect(Buffer.concat(read).equals(sent)).toBe(true);
  expect(await chunks.next()).toEqual({ done: true, value: undefined });
});

test('arriving chunks: a reader that takes nothing keeps little of a large body', async () => {
  const { client, incoming } = await begin(64 * MEGABYTE);
  const chunks = reader(incoming);
  const first = chunks.next();
  const all = Buffer.alloc(64 * MEGABYTE);
  client.end(all);
  let read = (await first).value?.length ?? 0;
  // The connection is full: the client keeps what is not taken.
  await vi.waitFor(() => expect(incoming.isPaused()).toBe(true), { timeout: 30_000 });
  expect(client.socket!.writableLength).toBeGreaterThan(32 * MEGABYTE);
  for (let one = await chunks.next(); !one.done; one = await chunks.next()) read += one.value.length;
  expect(read).toBe(all.length);
});

test('arriving chunks: many small ones are read as few, in order, and the last ones before the end', async () => {
  const sent = Array.from({ length: 20_000 }, (_, i) => String(i % 10)).join('');
  const { client, incoming } = await begin('chunked');
  const chunks = reader(incoming);
  client.socket!.write([...sent].map((letter) => `1\r\n${letter}\r\n`).join(''));
  let text = '';
  let count = 0;
  for (; text.length < sent.length; count++) text += Buffer.from((await chunks.next()).value!).toString();
  expect(text).toBe(sent);
  expect(count).toBeLessThan(1_000);
  client.end('last');
  expect(Buffer.from((await chunks.next()).value!).toString()).toBe('last');
  expect(await chunks.next()).toEqual({ done: true, value: undefined });
});

test('arriving chunks: a reader that takes nothing keeps little of many that are small', async () => {
  const { client, incoming } = await begin('chunked');
  const chunks = reader(incoming);
  const first = chunks.next();
  let arrived = 0;
  incoming.on('data', () => arrived++);
  client.socket!.write('1\r\na\r\n'.repeat(400_000));
  client.end();
  let read = (await first).value?.length ?? 0;
  await vi.waitFor(() => expect(incoming.isPaused()).toBe(true), { timeout: 30_000 });
  expect(arrived).toBeLessThan(200_000);
  for (let one = await chunks.next(); !one.done; one = await chunks.next()) read += one.value.length;
  expect(read).toBe(400_000);
});

test.each(['before the first read', 'while a chunk is waited for', 'while chunks are waiting'])(
  'arriving chunks: a request that breaks off %s fails',
  async (when) => {
    const { client, incoming } = await begin(MEGABYTE);
    const chunks = reader(incoming);
    if (when !== 'before the first read') {
      client.write(Buffer.alloc(1_000));
      expect((await chunks.next()).value).toHaveLength(1_000);
    }
    const next = when === 'while a chunk is waited for' ? chunks.next() : undefined;
    if (when === 'while chunks are waiting') {
      const arrived = once(incoming, 'data');
      client.write(Buffer.alloc(1_000));
      await arrived;
    }
    const closed = new Promise((resolve) => incoming.once('close', resolve));
    // Heard at once, so that it is no unhandled rejection.
    const failed = next?.catch((error: unknown) => error);
    client.destroy();
    await closed;
    if (next) expect(await failed).toBeInstanceOf(Error);
    if (when === 'while chunks are waiting') expect((await chunks.next()).value).toHaveLength(1_000);
    await expect(chunks.next()).rejects.toThrow();
  },
);

test('arriving chunks: a reader that stops leaves the connection open for the answer', async () => {
  const { client, incoming, response } = await begin(MEGABYTE);
  client.write(Buffer.alloc(1_000));
  for await (const chunk of arrivingChunks(incoming)) {
    expect(chunk).toHaveLength(1_000);
    break;
  }
  expect(incoming.destroyed).toBe(false);
  expect(incoming.listenerCount('data')).toBe(0);
  const answered = once(client, 'response');
  response.end('enough');
  const [answer] = (await answered) as [IncomingMessage];
  expect(answer.statusCode).toBe(200);
  client.destroy();
});
