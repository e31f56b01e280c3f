// One origin under a test's control: it keeps every request that it receives, and answers each path as the test says.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { listenAtLoopback } from '../loopback.ts';

export interface SiteRequest {
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: string;
  form: URLSearchParams;
}

export type Responder = (request: SiteRequest, response: ServerResponse) => unknown;

export interface Site {
  origin: string;
  /** In the order of their arrival. */
  received: SiteRequest[];
  /** Answers this path from now on, whatever the site does otherwise; undefined: no longer. */
  on(path: string, responder: Responder | undefined): void;
  to(path: string): SiteRequest[];
  close(): Promise<void>;
}

/** `usual` answers all paths that `on` does not. */
export async function startSite(usual: Responder, host = '127.0.0.1'): Promise<Site> {
  const overrides = new Map<string, Responder>();
  const received: SiteRequest[] = [];
  const server = createServer(async (incoming, response) => {
    response.on('error', () => {});
    let body = '';
    try {
      for await (const chunk of incoming) body += chunk;
    } catch {
      return;
    }
    const url = new URL(`http://site${incoming.url}`);
    const request: SiteRequest = {
      method: incoming.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body,
      form: new URLSearchParams(body),
    };
    received.push(request);
    await (overrides.get(request.path) ?? usual)(request, response);
  });
  server.keepAliveTimeout = 60_000;
  const { url: origin, close } = await listenAtLoopback(server, host);
  return {
    origin,
    received,
    on: (path, responder) => void (responder ? overrides.set(path, responder) : overrides.delete(path)),
    to: (path) => received.filter((request) => request.path === path),
    close,
  };
}

export const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Responder =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

/** The bytes as they are; `status` 204 and the like without them. */
export const raw =
  (body: string | Buffer, status = 200, headers: Record<string, string> = {}): Responder =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);

export const notFound: Responder = raw('not here', 404, { 'content-type': 'text/plain' });

export const redirect =
  (location: string, status: 301 | 302 | 303 | 307 | 308 = 302): Responder =>
  (_, response) =>
    response.writeHead(status, { location }).end();

/** Never answers. */
export const hang: Responder = () => {};

/** Sends headers and the first byte, and then nothing more. */
export const stall: Responder = (_, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{');
};

/** Closes the connection. */
export const drop: Responder = (_, response) => response.destroy();

/** A string that never ends, as fast as it is read. */
export const endless: Responder = (_, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{"padding":"');
  const chunk = 'a'.repeat(65_536);
  const more = () => {
    while (!response.destroyed) if (!response.write(chunk)) return;
  };
  response.on('drain', more);
  more();
};

/** The same object with a member of so many bytes. */
export const huge = (body: object, bytes = 4_000_000): Responder => json({ ...body, padding: 'a'.repeat(bytes) });

/** Some kilobytes that become many megabytes. */
export function gzipBomb(body: object, megabytes = 20): Responder {
  const [start = '', end = ''] = JSON.stringify({ ...body, padding: '|' }).split('|');
  // Members of one file (RFC 1952 2.2): what is long is compressed once.
  const members = [gzipSync(start), ...Array.from({ length: megabytes }, () => COMPRESSED_MEGABYTE), gzipSync(end)];
  return raw(Buffer.concat(members), 200, { 'content-encoding': 'gzip' });
}

const COMPRESSED_MEGABYTE = gzipSync('a'.repeat(1_000_000));
