// The body of an API's response, as fast as the caller takes it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, UpstreamBody } from '../../ports/index.ts';
import type { WriteBatch } from '../fast-path/write-batch.ts';
import { afterRequest } from './caller-body.ts';
import { CALLER_PACE, type CallerPace, createCallerPace, type PaceLimits } from './caller-pace.ts';
import type { NotePassed } from './passed-chunks.ts';

/** Bytes of a body that is written in one piece with the head, if all of it is here. */
const MAX_WHOLE = 16 * 1_024;

/**
 * The head is written. A body that breaks off breaks off here too: the connection is closed in its middle. So it is when the
 * caller takes it too slowly, while the API waits and when all of it is here: what is left would stay in memory for as long as the
 * caller likes.
 */
export type WriteBody = (request: IncomingMessage, response: ServerResponse, body: UpstreamBody) => void;

interface Parts {
  /** How small answers are written. */
  batched: WriteBatch;
  clock: Pick<Clock, 'monotonic'>;
  notePassed: NotePassed;
  limits?: PaceLimits;
}

export function createBodyWriter({ batched, clock, notePassed, limits = CALLER_PACE }: Parts): WriteBody {
  return (request, response, body) => {
    let pace: CallerPace | undefined;
    const waitForCaller = () => {
      if (!pace) {
        pace = createCallerPace(limits, clock, () => response.destroy());
        response.once('close', pace.end);
      }
      pace.wait();
    };
    const end = (last?: string) => {
      // Node writes a head and a text in one piece, and a head and bytes in two.
      if (last === undefined) response.end();
      else response.end(last, 'latin1');
      if (response.writableLength > 0) waitForCaller();
    };

    const whole = request.complete ? body.whole(MAX_WHOLE) : undefined;
    if (whole !== undefined) return batched(() => end(textOf(whole)));
    let hasBegun = false;
    let written = 0;
    response.on('drain', () => {
      pace?.moved(written);
      written = 0;
      body.resume();
    });
    body.pipe({
      write(chunk) {
        hasBegun = true;
        written += chunk.length;
        const goesOn = response.write(chunk);
        notePassed(chunk);
        if (!goesOn) waitForCaller();
        return goesOn;
      },
      end() {
        hasBegun = true;
        if (request.complete) end();
        else afterRequest(request, end);
      },
      fail: () => response.destroy(),
    });
    // Streams may take their time for the first piece: the caller learns at once that it has begun.
    if (!hasBegun) response.flushHeaders();
  };
}

/** A character for each byte. */
const textOf = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
