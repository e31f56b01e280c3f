// The body of an API's response, as fast as the caller takes it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { UPSTREAM_IDLE_TIMEOUT_MS } from '../../domain/time-limits.ts';
import type { UpstreamBody } from '../../ports/index.ts';
import type { WriteBatch } from '../fast-path/write-batch.ts';
import { afterRequest } from './caller-body.ts';

/** Bytes of a body that is written in one piece with the head, if all of it is here. */
const MAX_WHOLE = 16 * 1_024;

/**
 * The head is written. A body that breaks off breaks off here too: the connection is closed in its middle. So it is when the
 * caller takes nothing for `idleMs`: what is left would stay in memory for as long as it likes. `batched`: how a small answer is
 * written.
 */
export function writeBody(
  request: IncomingMessage,
  response: ServerResponse,
  body: UpstreamBody,
  batched: WriteBatch,
  idleMs = UPSTREAM_IDLE_TIMEOUT_MS,
): void {
  const watch = () => {
    if (!response.writableEnded || response.writableLength > 0) response.setTimeout(idleMs, () => response.destroy());
  };
  const whole = request.complete ? body.whole(MAX_WHOLE) : undefined;
  if (whole !== undefined) {
    batched(() => {
      // Node writes a head and a text in one piece, and a head and bytes in two.
      response.end(textOf(whole), 'latin1');
      watch();
    });
    return;
  }
  let hasBegun = false;
  response.on('drain', () => body.resume());
  body.pipe({
    write(chunk) {
      hasBegun = true;
      return response.write(chunk);
    },
    end() {
      hasBegun = true;
      if (request.complete) response.end();
      else afterRequest(request, () => response.end());
    },
    fail: () => response.destroy(),
  });
  // Streams may take their time for the first piece: the caller learns at once that it has begun.
  if (!hasBegun) response.flushHeaders();
  watch();
}

/** A character for each byte. */
const textOf = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
