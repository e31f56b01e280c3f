// The listener: bound before the broker is ready, so that the port is known; drained when it stops.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  CONNECTION_CHECK_MS,
  REQUEST_HEADERS_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  SHUTDOWN_POLL_MS,
} from '../domain/time-limits.ts';
import type { FastRoutes } from './fast-path/index.ts';
import type { RequestHandler } from './http-parts.ts';
import { createRequestTimeouts } from './request-timeouts.ts';

interface Handlers {
  fastRoutes: FastRoutes;
  /** For every request without a fast route, and those that a fast handler passes on. */
  framework: RequestHandler;
}

/**
 * Whether other processes of this deployment listen at the same address: the kernel spreads connections over them (SO_REUSEPORT).
 * `first`: fails if anyone else listens there. `join`: others of this deployment do already, or have, and the port is known;
 * so it is not bound before the broker is ready, which would take connections from those that are.
 */
export type PortSharing = 'alone' | 'first' | 'join';

export interface Listener {
  /** The URL to reach it at from this machine. */
  url: string;
  /** Starts to serve. Until this is called, every answer is 503. Rejects when the port of a `join` cannot be bound. */
  handle(handlers: Handlers): Promise<void>;
  /** Accepts no more connections, lets open requests end within `graceMs`, then closes their connections. */
  stop(graceMs: number): Promise<void>;
}

/** Of one listener; more are closed at once. */
const MAX_CONNECTIONS = 10_000;

/** Bytes of all headers of a request. */
const MAX_HEADERS = 32 * 1_024;

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
export async function listen(
  host: string,
  port: number,
  base = '',
  timeouts = TIMEOUTS,
  sharing: PortSharing = 'alone',
): Promise<Listener> {
  type Handler = (request: IncomingMessage, response: ServerResponse, waitsForContinue: boolean) => void;
  let handler: Handler = (_, response) => {
    response.writeHead(503, { 'retry-after': '1' }).end();
  };
  const { headersTimeout, requestTimeout, connectionsCheckingInterval } = timeouts;
  // Node's own limit of whole requests is for all alike, and uploads through the proxy may take as long as they like.
  const limits = { headersTimeout, connectionsCheckingInterval, requestTimeout: 0, maxHeaderSize: MAX_HEADERS };
  const requestTimeouts = createRequestTimeouts(requestTimeout, connectionsCheckingInterval);
  const serve = (request: IncomingMessage, response: ServerResponse, waitsForContinue: boolean) => {
    if (!server.listening) response.setHeader('connection', 'close');
    handler(request, response, waitsForContinue);
  };
  const server = createServer(limits, (request, response) => serve(request, response, false));
  server.on('checkContinue', (request, response) => serve(request, response, true));
  server.on('connect', refuseTunnel);
  server.maxConnections = MAX_CONNECTIONS;
  // Another broker of this user that shares its port would go unnoticed.
  if (sharing === 'first' && port !== 0) await closed(await bound(createServer(), { port, host }));
  const bind = () => bound(server, { port, host, ...(sharing !== 'alone' && { reusePort: true }) });
  if (sharing !== 'join') await bind();
  const known = sharing === 'join' ? port : (server.address() as AddressInfo).port;

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${known}`,
    async handle({ fastRoutes, framework }) {
      handler = (request, response, waitsForContinue) => {
        if (!request.url?.startsWith('/')) toOriginForm(request);
        if (base !== '') request.url = withoutBase(request.url ?? '/', base);
        const next = () => framework(request, response);
        const fast = fastRoutes(request);
        if (!fast?.streams) {
          requestTimeouts.watch(request, response);
          if (waitsForContinue) response.writeContinue();
        }
        if (fast) fast(request, response, next);
        else next();
      };
      if (sharing === 'join') await bind();
    },
    async stop(graceMs) {
      const ended = closed(server);
      const idle = setInterval(() => server.closeIdleConnections(), SHUTDOWN_POLL_MS);
      const late = setTimeout(() => server.closeAllConnections(), graceMs);
      await ended;
      requestTimeouts.stop();
      clearInterval(idle);
      clearTimeout(late);
    },
  };
}

/** Rejects when the address cannot be bound. */
async function bound(server: Server, options: ListenOptions): Promise<Server> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, resolve);
  });
  return server;
}

const closed = (server: Server) => new Promise<unknown>((resolve) => server.close(resolve));

/** A tunnel (CONNECT) would have no path to authorise. */
function refuseTunnel(_: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => undefined);
  socket.end('HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\nValetkey-Error: 1\r\n\r\n');
}

/** Scheme and authority. What names a user as well is no target of a request (RFC 9110 4.2.4). */
const ORIGIN = /^https?:\/\/([^/?#@]+)(?=[/?#]|$)/i;

/**
 * A whole URL as the target, as clients send it to what they take for a proxy: a path on the host that the URL names, whatever
 * `Host` says (RFC 9112 3.2.2). Any other target becomes a path that is not found, but for that of `OPTIONS *`.
 */
function toOriginForm(request: IncomingMessage): void {
  const { url = '' } = request;
  const [origin, authority] = ORIGIN.exec(url) ?? [];
  if (origin === undefined) {
    if (url !== '*') request.url = `/${url}`;
    return;
  }
  const rest = url.slice(origin.length);
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
  request.headers.host = authority;
}

/** A base never is the beginning of a path of ours: see `VALETKEY_PUBLIC_URL` in settings.ts. */
function withoutBase(url: string, base: string): string {
  if (!url.startsWith(base)) return url;
  const rest = url.slice(base.length);
  if (rest === '' || rest.startsWith('?')) return `/${rest}`;
  return rest.startsWith('/') ? rest : url;
}
