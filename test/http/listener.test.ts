// The listener: what becomes of connections whose client sends too slowly, or what no client sends.
import { once } from 'node:events';
import { connect } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Listener, listen } from '../../src/http/listener.ts';
import { collectAll, collectYoung, oldBytes } from '../support/collections.ts';

let listener: Listener;
beforeAll(async () => {
  listener = await listen('127.0.0.1', 0, '', {
    headersTimeout: 200,
    requestTimeout: 400,
    connectionsCheckingInterval: 20,
  });
  listener.handle({
    fastRoutes: () => undefined,
    framework: getRequestListener(async (request) => new Response(await request.text())),
  });
});
afterAll(() => listener.stop(0));

/** Sends this, and then one piece more again and again; what was answered when the broker closes the connection. */
function sendSlowly(first: string, piece = '', to = listener): Promise<string> {
  const { hostname, port } = new URL(to.url);
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(first));
    const drip = setInterval(() => piece && !socket.connecting && socket.writable && socket.write(piece), 10);
    socket.setEncoding('latin1').on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(drip);
      resolve(answer);
    });
  });
}
const POST = 'POST / HTTP/1.1\r\nhost: x\r\n';

test.each<[string, string, string?]>([
  ['nothing', ''],
  ['half of its headers', 'GET / HTTP/1.1\r\nhost: x\r\n'],
  ['headers without an end', 'GET / HTTP/1.1\r\nhost: x\r\n', 'a: b\r\n'],
  ['half of its body', `${POST}content-length: 10\r\n\r\nhalf`],
  ['chunks without an end', `${POST}transfer-encoding: chunked\r\n\r\n`, '1\r\na\r\n'],
  ['no body after 100 Continue', `${POST}expect: 100-continue\r\ncontent-length: 10\r\n\r\n`],
])('a client that sends %s: 408, and its connection is closed', async (_, first, piece) => {
  expect(await sendSlowly(first, piece)).toMatch(/HTTP\/1\.1 408 /);
});

test.each([
  ['two lengths', `${POST}content-length: 1\r\ncontent-length: 2\r\n\r\nab`],
  ['a length and chunks', `${POST}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['another transfer coding', `${POST}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
  ['a space before the colon', 'GET / HTTP/1.1\r\nhost: x\r\ncontent-length : 5\r\n\r\nabcde'],
  ['lines that end in LF', 'GET / HTTP/1.1\nhost: x\n\n'],
  ['a folded header', 'GET / HTTP/1.1\r\nhost: x\r\nauthorization: a\r\n b\r\n\r\n'],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
])('a request that two servers read differently: %s is refused, and nothing after it is answered', async (_, bytes) => {
  const answer = await sendSlowly(`${bytes}GET /smuggled HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
});

test('an upgrade is not made: the answer is the usual one', async () => {
  const upgrade = 'connection: upgrade, close\r\nupgrade: websocket\r\n';
  expect(await sendSlowly(`GET / HTTP/1.1\r\nhost: x\r\n${upgrade}\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
});

test('a request behind another one that sends too slowly: nothing is written into the answer to the other one', async () => {
  const server = await listen('127.0.0.1', 0, '', {
    headersTimeout: 200,
    requestTimeout: 100,
    connectionsCheckingInterval: 20,
  });
  await server.handle({
    fastRoutes: () => undefined,
    framework: ({ method }, response) => {
      if (method === 'GET') response.writeHead(200, { 'content-length': 10 }).write('begun');
    },
  });
  const first = `GET / HTTP/1.1\r\nhost: x\r\n\r\n${POST}content-length: 10\r\n\r\nhalf`;
  const answer = await sendSlowly(first, '', server);
  await server.stop(0);
  expect(answer).toMatch(/\r\n\r\nbegun$/);
});

test('requests with bodies that were answered: the collections of young objects let go of them', async () => {
  const [waves, atOnce, bytesEach] = [25, 8, 80_000];
  const server = await listen('127.0.0.1', 0);
  await server.handle({
    fastRoutes: () => undefined,
    framework: (request, response) => {
      Object.assign(request, { ballast: new Array<number>(bytesEach / 8).fill(0.5) });
      // Once all of them are in flight.
      request.on('end', () => setImmediate(() => response.end())).resume();
    },
  });
  const { hostname, port } = new URL(server.url);
  const clients = Array.from({ length: atOnce }, () => connect(Number(port), hostname));
  const wave = () =>
    Promise.all(
      clients.map((client) => {
        client.write(`${POST}content-length: 1\r\n\r\na`);
        return once(client, 'data');
      }),
    );
  await wave();
  collectAll();
  const before = oldBytes();
  for (let i = 0; i < waves; i++) {
    await wave();
    collectYoung();
  }
  const kept = oldBytes() - before;
  for (const client of clients) client.destroy();
  await server.stop(0);
  expect(kept).toBeLessThan((waves * atOnce * bytesEach) / 10);
});
