// The streaming HTTP client of the API proxy, over undici's dispatcher: what comes is passed on as it comes, undecoded and
// without redirects. The SSRF guard and the egress proxies are those of the outbound client.
import { LRUCache } from 'lru-cache';
import type { Agent, Dispatcher } from 'undici';
import { upTo } from '../../domain/cache-bounds.ts';
import { UPSTREAM_CONNECT_TIMEOUT_MS } from '../../domain/time-limits.ts';
import type { UpstreamClient, UpstreamRequest, UpstreamResponse } from '../../ports/index.ts';
import { UpstreamError } from '../../ports/index.ts';
import { createAgents, type Route } from './agents.ts';
import { type EgressProxies, NO_PROXIES } from './egress-proxy.ts';
import type { Resolver } from './name-lookups.ts';
import { UpstreamExchange, type UpstreamTimeouts } from './upstream-exchange.ts';

/** Origins whose routes are remembered: addresses are judged when a connection is made. */
const MAX_ORIGINS = 1_000;

export interface UpstreamOptions {
  /** Entries that `parseAllow` accepts. */
  allow: readonly string[];
  proxies?: EgressProxies;
  timeouts?: (UpstreamTimeouts & { connectMs: number }) | undefined;
  /** By default that of the system. */
  resolve?: Resolver | undefined;
}

const TIMEOUTS = { ...UpstreamExchange.TIMEOUTS, connectMs: UPSTREAM_CONNECT_TIMEOUT_MS };

export function createUpstreamClient({
  allow,
  proxies = NO_PROXIES,
  timeouts = TIMEOUTS,
  resolve,
}: UpstreamOptions): UpstreamClient {
  // As many connections as there are calls: a stream keeps its connection for as long as it likes.
  const { connectMs: connectTimeoutMs } = timeouts;
  const agents = createAgents({ allow, proxies, connectTimeoutMs, connections: null, resolve });
  const routes = new LRUCache<string, { url: URL; route: Route | string }>(upTo(MAX_ORIGINS));

  function routeTo(origin: string): { url: URL; route: Route | string } | undefined {
    const known = routes.get(origin);
    if (known) return known;
    const url = URL.parse(origin);
    if (url === null) return undefined;
    const found = { url, route: agents.routeTo(url) };
    routes.set(origin, found);
    return found;
  }

  return {
    send(request: UpstreamRequest): Promise<UpstreamResponse> {
      const found = routeTo(request.origin);
      const route = found?.route ?? 'is not a URL';
      if (!found || typeof route === 'string')
        return Promise.reject(blocked(`${found?.url.host ?? 'the API'} ${route}`));
      const { host, origin } = found.url;
      return new Promise((resolve, reject) => {
        const isProxied = route.way === 'forward';
        const exchange = new UpstreamExchange({ host, request, timeouts, isProxied, resolve, reject });
        const headers = isProxied ? [...request.headers, ...Object.entries(route.headers).flat()] : request.headers;
        const dispatch = {
          origin,
          path: route.pathPrefix + request.path,
          method: request.method,
          headers,
          body: exchange.requestBody,
        };
        const send = (agent: Agent) =>
          exchange.isOver || agent.dispatch(dispatch as Dispatcher.DispatchOptions, exchange);
        const failed = (error: Error) => exchange.onResponseError(undefined, error);
        const agent = agents.agentFor(route.way, request.tls);
        if (agent instanceof Promise) return void agent.then(send).catch(failed);
        try {
          send(agent);
        } catch (error) {
          failed(error as Error);
        }
      });
    },
    close: agents.close,
  };
}

const blocked = (message: string) => new UpstreamError(message, { phase: 'blocked', sent: false });
