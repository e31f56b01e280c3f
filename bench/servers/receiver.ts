// Webhook endpoints: one server at every loopback address, which notes when deliveries begin, and answers those to `/slow`
// only when told to.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerTo } from './remote.ts';

let arrived = 0;
let lastAt = 0;
let waiting: { count: number; resolve: (at: number) => void } | undefined;
const held = new Set<ServerResponse>();

const server = createServer({ requestTimeout: 0 }, (request, response) => {
  lastAt = performance.timeOrigin + performance.now();
  arrived++;
  request.resume();
  if (waiting && arrived >= waiting.count) {
    waiting.resolve(lastAt);
    waiting = undefined;
  }
  if (request.url !== '/slow') return void response.writeHead(204).end();
  held.add(response);
  response.on('close', () => held.delete(response));
});
server.keepAliveTimeout = 60_000;
await new Promise<void>((listening) => server.listen(0, '0.0.0.0', 4_096, listening));
const { port } = server.address() as AddressInfo;

const handlers = {
  port: (_: null): number => port,
  /** Deliveries to `/slow` that wait for their answer. */
  held: (_: null): number => held.size,
  /** Answers these. */
  release(_: null): void {
    for (const response of held) response.writeHead(204).end();
  },
  /** When so many deliveries have begun since the start, in milliseconds of a clock that all processes share. */
  arrival: (count: number): Promise<number> =>
    arrived >= count ? Promise.resolve(lastAt) : new Promise((resolve) => (waiting = { count, resolve })),
};
export type Receiver = typeof handlers;
answerTo(handlers);
