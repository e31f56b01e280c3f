// The body that a caller sends: read as it is asked for, and left alone where no one asks for it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CallerBody } from '../../broker/proxy/index.ts';
import { tapped } from '../../domain/tapped-chunks.ts';
import { CALLER_LINGER_MS, REQUEST_TIMEOUT_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';
import { arrivingChunks } from './arriving-chunks.ts';
import { CALLER_PACE, type CallerPace, createCallerPace, type PaceLimits } from './caller-pace.ts';
import type { NotePassed } from './passed-chunks.ts';

/** Bytes: a body that is not longer has to be here within the time of any other request. */
const SMALL = 64 * 1_024;

/** Null: the request has none. A caller that sends it too slowly loses its connection. */
export function callerBody(
  request: IncomingMessage,
  response: ServerResponse,
  clock: Pick<Clock, 'monotonic'>,
  notePassed: NotePassed,
): CallerBody | null {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
  if (coding === undefined && (length === undefined || /^0+$/.test(length))) return null;
  const bytes = coding === undefined ? Number(length) : undefined;
  const pace = createCallerPace(paceOf(bytes), clock, () => request.destroy());
  return { length: bytes, chunks: chunksOf(request, response, pace, notePassed) };
}

function paceOf(length: number | undefined): PaceLimits {
  // A stream has something to send when there is something.
  if (length === undefined) return { ...CALLER_PACE, bytesPerS: 0 };
  return length <= SMALL ? { graceMs: REQUEST_TIMEOUT_MS, bytesPerS: Number.POSITIVE_INFINITY } : CALLER_PACE;
}

/** RFC 9112 6.1: of other codings before the chunks. Such a body would be passed on undecoded, and unnamed. Node refuses all others. */
export const isCodedTwice = ({ headers: { 'transfer-encoding': coding = '' } }: IncomingMessage): boolean =>
  coding.includes(',');

/** RFC 9110 10.1.1: the caller waits for it before it sends its body. */
const waitsForContinue = ({ headers, httpVersion }: IncomingMessage): boolean =>
  httpVersion === '1.1' && /(?:^|\W)100-continue(?:$|\W)/i.test(headers.expect ?? '');

function chunksOf(
  request: IncomingMessage,
  response: ServerResponse,
  pace: CallerPace,
  notePassed: NotePassed,
): AsyncIterable<Uint8Array> {
  // A reader that stops leaves the connection open: an answer may still be written.
  return tapped(arrivingChunks(request), {
    start() {
      if (waitsForContinue(request) && !response.headersSent) response.writeContinue();
    },
    ask: pace.wait,
    chunk: (chunk) => {
      pace.moved(chunk.length);
      notePassed(chunk);
    },
    over: pace.end,
  });
}

/**
 * Calls `then` once the caller has sent all of its request, or has had time to read what was written already: a connection that
 * is closed while bytes arrive takes along what was written to it.
 */
export function afterRequest(request: IncomingMessage, then: () => void): void {
  if (request.complete || request.destroyed) return void then();
  let isDone = false;
  const done = () => {
    if (isDone) return;
    isDone = true;
    clearTimeout(late);
    then();
  };
  const late = setTimeout(done, CALLER_LINGER_MS);
  request.once('end', done).once('close', done);
  request.resume();
}
