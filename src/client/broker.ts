// Requests to the broker: with the caller key, in bounded time, patient where the broker asks for patience.
import { putBounded } from './bounded-map.ts';
import { type ErrorFacts, ValetkeyError } from './errors.ts';
import { retryAfter, type Wait } from './time.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface BrokerOptions {
  /** Without a slash at its end. */
  url: string;
  key: string | (() => string | Promise<string>);
  fetch: Fetch;
  now: () => number;
  wait: Wait;
  timeoutMs: number;
}

export interface Asked {
  method: 'GET' | 'POST';
  path: string;
  body?: object;
  /** Until when `Retry-After` is waited for, by `now`. */
  deadline: number;
  signal?: AbortSignal | undefined;
  /** It may be sent twice: again, once, where the line broke. */
  repeatable?: boolean;
}

export interface Answered<T> {
  body: T;
  /** When the request was sent, by `now`. */
  sentAt: number;
}

export type Broker = ReturnType<typeof createBroker>;

const MAX_PAUSES = 1_000;
/** A limit on this caller: whatever it asks for. */
const EVERYTHING = '';

export function createBroker({ url, key, fetch, now, wait, timeoutMs }: BrokerOptions) {
  /** Until when nothing is asked, by path, and what was said. So a crowd does not ask again what one was told to wait for. */
  const pauses = new Map<string, { until: number; facts: ErrorFacts }>();

  function pause(path: string, facts: ErrorFacts, seconds: number): void {
    const scope = facts.status === 429 ? EVERYTHING : path;
    putBounded(pauses, scope, { until: now() + seconds * 1_000, facts }, MAX_PAUSES);
  }

  /** Throws what was said where that is too long to wait. */
  async function sitOut(path: string, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    for (const scope of [EVERYTHING, path]) {
      const found = pauses.get(scope);
      const left = (found?.until ?? 0) - now();
      if (!found || left <= 0) continue;
      if (found.until > deadline) throw new ValetkeyError({ ...found.facts, retryAfter: Math.ceil(left / 1_000) });
      await wait(left, signal);
    }
  }

  async function send(asked: Asked, again = asked.repeatable): Promise<{ response: Response; text: string }> {
    const { method, path, body, signal } = asked;
    const headers = {
      authorization: `Bearer ${readable(typeof key === 'string' ? key : await key())}`,
      accept: 'application/json, application/problem+json',
      ...(body && { 'content-type': 'application/json' }),
    };
    const late = AbortSignal.timeout(timeoutMs);
    const either = signal ? AbortSignal.any([signal, late]) : late;
    try {
      const init = { method, headers, redirect: 'manual', signal: either } as const;
      const response = await fetch(url + path, body ? { ...init, body: JSON.stringify(body) } : init);
      // Read here, since the line may break, and the time run out, in the middle of it.
      return { response, text: await response.text() };
    } catch (error) {
      signal?.throwIfAborted();
      if (!late.aborted && again) return send(asked, false);
      const why = late.aborted ? ` within ${timeoutMs / 1_000} s` : systemCode(error);
      throw new ValetkeyError({ code: 'network', status: 0, detail: `The broker gave no answer${why}` });
    }
  }

  return {
    /** Rejects with `ValetkeyError`, with the signal's reason, or with what reading the key threw. */
    async ask<T>(asked: Asked): Promise<Answered<T>> {
      for (;;) {
        await sitOut(asked.path, asked.deadline, asked.signal);
        const sentAt = now();
        const { response, text } = await send(asked);
        const body = parsed(text);
        if (response.ok && body) return { body: body as T, sentAt };
        const facts = factsOf(response, body);
        if (facts.retryAfter === undefined) throw new ValetkeyError(facts);
        pause(asked.path, facts, facts.retryAfter);
      }
    },
  };
}

/** A key from a file often ends in a line break. */
function readable(key: string): string {
  const trimmed = key.trim();
  if (/^[\x21-\x7e]+$/.test(trimmed)) return trimmed;
  const detail = 'The caller key is empty, or has characters that no header may have';
  throw new ValetkeyError({ code: 'invalid_key', status: 0, detail });
}

/** Such as ECONNREFUSED. Nothing else of an error that is not ours is told: it may hold the request. */
function systemCode(error: unknown): string {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } };
  const found = [cause?.code, code].find((it) => typeof it === 'string' && /^[A-Z][A-Z_]+$/.test(it));
  return found === undefined ? '' : `: ${found}`;
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Of a problem (RFC 9457): what is known by name, and nothing else. */
function factsOf(response: Response, body: Record<string, unknown> | undefined): ErrorFacts {
  const { status, headers } = response;
  const seconds = retryAfter(response);
  const patience = seconds === undefined ? {} : { retryAfter: seconds };
  if (typeof body?.code !== 'string' || typeof body.detail !== 'string') {
    const what = headers.get('content-type')?.split(';')[0] ?? 'no content';
    const detail = `Not an answer of the broker: status ${status} with ${what}. Does url name the broker?`;
    return { code: 'invalid_answer', status, detail, ...patience };
  }
  const { code, detail, request_id, connection_id, reason, missing, candidates, issues } = body;
  const named = { requestId: request_id, connectionId: connection_id, reason, missing, candidates, issues };
  const known = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined && value !== null));
  return { code: code as ErrorFacts['code'], status, detail, ...patience, ...known };
}
