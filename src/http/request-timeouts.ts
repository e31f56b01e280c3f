// The time limit of whole requests, but for those whose bodies are streamed: a client that sends too slowly is answered 408.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { InFlight } from '../domain/in-flight.ts';

export interface RequestTimeouts {
  /** From now on the request has to arrive within the limit, also after it was answered. */
  watch(request: IncomingMessage, response: ServerResponse): void;
  stop(): void;
}

/** `everyMs`: how often requests that have exceeded the limit are looked for. */
export function createRequestTimeouts(limitMs: number, everyMs: number): RequestTimeouts {
  const arriving = new InFlight<{ request: IncomingMessage; response: ServerResponse; until: number }>();

  function close(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    // One that waits behind the answer to an earlier request has no socket: nothing is written into that.
    if (!response.headersSent && response.socket?.writable)
      socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
    socket.destroySoon();
  }

  const sweep = setInterval(() => {
    const now = performance.now();
    for (const entry of arriving) {
      const { request, response, until } = entry.item;
      if (until > now) break;
      arriving.remove(entry);
      if (!request.complete && !request.destroyed) close(request, response);
    }
  }, everyMs);
  sweep.unref();

  return {
    watch(request, response) {
      const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
      if (coding === undefined && (length === undefined || length === '0')) return;
      const entry = arriving.add({ request, response, until: performance.now() + limitMs });
      response.once('close', () => {
        if (request.complete) arriving.remove(entry);
      });
    },
    stop: () => clearInterval(sweep),
  };
}
