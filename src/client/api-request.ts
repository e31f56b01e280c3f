// Requests through the proxy as callers write them: a query object, a body that is JSON, an idempotency key, and our headers.
import { isStream } from './attach-token.ts';
import { ValetkeyError } from './errors.ts';
import { isObject } from './json-path.ts';
import type { ApiDescription } from './types.ts';

type Scalar = string | number | bigint | boolean | null | undefined;
/** A list repeats its name. What is null or undefined is left out. */
export type Query = URLSearchParams | Readonly<Record<string, Scalar | readonly Scalar[]>>;

export interface CallOptions {
  /** Added to that of the path. */
  query?: Query;
  headers?: NonNullable<RequestInit['headers']>;
  /**
   * Objects, lists, numbers, booleans and null are sent as JSON; text, bytes, forms, blobs and streams as they are. What is a
   * stream is sent once.
   */
  body?: unknown;
  /** The alias of another host of the API. */
  host?: string;
  /** How often the call may be repeated, 0 to 5, where that is safe. Default: 0. */
  retry?: number;
  /** Seconds that the call waits for a limit of the API, 0 to 300. Default: that of the client. */
  maxWait?: number;
  /** It goes after others, and leaves a part of each limit to them. */
  background?: boolean;
  /** Makes a repeated request safe, where the API takes such a key. `true`: a new one. */
  idempotencyKey?: string | true;
  signal?: AbortSignal | null;
  /** What the body of the answer is given as. Default: by its content type: JSON parsed, text as text, other bytes as bytes. */
  as?: 'stream' | 'response';
}

/** What is sent, but for the key of the caller. */
export interface PreparedRequest {
  method: string;
  path: string;
  headers: Headers;
  body: RequestInit['body'] | undefined;
}

/** `path`: with the query added. */
export function withQuery(path: string, query: Query | undefined): string {
  const params = query instanceof URLSearchParams ? query : new URLSearchParams();
  if (!(query instanceof URLSearchParams))
    for (const [name, values] of Object.entries(query ?? {}))
      for (const value of [values].flat())
        if (value !== undefined && value !== null) params.append(name, String(value));
  const text = params.toString();
  return text === '' ? path : `${path}${path.includes('?') ? '&' : '?'}${text}`;
}

/** `path`: replaces the values that a query has for this name. */
export function withParam(path: string, name: string, value: string): string {
  const [before = '', ...rest] = path.split('?');
  const params = new URLSearchParams(rest.join('?'));
  params.set(name, value);
  return `${before}?${params}`;
}

const SENT_AS_THEY_ARE =
  /^\[object (?:Blob|File|FormData|URLSearchParams|ArrayBuffer|SharedArrayBuffer|ReadableStream)\]$/;

const isRaw = (body: unknown): boolean =>
  typeof body === 'string' ||
  ArrayBuffer.isView(body) ||
  SENT_AS_THEY_ARE.test(Object.prototype.toString.call(body)) ||
  isStream(body);

/** `idempotency`: where the API takes a key. */
export function prepare(
  method: string,
  path: string,
  options: CallOptions,
  idempotency: ApiDescription['idempotency'] | undefined,
): PreparedRequest {
  const headers = new Headers(options.headers);
  let { body } = options;
  let target = withQuery(path, options.query);
  const { idempotencyKey } = options;
  if (idempotencyKey !== undefined) {
    const key = idempotencyKey === true ? crypto.randomUUID() : idempotencyKey;
    const { header, body: member, query } = idempotency ?? {};
    if (header !== undefined) headers.set(header, key);
    else if (query !== undefined) target = withParam(target, query, key);
    else if (member !== undefined && isObject(body) && !isRaw(body)) body = { ...body, [member]: key };
    else throw misused('The API takes no idempotency key, or not in a request like this one');
  }
  const names = { retry: 'valetkey-retry', maxWait: 'valetkey-max-wait' } as const;
  for (const [option, name] of Object.entries(names)) {
    const value = options[option as keyof typeof names];
    if (value !== undefined) headers.set(name, String(Math.max(0, Math.floor(value))));
  }
  if (options.host !== undefined) headers.set('valetkey-host', options.host);
  if (options.background) headers.set('valetkey-priority', 'background');
  if (body === undefined || isRaw(body)) return { method, path: target, headers, body: body as RequestInit['body'] };
  if (!headers.has('content-type')) headers.set('content-type', 'application/json');
  return { method, path: target, headers, body: JSON.stringify(body) };
}

export const misused = (detail: string): ValetkeyError =>
  new ValetkeyError({ code: 'invalid_request', status: 0, detail });
