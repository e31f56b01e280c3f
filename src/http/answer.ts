// An HTTP answer as a value, and the two ways to write one: through the framework, and straight to the socket.
import type { ServerResponse } from 'node:http';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Env } from './env.ts';

export interface Answer {
  status: ContentfulStatusCode;
  /** Names in lower case. The request id and the length are added when it is written. */
  headers: Readonly<Record<string, string>>;
  body: string;
}

/** Headers that the middleware has set (request id, rate limit) come along. */
export const toResponse = (c: Context<Env>, { status, headers, body }: Answer): Response =>
  c.body(body, status, headers);

/** Writes status and headers; the body is the caller's to send. `length`: of the body, in bytes. */
export function writeHead(
  response: ServerResponse,
  { status, headers, body }: Answer,
  requestId: string,
  length = String(Buffer.byteLength(body)),
): void {
  const raw: string[] = [];
  for (const name in headers) raw.push(name, headers[name]!);
  raw.push('x-request-id', requestId, 'content-length', length);
  response.writeHead(status, raw);
}
