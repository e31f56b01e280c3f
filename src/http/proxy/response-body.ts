// The body of an API's response, as fast as the caller takes it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { UPSTREAM_IDLE_TIMEOUT_MS } from '../../domain/time-limits.ts';
import type { UpstreamBody } from '../../ports/index.ts';
import { afterRequest } from './caller-body.ts';

/**
 * The head is written. A body that breaks off breaks off here too: the connection is closed in its middle. So it is when the
 * caller takes nothing for `idleMs`: what is left would stay in memory for as long as it likes.
 */
export function writeBody(
  request: IncomingMessage,
  response: ServerResponse,
  body: UpstreamBody,
  idleMs = UPSTREAM_IDLE_TIMEOUT_MS,
): void {
  let hasBegun = false;
  response.on('drain', body.resume);
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
  if (!response.writableEnded || response.writableLength > 0) response.setTimeout(idleMs, () => response.destroy());
}
