// Calls to the API of a connection through the broker's proxy: no token comes here.
import { contentOf } from './api-content.ts';
import { invalid, type Place, placeOf, requirePath } from './api-links.ts';
import { fault, type ListRequest, listOf, nextRequest, type Pagination } from './api-pages.ts';
import { type CallOptions, prepare, withQuery } from './api-request.ts';
import type { Sending } from './api-sending.ts';
import type { Api, ApiOptions, ApiResponse, CallWithBody, CallWithoutBody, PagesOptions } from './api-types.ts';
import { putBounded } from './bounded-map.ts';
import type { Broker } from './broker.ts';
import { apiPath, type ConnectionSelector, proxyRoute } from './paths.ts';
import { orAborted } from './time.ts';
import type { ApiDescription } from './types.ts';

interface Parts {
  sending: Sending;
  broker: Broker;
  now: () => number;
  deadline: () => number;
  /** Seconds. */
  maxWait: number;
}

/** How long it is known how an API is called. */
const DESCRIBED_FOR_MS = 300_000;
const MAX_DESCRIPTIONS = 1_000;
const LONGEST_WAIT_S = 300;

/** The APIs of connections. `options`: of all calls. */
export type Apis = (connection: string | ConnectionSelector, options?: ApiOptions) => Api;

export function createApis({ sending, broker, now, deadline, maxWait: longest }: Parts): Apis {
  const descriptions = new Map<string, { at: number; api: Promise<ApiDescription> }>();

  function describe(connection: ConnectionSelector, signal: AbortSignal | undefined): Promise<ApiDescription> {
    const path = apiPath(connection);
    let known = descriptions.get(path);
    if (known === undefined || now() - known.at > DESCRIBED_FOR_MS) {
      const expects = ['base_url', 'other_hosts'] as const;
      const options = { method: 'GET', path, expects, deadline: deadline(), repeatable: true } as const;
      const api = broker.ask<ApiDescription>(options).then(({ body }) => body);
      known = { at: now(), api };
      putBounded(descriptions, path, known, MAX_DESCRIPTIONS);
      api.catch(() => descriptions.delete(path));
    }
    return orAborted(known.api, signal);
  }

  return (selected, defaults = {}) => {
    const connection: ConnectionSelector = typeof selected === 'string' ? { connection: selected } : selected;
    const route = proxyRoute(connection);

    async function send(method: string, path: string, given: CallOptions): Promise<Response> {
      const options = { ...defaults, ...given };
      const signal = options.signal ?? undefined;
      requirePath(path);
      const key = options.idempotencyKey;
      const idempotency = key === undefined ? undefined : (await describe(connection, signal)).idempotency;
      const headers = new Headers(defaults.headers);
      for (const [name, value] of new Headers(given.headers)) headers.set(name, value);
      const request = prepare(method.toUpperCase(), path, { ...options, headers }, idempotency);
      const maxWait = Math.min(Math.max(0, options.maxWait ?? longest), LONGEST_WAIT_S);
      return sending.send(route, request, { maxWait, retry: options.retry ?? 0, signal });
    }

    async function request<T>(method: string, path: string, options: CallOptions = {}): Promise<ApiResponse<T>> {
      const response = await send(method, path, options);
      const { status, headers } = response;
      const signal = options.signal ?? defaults.signal ?? undefined;
      const body = (options.as === 'response' ? response : await contentOf(response, options.as, signal)) as T;
      const attempts = Number(headers.get('valetkey-attempts') ?? 1);
      return { status, headers, body, attempts, requestId: headers.get('valetkey-request-id') ?? '' };
    }

    const bodyless =
      (method: string) =>
      async (path: string, options: CallOptions = {}): Promise<unknown> =>
        (await request(method, path, options)).body;
    const withBody =
      (method: string) =>
      async (path: string, body?: unknown, options: CallOptions = {}): Promise<unknown> =>
        (await request(method, path, { ...options, ...(body !== undefined && { body }) })).body;

    return {
      get: bodyless('GET') as CallWithoutBody,
      delete: bodyless('DELETE') as CallWithoutBody,
      post: withBody('POST') as CallWithBody,
      put: withBody('PUT') as CallWithBody,
      patch: withBody('PATCH') as CallWithBody,
      request,

      async *pages<T>(path: string, options: PagesOptions = {}) {
        const {
          method = 'GET',
          list,
          variable,
          pagination: given,
          query,
          body,
          host = defaults.host,
          ...rest
        } = options;
        const api = await describe(connection, options.signal ?? defaults.signal ?? undefined);
        const pagination = given ?? api.pagination;
        if (!pagination) throw fault('unknown', 'It is not known how the lists of this API go on: pass `pagination`');
        const named = { ...(list !== undefined && { list }), ...(variable !== undefined && { variable }) };
        const asked = new Set<string>();
        let before: string | undefined;
        let next: ListRequest | undefined = { method: method.toUpperCase(), path: withQuery(path, query), host, body };
        while (next) {
          const asks = JSON.stringify([next.host, next.path, next.body]);
          if (asked.has(asks))
            throw fault('repeated', 'The API says that the list goes on with a page that it has sent already');
          asked.add(asks);
          const current: ListRequest = next;
          const answer = await request<T>(current.method, current.path, callOf(rest, current));
          yield answer.body;
          next = nextRequest(pagination, { api, request: current, answer, ...named });
          if (next === undefined || !COUNTED.has(pagination.style)) continue;
          // An API that does not know the parameter sends the first page again and again.
          const page = JSON.stringify(listOf({ answer, ...named }) ?? null);
          if (page === before) throw fault('repeated', 'The API has sent the same page twice');
          before = page;
        }
      },

      async fetch(input, init = {}) {
        const from = typeof input === 'object' && 'headers' in input ? input : undefined;
        const signal = init.signal ?? from?.signal ?? undefined;
        const target = typeof input === 'string' ? input : 'href' in input ? input.href : input.url;
        const { host, path } = await placeFor(target, signal);
        const body = init.body ?? from?.body ?? undefined;
        const headers = init.headers ?? from?.headers;
        return send(init.method ?? from?.method ?? 'GET', path, {
          ...(host !== undefined && { host }),
          ...(body !== undefined && { body }),
          ...(headers !== undefined && { headers }),
          ...(signal !== undefined && { signal }),
        });
      },
    };

    async function placeFor(target: string, signal: AbortSignal | undefined): Promise<Place> {
      if (/^\/(?!\/)/.test(target)) return { host: defaults.host, path: target };
      if (!URL.canParse(target)) throw invalid('Neither a path nor a URL');
      const url = new URL(target);
      const place = placeOf(url, await describe(connection, signal));
      if (place) return place;
      throw invalid(`${url.origin} is not the API of this connection: nothing was sent`);
    }
  };
}

/** Styles whose next request is there whatever the answer says. */
const COUNTED: ReadonlySet<Pagination['style']> = new Set(['page', 'offset']);

const callOf = (options: CallOptions, { body, host }: ListRequest): CallOptions => ({
  ...options,
  ...(body !== undefined && { body }),
  ...(host !== undefined && { host }),
});
