// Connections to third parties: which URLs may be requested, by which way, and the agents that keep the connections. Guarded
// against SSRF (https to public addresses, and the operator's allow list).
import { LRUCache } from 'lru-cache';
import type { Agent } from 'undici';
import { upTo } from '../../domain/cache-bounds.ts';
import { type EgressProxies, proxyAuthorization, proxyFor } from './egress-proxy.ts';
import type { Resolver } from './name-lookups.ts';
import { forwardConnector, tunnelConnector } from './proxy-connectors.ts';
import { readInPieces } from './read-in-pieces.ts';
import {
  guardedLookup,
  isAllowedHost,
  nameProblem,
  ssrfGuardedConnector,
  toAllowList,
  urlProblem,
} from './ssrf-guard.ts';

/** Bytes of all headers of a response. */
const MAX_HEADERS = 32 * 1_024;
/** Client certificates with open connections at the same time. */
const MAX_AGENTS = 100;
/** Origins that were judged. */
const MAX_ROUTES = 1_000;

/** A client certificate. PEM. */
export interface ClientCertificate {
  cert: string;
  key: string;
}

/** How a connection is made: without a proxy, to a proxy that forwards requests, or through its tunnel. */
type Way = 'direct' | 'forward' | 'tunnel';

/** How a URL is reached. */
export interface Route {
  way: Way;
  /** RFC 9112 3.2.2: a proxy that forwards is sent the whole URL. Otherwise empty. */
  pathPrefix: string;
  /** For the forwarding proxy. */
  headers: Record<string, string>;
}

export interface Agents {
  /** A text: why the URL may not be requested. */
  routeTo(url: URL): Route | string;
  /** The agent for a way and a client certificate; most requests have none. A promise: it is made now. */
  agentFor(way: Way, tls: ClientCertificate | undefined): Agent | Promise<Agent>;
  /** Ends requests that are still open as lost. Resolves when all connections are closed. */
  close(): Promise<void>;
}

export interface AgentOptions {
  /** Entries that `parseAllow` accepts. */
  allow: readonly string[];
  proxies: EgressProxies;
  /** For DNS, TCP and TLS together. */
  connectTimeoutMs: number;
  /** Connections to one origin; null: any number. */
  connections: number | null;
  /** By default that of the system. */
  resolve?: Resolver | undefined;
  /** Called before the first request, and before the first of each further way or certificate. */
  onFirstUse?: (() => void) | undefined;
}

export function createAgents({
  allow,
  proxies,
  connectTimeoutMs,
  connections,
  resolve,
  onFirstUse,
}: AgentOptions): Agents {
  const allowList = toAllowList(allow);
  const lookup = guardedLookup(allowList, resolve);
  const closing = new AbortController();
  const isAskedByName = (host: string) => proxies.resolves === 'proxy' || isAllowedHost(host, allowList);
  const agents = new LRUCache<string, Agent | Promise<Agent>>({
    ...upTo(MAX_AGENTS),
    dispose: (agent) =>
      void Promise.resolve(agent).then(
        (ready) => ready.close(),
        () => undefined,
      ),
    noDisposeOnSet: true,
  });

  /** Imports undici with the first request: it is as large as all other libraries together. */
  const createAgent = async (way: Way, tls: ClientCertificate | undefined) => {
    onFirstUse?.();
    // In a bundle, a CommonJS module that is imported late has no named exports.
    const { Agent, buildConnector: build } = (await import('undici')).default;
    const connectors = {
      direct: () => ssrfGuardedConnector(build, lookup, connectTimeoutMs, tls),
      forward: () => forwardConnector(build, proxies.http!, connectTimeoutMs),
      tunnel: () =>
        tunnelConnector({
          ...{ lookup, isAskedByName, timeout: connectTimeoutMs, tls },
          proxy: proxies.https!,
          closed: closing.signal,
        }),
    };
    return new Agent({
      connect: readInPieces(connectors[way]()),
      connections,
      maxHeaderSize: MAX_HEADERS,
      // Those who send have time limits of their own.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  };

  const routes = new LRUCache<string, Route | { problem: string }>(upTo(MAX_ROUTES));

  function judge(url: URL): Route | { problem: string } {
    const proxy = proxyFor(url, proxies);
    const isJudgedByName = proxy !== undefined && proxies.resolves === 'proxy';
    const problem = urlProblem(url, allowList) ?? (isJudgedByName ? nameProblem(url.hostname, allowList) : undefined);
    if (problem !== undefined) return { problem };
    if (proxy === undefined) return { way: 'direct', pathPrefix: '', headers: {} };
    if (url.protocol === 'https:') return { way: 'tunnel', pathPrefix: '', headers: {} };
    return { way: 'forward', pathPrefix: url.origin, headers: proxyAuthorization(proxy) };
  }

  return {
    routeTo(url) {
      // The path does not count. The addresses of a name are judged whenever it is connected to. `blob:https://a/` has the origin
      // of `https://a/`.
      const isJudgedByOrigin = /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
      let known = isJudgedByOrigin ? routes.get(url.origin) : undefined;
      if (!known) {
        known = judge(url);
        if (isJudgedByOrigin) routes.set(url.origin, known);
      }
      return 'problem' in known ? known.problem : known;
    },

    agentFor(way, tls) {
      const key = tls === undefined ? way : `${way} ${tls.cert}`;
      const existing = agents.get(key);
      if (existing) return existing;
      const made = createAgent(way, tls);
      agents.set(key, made);
      const keep = (ready: Agent) => void (agents.peek(key) === made && agents.set(key, ready));
      // One that could not be made is made again: out of file descriptors, undici cannot be imported.
      made.then(keep, () => void (agents.peek(key) === made && agents.delete(key)));
      return made;
    },

    async close() {
      closing.abort();
      await Promise.all([...agents.values()].map(async (agent) => (await agent).destroy()));
    },
  };
}
