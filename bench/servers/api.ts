// An API to be called: small answers, large ones, uploads, and streams that stay open.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerTo } from './remote.ts';

const SMALL = 'x'.repeat(1_024);
const PIECE = Buffer.alloc(64 * 1_024, 'x');

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://api');
  if (request.method !== 'GET')
    return void request.on('end', () => response.writeHead(200, { 'content-length': 2 }).end('ok')).resume();
  if (url.pathname.endsWith('/events'))
    return void response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
  const bytes = Number(url.searchParams.get('bytes') ?? 0);
  if (bytes === 0)
    return void response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': SMALL.length })
      .end(SMALL);
  response.writeHead(200, { 'content-length': bytes });
  let left = bytes;
  const more = () => {
    while (left > 0) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
      left -= piece.length;
      if (!response.write(piece)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
});
server.keepAliveTimeout = 60_000;
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const handlers = { url: () => url };
export type Api = typeof handlers;
answerTo(handlers);
