// A caller that reads slowly: what is left of its answer is in memory, its call goes on, and not for as long as the caller likes.
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { PaceLimits } from '../../../src/http/proxy/caller-pace.ts';
import { createBodyWriter } from '../../../src/http/proxy/response-body.ts';
import type { BodySink, UpstreamBody } from '../../../src/ports/index.ts';
import { rawCall } from '../../support/raw-call.ts';
import { handMadeBody } from '../../support/upstream-bodies.ts';

let server: Server;
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
});

/** More than kernels keep. */
const LARGE = Buffer.alloc(32 * 1_024 * 1_024, 'x');
const PIECE = LARGE.subarray(0, 64 * 1_024);

const atOnce = () =>
  handMadeBody({
    pipe(sink) {
      sink.write(LARGE);
      sink.end();
    },
  });

/** As an API sends it: no more than is taken. */
function inPieces(): UpstreamBody {
  let left = LARGE.length;
  let sink: BodySink;
  const more = () => {
    while (left > 0) {
      left -= PIECE.length;
      if (!sink.write(PIECE)) return;
    }
    sink.end();
  };
  return handMadeBody({
    pipe(to) {
      sink = to;
      more();
    },
    resume: more,
  });
}

async function serve(
  body: UpstreamBody,
  limits: PaceLimits,
  clock = { monotonic: () => performance.now() },
): Promise<{ url: string; response: Promise<ServerResponse> }> {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  const writeBody = createBodyWriter({ batched: (write) => write(), clock, notePassed: () => undefined, limits });
  server = createServer((request, response) => {
    response.writeHead(200, { 'content-length': LARGE.length });
    writeBody(request, response, body);
    resolve(response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, response: promise };
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

test.each([
  ['all of it is here', atOnce],
  ['the API waits', inPieces],
])('a caller that takes nothing loses the rest of its answer: %s', async (_, bodyOf) => {
  const { url, response } = await serve(bodyOf(), { graceMs: 200, bytesPerS: 0 });
  const call = rawCall(url, GET);
  call.socket.pause();
  const written = await response;
  await new Promise((closed) => written.once('close', closed));
  expect(written.writableFinished).toBe(false);
  call.socket.destroy();
});

/** Each time that it is asked: so long has a caller been waited for. */
function slowly(): { monotonic(): number } {
  let now = 0;
  return {
    monotonic() {
      now += 30_000;
      return now;
    },
  };
}

test.each<[string, number, boolean]>([
  ['less than it has to', 1e9, false],
  ['enough', 100, true],
])(
  'a caller that takes %s each time that it is waited for (%i bytes a second): all of it arrives is %s',
  async (_, bytesPerS, isAll) => {
    const { url } = await serve(inPieces(), { graceMs: 60_000, bytesPerS }, slowly());
    const call = rawCall(url, GET);
    const { body, isComplete } = await call.answer;
    expect([body.length === LARGE.length, isComplete]).toEqual([isAll, isAll]);
    call.socket.destroy();
  },
);
