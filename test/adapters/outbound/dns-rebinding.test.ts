// DNS rebinding: a name that is looked up again leads elsewhere. What is connected to is the address that was checked.
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Resolver } from '../../../src/adapters/outbound/name-lookups.ts';
import { createUpstreamClient } from '../../../src/adapters/outbound/upstream-client.ts';
import { type UpstreamClient, UpstreamError } from '../../../src/ports/index.ts';

/** What the name servers answer, in turn. */
const answers = { left: [] as string[][], asked: 0 };
const resolve: Resolver = (_, __, callback) => {
  answers.asked++;
  const addresses = answers.left.shift() ?? ['127.0.0.1'];
  callback(
    null,
    addresses.map((address) => ({ address, family: 4 })),
  );
};

/** One may be reached, the other one may not; both are here. */
const [ALLOWED, INTERNAL] = ['127.0.0.2', '127.0.0.1'];
let client: UpstreamClient;
let servers: Server[];
let reached: string[];
let port: number;
beforeEach(async () => {
  answers.asked = 0;
  reached = [];
  servers = [];
  port = 0;
  for (const address of [ALLOWED, INTERNAL]) {
    const server = createServer((socket) => {
      reached.push(address);
      socket.destroy();
    });
    servers.push(server);
    await new Promise<void>((listening) => server.listen(port, address, listening));
    port = (server.address() as { port: number }).port;
  }
  client = createUpstreamClient({ allow: [ALLOWED], resolve });
});
afterEach(async () => {
  await client.close();
  for (const server of servers) await new Promise((closed) => server.close(closed));
});

async function call(...lookups: string[][]): Promise<UpstreamError['phase']> {
  answers.left = lookups;
  const origin = `https://tenant.example.com:${port}`;
  const error = await client.send({ method: 'GET', origin, path: '/', headers: [], body: null }).catch((e) => e);
  if (!(error instanceof UpstreamError)) throw new Error('connected');
  return error.phase;
}

test('a name that leads inside when it is looked up again: the first address is connected to, and asked for once', async () => {
  expect(await call([ALLOWED], [INTERNAL])).toBe('connect');
  expect([reached, answers.asked]).toEqual([[ALLOWED], 1]);
});

test('a name that leads inside for the next call, or beside an address that may be reached: nothing is connected to', async () => {
  await call([ALLOWED]);
  expect(await call([INTERNAL])).toBe('blocked');
  expect(await call([ALLOWED, INTERNAL])).toBe('blocked');
  expect(await call([])).toBe('blocked');
  expect(reached).toEqual([ALLOWED]);
});
