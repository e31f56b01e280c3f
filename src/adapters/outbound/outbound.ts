// The outbound HTTP client: every request that the broker makes goes through it. It is guarded against SSRF (https to
// public addresses, and the operator's allow list), follows no redirect, and has a deadline and a size limit.
import { LRUCache } from 'lru-cache';
import type { Agent, Dispatcher } from 'undici';
import { OUTBOUND_DEADLINE_MS } from '../../domain/time-limits.ts';
import { OutboundError } from './outbound-error.ts';
import { ResponseHandler } from './response-handler.ts';
import { ssrfGuardedConnector, toAllowList, urlProblem } from './ssrf-guard.ts';
import type { WholeResponse } from './whole-response.ts';

/** RFC 9110 5.1, 5.5. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Client certificates with open connections at the same time. */
const MAX_AGENTS = 100;

export { OutboundError } from './outbound-error.ts';
export { parseAllow } from './ssrf-guard.ts';
export { WholeResponse } from './whole-response.ts';

export interface OutboundRequest {
  method?: string | undefined;
  headers?: Record<string, string> | undefined;
  body?: string | Uint8Array | URLSearchParams | null | undefined;
  signal?: AbortSignal | null | undefined;
  /** PEM. The client certificate, for servers that ask for one (RFC 8705). */
  tls?: { cert: string; key: string } | undefined;
  /** The deadline of this request, in place of the general one. A connection must be made within the general one. */
  timeoutMs?: number | undefined;
  /**
   * Asked once the connection is ready, in the same turn in which the request is written to it. False: nothing of it is sent,
   * and the request is rejected as `withheld`.
   */
  mayStillSend?: (() => boolean) | undefined;
}

export interface Outbound {
  /** Sends a request and reads the whole response, whatever its status below 600. Rejects with an `OutboundError` only. */
  (url: string | URL, init?: OutboundRequest): Promise<WholeResponse>;
  /** Ends requests that are still open as lost. Resolves when all connections are closed. */
  close(): Promise<void>;
}

export interface OutboundOptions {
  /** Entries that `parseAllow` accepts. */
  allow: readonly string[];
  /** From the call to the last byte of the body; 10 seconds by default. */
  timeoutMs?: number;
  /** Of the body, before and after its content codings are decoded; a megabyte by default. */
  maxBytes?: number;
}

/** Why a URL may not be requested, in words, for checks at configuration time; undefined when it may. */
export function checkUrl(url: string | URL, allow: readonly string[]): string | undefined {
  const parsed = URL.parse(`${url}`);
  return parsed === null ? 'must be an https URL' : urlProblem(parsed, toAllowList(allow));
}

export function createOutbound({
  allow,
  timeoutMs = OUTBOUND_DEADLINE_MS,
  maxBytes = 1_000_000,
}: OutboundOptions): Outbound {
  const allowList = toAllowList(allow);
  /** By client certificate; most requests have none. */
  const agents = new LRUCache<string, Promise<Agent>>({
    max: MAX_AGENTS,
    dispose: (agent) => void agent.then((ready) => ready.close()),
  });
  /** Imports undici with the first request: it is as large as all other libraries together. */
  const createAgent = async (tls: OutboundRequest['tls']) => {
    // In a bundle, a CommonJS module that is imported late has no named exports.
    const { Agent, buildConnector } = (await import('undici')).default;
    return new Agent({
      connect: ssrfGuardedConnector(buildConnector, allowList, timeoutMs, tls),
      // More than requests can be open to one origin, slow ones included.
      connections: 1_024,
      // The one deadline below covers headers and body.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  };

  function agentFor(tls: OutboundRequest['tls']): Promise<Agent> {
    const existing = agents.get(tls?.cert ?? '');
    if (existing) return existing;
    const agent = createAgent(tls);
    agents.set(tls?.cert ?? '', agent);
    return agent;
  }

  const request = (to: string | URL, init: OutboundRequest = {}): Promise<WholeResponse> => {
    const url = URL.parse(`${to}`);
    const problem = url === null ? 'must be an https URL' : urlProblem(url, allowList);
    if (url === null || problem !== undefined)
      return Promise.reject(new OutboundError('blocked', `${url?.host ?? 'the URL'} ${problem}`, false));
    const { body, headers } = encode(init);
    const unsendable = Object.entries(headers).find(
      ([name, value]) => !HEADER_NAME.test(name) || !HEADER_VALUE.test(value),
    );
    if (unsendable)
      return Promise.reject(
        new OutboundError('blocked', `${url.host} cannot be sent the header ${unsendable[0]}`, false),
      );
    return new Promise((fulfil, reject) => {
      const handler = new ResponseHandler(url.host, maxBytes, fulfil, reject, init.mayStillSend);
      handler.startTimeout(init.timeoutMs ?? timeoutMs, init.signal ?? undefined);
      const dispatch = {
        origin: url.origin,
        path: url.pathname + url.search,
        method: init.method ?? 'GET',
        headers,
        body,
      };
      agentFor(init.tls)
        .then((ready) => ready.dispatch(dispatch as Dispatcher.DispatchOptions, handler))
        .catch((error: Error) => handler.onResponseError(undefined, error));
    });
  };
  return Object.assign(request, {
    close: async () => {
      await Promise.all([...agents.values()].map(async (agent) => (await agent).destroy()));
    },
  });
}

function encode({ body, headers }: OutboundRequest): {
  body: string | Uint8Array | null;
  headers: Record<string, string>;
} {
  // RFC 9110 12.5.3: without the field any coding is acceptable. Some servers compress nevertheless.
  const common = { 'user-agent': 'valetkey', 'accept-encoding': 'identity' };
  if (!(body instanceof URLSearchParams))
    return { body: body ?? null, headers: { ...common, ...lowerCaseNames(headers) } };
  const form = { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' };
  return { body: body.toString(), headers: { ...common, ...form, ...lowerCaseNames(headers) } };
}

const lowerCaseNames = (headers: Record<string, string> = {}) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
