// Sends calls through the proxy, and tells the answers of the API from the problems of the broker.
import { errorOf, RateLimited, type RenewalRequest } from './api-errors.ts';
import type { PreparedRequest } from './api-request.ts';
import { isStream } from './attach-token.ts';
import { errorDetails, type Fetch, parsed, systemCode } from './broker.ts';
import { bearer, type Key } from './caller-key.ts';
import { ValetkeyError } from './errors.ts';
import type { ProxyRoute } from './paths.ts';
import { timeLimit, type Wait } from './time.ts';
import type { CreatedConnectSession } from './types.ts';

export interface SendingParts {
  /** Of the broker, without a trailing slash. */
  url: string;
  key: Key;
  fetch: Fetch;
  now: () => number;
  wait: Wait;
  timeoutMs: number;
  connect: (connectionId: string, request: RenewalRequest) => Promise<CreatedConnectSession>;
}

export interface Sending {
  /** The API's own response, whatever its status. Rejects with `ValetkeyError`, or with the signal's reason. */
  send(route: ProxyRoute, request: PreparedRequest, bounds: CallBounds): Promise<Response>;
}

export interface CallBounds {
  /** Seconds. */
  maxWait: number;
  retry: number;
  signal: AbortSignal | undefined;
}

/** What the broker gives an API to begin its answer, in seconds. */
const FIRST_BYTE_S = 40;
/** A body that is longer, or of unknown length, may take its time. */
const SMALL = 64 * 1_024;
/** The broker has not sent the call on. */
const NOT_SENT: ReadonlySet<string> = new Set(['rate_limited', 'too_many_requests']);

export function createSending({ url, key, fetch, now, wait, timeoutMs, connect }: SendingParts): Sending {
  async function sendOnce(route: ProxyRoute, request: PreparedRequest, bounds: CallBounds): Promise<Response> {
    const { method, path, body } = request;
    const { signal, maxWait, retry } = bounds;
    const headers = new Headers(request.headers);
    headers.set('valetkey-max-wait', String(Math.round(maxWait)));
    for (const [name, value] of Object.entries(route.headers)) headers.set(name, value);
    headers.set('authorization', await bearer(key, timeoutMs, signal));
    signal?.throwIfAborted();
    const limitMs = timeoutMs + (maxWait + FIRST_BYTE_S * (1 + retry)) * 1_000;
    const isBounded = body === undefined || (typeof body === 'string' && body.length <= SMALL);
    const limit = timeLimit(isBounded ? limitMs : Number.POSITIVE_INFINITY);
    const init = {
      method,
      headers,
      redirect: 'manual' as const,
      signal: signal ? AbortSignal.any([signal, limit.signal]) : limit.signal,
      ...(body !== undefined && { body }),
      ...(isStream(body) && { duplex: 'half' as const }),
    } satisfies RequestInit;
    try {
      return await fetch(url + route.path + path, init);
    } catch (error) {
      signal?.throwIfAborted();
      const cause = limit.signal.aborted ? ' in time' : systemCode(error);
      throw new ValetkeyError({ code: 'network', status: 0, detail: `The broker did not answer${cause}` });
    } finally {
      limit.end();
    }
  }

  return {
    async send(route, request, bounds) {
      const until = now() + bounds.maxWait * 1_000;
      const canRepeat = !isStream(request.body);
      for (let isRenewed = false; ; ) {
        const maxWait = Math.max(0, (until - now()) / 1_000);
        const response = await sendOnce(route, request, { ...bounds, maxWait });
        const { headers, status } = response;
        if (headers.get('valetkey-error') !== '1' && headers.has('valetkey-request-id')) {
          // The token was renewed, and the broker has not kept a body of this size.
          const isRenewal = status === 401 && headers.get('valetkey-retry') === 'token-renewed';
          if (!isRenewal || isRenewed || !canRepeat) return response;
          isRenewed = true;
          await response.body?.cancel().catch(() => undefined);
          continue;
        }
        const text = await response.text().catch(() => bounds.signal?.throwIfAborted());
        const details = errorDetails(response, parsed(text ?? ''));
        const waitMs = (details.retryAfter ?? Number.POSITIVE_INFINITY) * 1_000;
        if (!NOT_SENT.has(details.code) || !canRepeat || now() + waitMs > until) throw errorOf(details, connect);
        await wait(waitMs, bounds.signal);
      }
    },
  };
}

/** Told with a status of success: what came is no result. */
export function limitIn({ status, headers }: Response): RateLimited | undefined {
  if (headers.get('valetkey-rate-limited') !== 'true') return undefined;
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  const retryAfter = Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds) : 1;
  const detail = 'The API limits how often it is called, and says so in its answer';
  const requestId = headers.get('valetkey-request-id');
  return new RateLimited({
    code: 'upstream_rate_limited',
    status,
    detail,
    retryAfter,
    ...(requestId !== null && { requestId }),
  });
}
