// Connections through an egress proxy. For https a tunnel (CONNECT, RFC 9110 9.3.6) with TLS to the server inside; what the
// client then takes for the connection is its inner end, so that a request is only begun, and its gate only asked, once all
// of it stands. For http the connection to the proxy, which is sent the request itself.
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { buildConnector } from 'undici';
import { startDeadline } from '../../domain/deadline.ts';
import { proxyAuthorization } from './egress-proxy.ts';
import { connectionError, OutboundError, proxyError } from './outbound-error.ts';

type Build = typeof buildConnector;

/** Addresses of one name that are tried. */
const MAX_ADDRESSES = 3;

const unbracketed = (host: string) => host.replace(/^\[(.*)\]$/, '$1');
const portOf = ({ port, protocol }: URL) => Number(port || (protocol === 'https:' ? 443 : 80));

export interface TunnelParts {
  proxy: URL;
  /** Resolves a name to addresses that may be reached, or fails. */
  lookup: LookupFunction;
  /** Whether the proxy is asked by name. */
  isAskedByName: (hostname: string) => boolean;
  /** For the tunnel and the handshake inside together. */
  timeout: number;
  tls: { cert: string; key: string } | undefined;
  /** Ends what is under way. */
  closed: AbortSignal;
}

/** Fails with an `OutboundError` whose request was not sent: it is only written to a tunnel that stands. */
export function tunnelConnector(parts: TunnelParts): buildConnector.connector {
  const { timeout, closed } = parts;
  return (target, callback) => {
    const host = target.host ?? target.hostname;
    const expired = new AbortController();
    const cancel = startDeadline(timeout, () => expired.abort());
    const ended = AbortSignal.any([expired.signal, closed]);
    connectThrough(parts, target, host, ended)
      .then(
        (socket) => callback(null, socket),
        (error: Error) => {
          if (expired.signal.aborted)
            callback(new OutboundError('timeout', `${host} took too long to connect`, false), null);
          else callback(error instanceof OutboundError ? error : connectionError(host, error, false), null);
        },
      )
      .finally(cancel);
  };
}

async function connectThrough(
  parts: TunnelParts,
  target: buildConnector.Options,
  host: string,
  ended: AbortSignal,
): Promise<TLSSocket> {
  const tunnel = await openTunnel(parts, target, host, ended);
  const hostname = unbracketed(target.hostname);
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const inside = connectTls({
    ...parts.tls,
    socket: tunnel,
    host: hostname,
    ...(isIP(hostname) === 0 && { servername: hostname }),
    ALPNProtocols: ['http/1.1'],
  });
  // Only the inner end is ever destroyed here, which takes the tunnel along: Node does not survive the other order.
  const end = () => inside.destroy(proxyError(host, 'aborted'));
  ended.addEventListener('abort', end, { once: true });
  if (ended.aborted) end();
  inside.once('secureConnect', () => resolve(inside));
  inside.on('error', reject);
  // It may close without an error when the tunnel does.
  inside.once('close', () => reject(proxyError(host, 'ECONNRESET')));
  return promise.finally(() => ended.removeEventListener('abort', end));
}

async function openTunnel(
  parts: TunnelParts,
  target: buildConnector.Options,
  host: string,
  ended: AbortSignal,
): Promise<Socket> {
  const names = await askedFor(parts, unbracketed(target.hostname));
  let error: unknown;
  for (const name of names.slice(0, MAX_ADDRESSES)) {
    try {
      const authority = `${isIP(name) === 6 ? `[${name}]` : name}:${target.port || 443}`;
      return await requestTunnel(parts.proxy, authority, host, ended);
    } catch (thrown) {
      error ??= thrown;
      // Only a proxy that could not reach this address may reach another one.
      if (ended.aborted || !(thrown instanceof OutboundError) || !thrown.isUnreachable) break;
    }
  }
  throw error;
}

/** What the proxy is asked for: a name, or the addresses that a name has, IPv4 first, which more proxies reach. */
async function askedFor({ lookup, isAskedByName }: TunnelParts, hostname: string): Promise<string[]> {
  if (isIP(hostname) !== 0 || isAskedByName(hostname)) return [hostname];
  const { promise, resolve, reject } = Promise.withResolvers<string[]>();
  lookup(hostname, { all: true }, (error, found) => {
    if (error) return reject(error);
    const addresses = [found].flat().map((one) => (typeof one === 'string' ? one : one.address));
    resolve(addresses.sort((a, b) => isIP(a) - isIP(b)));
  });
  return promise;
}

function requestTunnel(proxy: URL, authority: string, host: string, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const asked = (proxy.protocol === 'https:' ? httpsRequest : httpRequest)({
    host: unbracketed(proxy.hostname),
    port: portOf(proxy),
    method: 'CONNECT',
    path: authority,
    agent: false,
    signal,
    headers: { host: authority, connection: 'keep-alive', 'user-agent': 'valetkey', ...proxyAuthorization(proxy) },
  });
  asked.once('connect', ({ statusCode = 0 }, socket: Socket, head: Buffer) => {
    socket.on('error', () => {});
    if (statusCode >= 200 && statusCode < 300) {
      if (head.length > 0) socket.unshift(head);
      return resolve(socket);
    }
    socket.destroy();
    reject(proxyError(host, statusCode));
  });
  asked.on('error', (error: NodeJS.ErrnoException) => reject(proxyError(host, error.code ?? error.name)));
  asked.end();
  return promise;
}

/** For requests that the proxy itself is sent. */
export function forwardConnector(build: Build, proxy: URL, timeout: number): buildConnector.connector {
  const connect = build({ timeout, allowH2: false });
  const hostname = unbracketed(proxy.hostname);
  const to = { hostname, host: proxy.host, protocol: proxy.protocol, port: String(portOf(proxy)) };
  return (target, callback) =>
    connect({ ...to, ...(isIP(hostname) === 0 && { servername: hostname }) }, (...[error, socket]) => {
      if (error === null) return callback(null, socket);
      const { code } = error as NodeJS.ErrnoException;
      callback(proxyError(target.host ?? target.hostname, code ?? error.name), null);
    });
}
