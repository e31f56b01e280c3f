// The listener: bound before the broker is ready, so that the port is known; drained when it stops.
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import {
  CONNECTION_CHECK_MS,
  REQUEST_HEADERS_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  SHUTDOWN_POLL_MS,
} from '../domain/time-limits.ts';
import type { FastRoutes } from './fast-path/index.ts';

interface Handlers {
  fastRoutes: FastRoutes;
  /** For every request without a fast route, and those that a fast handler passes on. */
  fetch: Parameters<typeof getRequestListener>[0];
}

export interface Listener {
  /** The URL to reach it at from this machine. */
  url: string;
  /** Starts to serve. Until this is called, every answer is 503. */
  handle(handlers: Handlers): void;
  /** Accepts no more connections, lets open requests end within `graceMs`, then closes their connections. */
  stop(graceMs: number): Promise<void>;
}

/** Of one listener; more are closed at once. */
const MAX_CONNECTIONS = 10_000;

/** How long a client may take, in ms, for its headers and for its whole request, and how often that is checked. */
const TIMEOUTS = {
  headersTimeout: REQUEST_HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: CONNECTION_CHECK_MS,
};

/**
 * Rejects when the address cannot be bound. Port 0 picks a free one. `base` is the path of the public URL: requests are served
 * with and without it, since proxies differ in whether they strip it.
 */
export async function listen(host: string, port: number, base = '', timeouts = TIMEOUTS): Promise<Listener> {
  let handler: RequestListener = (_, response) => {
    response.writeHead(503, { 'retry-after': '1' }).end();
  };
  const server = createServer(timeouts, (request, response) => {
    if (!server.listening) response.setHeader('connection', 'close');
    handler(request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const bound = (server.address() as AddressInfo).port;

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    handle({ fastRoutes, fetch }) {
      // HTTP/1.0 requires no `Host` (HAProxy's health checks send none); the framework needs one to build a URL.
      const framework = getRequestListener(fetch, { hostname: 'localhost' });
      handler = (request, response) => {
        if (base !== '') request.url = withoutBase(request.url ?? '/', base);
        const next = () => void framework(request, response);
        const fast = fastRoutes(request);
        if (fast) fast(request, response, next);
        else next();
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

/** A base never is the beginning of a path of ours: see `VALETKEY_PUBLIC_URL` in settings.ts. */
function withoutBase(url: string, base: string): string {
  if (!url.startsWith(base)) return url;
  const rest = url.slice(base.length);
  if (rest === '' || rest.startsWith('?')) return `/${rest}`;
  return rest.startsWith('/') ? rest : url;
}
