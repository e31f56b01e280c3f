// The socket: bound first, so that the port is known; handed to the routes when all is ready; let go in peace.
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { REQUEST_HEADERS_TIMEOUT_MS, REQUEST_TIMEOUT_MS, SHUTDOWN_POLL_MS } from '../domain/time-limits.ts';
import type { Listen } from './fast-path/fast-path.ts';

type Fetch = Parameters<typeof getRequestListener>[0];

export interface Listener {
  /** Where it can be reached from this machine. */
  url: string;
  /** `quick` names what goes before the rest, if anything does. Until this is called, every answer is 503. */
  handle(quick: (request: IncomingMessage) => Listen | undefined, fetch: Fetch): void;
  /** Takes nothing new, lets open requests end within `graceMs`, then cuts them off. */
  stop(graceMs: number): Promise<void>;
}

/** Rejects when the address cannot be bound. Port 0 picks a free one. */
export async function listen(host: string, port: number): Promise<Listener> {
  let handler: RequestListener = (_, response) => {
    response.writeHead(503, { 'retry-after': '1' }).end();
  };
  const server = createServer(
    { headersTimeout: REQUEST_HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      if (!server.listening) response.setHeader('connection', 'close');
      handler(request, response);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const bound = (server.address() as AddressInfo).port;

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    handle(quick, fetch) {
      const full = getRequestListener(fetch);
      handler = (request, response) => {
        const theLongWay = () => void full(request, response);
        const listen = quick(request);
        if (listen) listen(request, response, theLongWay);
        else theLongWay();
      };
    },
    async stop(graceMs) {
      const closed = new Promise((resolve) => server.close(resolve));
      const idle = setInterval(() => server.closeIdleConnections(), SHUTDOWN_POLL_MS);
      const late = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearInterval(idle);
      clearTimeout(late);
    },
  };
}
