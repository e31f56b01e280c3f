// The outbound HTTP client: every request that the broker makes goes through it. It is guarded against SSRF (https to
// public addresses, and the operator's allow list), follows no redirect, and has a deadline and a size limit.
import type { Agent, Dispatcher } from 'undici';
import { OUTBOUND_DEADLINE_MS } from '../../domain/time-limits.ts';
import { type AgentOptions, type ClientCertificate, createAgents } from './agents.ts';
import { type EgressProxies, NO_PROXIES } from './egress-proxy.ts';
import { OutboundError } from './outbound-error.ts';
import { ResponseHandler } from './response-handler.ts';
import { toAllowList, urlProblem } from './ssrf-guard.ts';
import type { WholeResponse } from './whole-response.ts';

/** RFC 9110 5.1, 5.5. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export { type EgressProxies, parseNoProxy, parseProxyUrl } from './egress-proxy.ts';
export { OutboundError } from './outbound-error.ts';
export { parseAllow } from './ssrf-guard.ts';
export { WholeResponse } from './whole-response.ts';

export interface OutboundRequest {
  method?: string | undefined;
  headers?: Record<string, string> | undefined;
  body?: string | Uint8Array | URLSearchParams | null | undefined;
  signal?: AbortSignal | null | undefined;
  /** For servers that ask for one (RFC 8705). */
  tls?: ClientCertificate | undefined;
  /** The deadline of this request, in place of the general one. A connection must be made within the general one. */
  timeoutMs?: number | undefined;
  /** Reads no more of the body than this, in place of the general limit; a longer one is cut off, and not refused. */
  cutOffAt?: number | undefined;
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

export interface OutboundOptions extends Pick<AgentOptions, 'onFirstUse'> {
  /** Entries that `parseAllow` accepts. */
  allow: readonly string[];
  /** From the call to the last byte of the body; 10 seconds by default. */
  timeoutMs?: number;
  /** Of the body, before and after its content codings are decoded; a megabyte by default. */
  maxBytes?: number;
  /** By default there is none. */
  proxies?: EgressProxies;
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
  proxies = NO_PROXIES,
  onFirstUse,
}: OutboundOptions): Outbound {
  // More connections than requests can be open to one origin, slow ones included.
  const { routeTo, agentFor, close } = createAgents({
    allow,
    proxies,
    connectTimeoutMs: timeoutMs,
    connections: 1_024,
    onFirstUse,
  });

  const request = (to: string | URL, init: OutboundRequest = {}): Promise<WholeResponse> => {
    const url = typeof to === 'string' ? URL.parse(to) : to;
    const route = url === null ? 'must be an https URL' : routeTo(url);
    if (url === null || typeof route === 'string')
      return Promise.reject(new OutboundError('blocked', `${url?.host ?? 'the URL'} ${route}`, false));
    const { body, headers, unsendable } = encode(init);
    if (unsendable !== undefined)
      return Promise.reject(new OutboundError('blocked', `${url.host} cannot be sent the header ${unsendable}`, false));
    return new Promise((fulfil, reject) => {
      const handler = new ResponseHandler({
        ...{ host: url.host, maxBytes: init.cutOffAt ?? maxBytes, resolve: fulfil, reject },
        isCutOff: init.cutOffAt !== undefined,
        mayStillSend: init.mayStillSend,
        isProxied: route.way === 'forward',
      });
      handler.startTimeout(init.timeoutMs ?? timeoutMs, init.signal ?? undefined);
      const dispatch = {
        origin: url.origin,
        path: route.pathPrefix + url.pathname + url.search,
        method: init.method ?? 'GET',
        headers: Object.assign(headers, route.headers),
        body,
      };
      const send = (agent: Agent) => agent.dispatch(dispatch as Dispatcher.DispatchOptions, handler);
      const failed = (error: Error) => handler.onResponseError(undefined, error);
      const agent = agentFor(route.way, init.tls);
      if (agent instanceof Promise) return void agent.then(send).catch(failed);
      try {
        send(agent);
      } catch (error) {
        failed(error as Error);
      }
    });
  };

  return Object.assign(request, { close });
}

/** `unsendable`: the name of a header that HTTP does not allow, or not with its value. */
function encode({ body, headers: given = {} }: OutboundRequest): {
  body: string | Uint8Array | null;
  headers: Record<string, string>;
  unsendable: string | undefined;
} {
  const isForm = body instanceof URLSearchParams;
  // RFC 9110 12.5.3: without the field any coding is acceptable. Some servers compress nevertheless.
  const headers: Record<string, string> = { 'user-agent': 'valetkey', 'accept-encoding': 'identity' };
  if (isForm) headers['content-type'] = 'application/x-www-form-urlencoded;charset=UTF-8';
  let unsendable: string | undefined;
  for (const name of Object.keys(given)) {
    const value = given[name]!;
    if (!HEADER_NAME.test(name) || !HEADER_VALUE.test(value)) unsendable ??= name.toLowerCase();
    headers[name.toLowerCase()] = value;
  }
  return { body: isForm ? body.toString() : (body ?? null), headers, unsendable };
}
