// What is left of a response when its caller stops reading: it is in memory, and not for as long as the caller likes.
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { writeBody } from '../../../src/http/proxy/response-body.ts';
import { rawCall } from '../../support/raw-call.ts';
import { handMadeBody } from '../../support/upstream-bodies.ts';

let server: Server;
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
});

/** A body that is here at once, more than kernels keep. */
const LARGE = Buffer.alloc(32 * 1_024 * 1_024, 'x');
const body = handMadeBody({
  pipe(sink) {
    sink.write(LARGE);
    sink.end();
  },
});

async function serve(): Promise<{ url: string; response: Promise<ServerResponse> }> {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  server = createServer((request, response) => {
    response.writeHead(200, { 'content-length': LARGE.length });
    writeBody(request, response, body, (write) => write(), 200);
    resolve(response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, response: promise };
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

test('a caller that takes nothing loses the rest of a response, although all of it is here', async () => {
  const { url, response } = await serve();
  const call = rawCall(url, GET);
  call.socket.pause();
  const written = await response;
  await new Promise((closed) => written.once('close', closed));
  expect([written.writableEnded, written.writableFinished]).toEqual([true, false]);
  call.socket.destroy();
});
