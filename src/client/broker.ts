// The HTTP client of the broker: sends the caller key, limits the time, and obeys Retry-After.
import { putBounded } from './bounded-map.ts';
import { bearer, type Key } from './caller-key.ts';
import { type ErrorDetails, ValetkeyError } from './errors.ts';
import { retryAfter, timeLimit, type Wait } from './time.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface BrokerOptions {
  /** Without a trailing slash. */
  url: string;
  key: Key;
  fetch: Fetch;
  /** Monotonic, milliseconds. */
  now: () => number;
  wait: Wait;
  /** Of one request. */
  timeoutMs: number;
}

export interface BrokerRequest<T> {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: object;
  /** What an answer of the broker has, at least: without it, another server has answered. */
  expects: readonly (keyof T)[];
  /** When to stop waiting for a `Retry-After`, by `now`. */
  deadline: number;
  signal?: AbortSignal | undefined;
  /** Whether the request is idempotent: then it is sent once more after a connection failure. */
  repeatable?: boolean;
}

export interface BrokerResponse<T> {
  body: T;
  /** When the request was sent, by `now`. */
  sentAt: number;
}

export interface Broker {
  /** Rejects with `ValetkeyError`, with the signal's reason, or with the error of the `key` function. */
  ask<T>(request: BrokerRequest<T>): Promise<BrokerResponse<T>>;
}

const MAX_PAUSES = 1_000;
/** A server in front of the broker whose clock is wrong may name a year that is far away. */
const LONGEST_PAUSE_S = 3_600;
/** The scope of a rate limit of this caller: all paths. */
const ALL_PATHS = '';

export function createBroker({ url, key, fetch, now, wait, timeoutMs }: BrokerOptions): Broker {
  /** By path: until when nothing is sent, and the error of that response. All callers share it, so none retries early. */
  const pauses = new Map<string, { until: number; details: ErrorDetails }>();

  function pause(path: string, details: ErrorDetails, seconds: number): void {
    const scope = details.status === 429 ? ALL_PATHS : path;
    const until = now() + Math.min(seconds, LONGEST_PAUSE_S) * 1_000;
    putBounded(pauses, scope, { until, details }, MAX_PAUSES);
  }

  /** Waits for the end of a pause; throws its error if that is after the deadline. */
  async function waitForPause(path: string, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    for (const scope of [ALL_PATHS, path]) {
      const found = pauses.get(scope);
      const remaining = (found?.until ?? 0) - now();
      if (!found || remaining <= 0) continue;
      if (found.until > deadline)
        throw new ValetkeyError({ ...found.details, retryAfter: Math.ceil(remaining / 1_000) });
      await wait(remaining, signal);
    }
  }

  async function send(
    request: Omit<BrokerRequest<unknown>, 'expects'>,
    retry = request.repeatable,
  ): Promise<{ response: Response; text: string }> {
    const { method, path, signal } = request;
    const headers = {
      authorization: await bearer(key, timeoutMs, signal),
      accept: 'application/json, application/problem+json',
      ...(request.body && { 'content-type': 'application/json' }),
    };
    const body = request.body && JSON.stringify(request.body);
    const limit = timeLimit(timeoutMs);
    const either = signal ? AbortSignal.any([signal, limit.signal]) : limit.signal;
    try {
      const init = { method, headers, redirect: 'manual', signal: either, ...(body && { body }) } as const;
      const response = await fetch(url + path, init);
      // Read here, since the connection may fail, or the time be over, within the body.
      return { response, text: await response.text() };
    } catch (error) {
      signal?.throwIfAborted();
      if (!limit.signal.aborted && retry) return await send(request, false);
      const cause = limit.signal.aborted ? ` within ${timeoutMs / 1_000} s` : systemCode(error);
      throw new ValetkeyError({ code: 'network', status: 0, detail: `The broker did not answer${cause}` });
    } finally {
      limit.end();
    }
  }

  return {
    async ask<T>(request: BrokerRequest<T>): Promise<BrokerResponse<T>> {
      for (;;) {
        await waitForPause(request.path, request.deadline, request.signal);
        const sentAt = now();
        const { response, text } = await send(request);
        const body = parsed(text);
        const isComplete = request.expects.every((name) => body?.[name as string] !== undefined);
        if (response.ok && body && isComplete) return { body: body as T, sentAt };
        const details = errorDetails(response, response.ok ? undefined : body);
        if (details.retryAfter === undefined) throw new ValetkeyError(details);
        pause(request.path, details, details.retryAfter);
      }
    },
  };
}

/** Such as ECONNREFUSED. The rest of a foreign error is dropped: it may contain the request. */
export function systemCode(error: unknown): string {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } };
  const found = [cause?.code, code].find((it) => typeof it === 'string' && /^[A-Z][A-Z_]+$/.test(it));
  return found === undefined ? '' : `: ${found}`;
}

export function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The known members of a problem (RFC 9457). Others are dropped. */
export function errorDetails(response: Response, body: Record<string, unknown> | undefined): ErrorDetails {
  const { status, headers } = response;
  const seconds = retryAfter(response);
  const retry = seconds === undefined ? {} : { retryAfter: seconds };
  if (typeof body?.code !== 'string' || typeof body.detail !== 'string') {
    const type = headers.get('content-type')?.split(';')[0] ?? 'no content';
    const detail = `Not a response of a Valetkey broker: status ${status} with ${type}. Is url the URL of the broker?`;
    return { code: 'invalid_answer', status, detail, ...retry };
  }
  const { code, detail, request_id, connection_id, reason, missing, candidates, issues, scope } = body;
  const named = { requestId: request_id, connectionId: connection_id, reason, missing, candidates, issues, scope };
  const known = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined && value !== null));
  return { code: code as ErrorDetails['code'], status, detail, ...retry, ...known };
}
