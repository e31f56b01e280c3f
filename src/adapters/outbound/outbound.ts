// The guarded way out: every request that the broker makes goes through here. It reaches public addresses over https
// (and the exceptions that the operator names), follows no redirect, and ends within a time and a size.
import { lookup as resolve } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { OUTBOUND_DEADLINE_MS } from '../../domain/time-limits.ts';
import { type Exceptions, exceptionsOf, isListedHost, isReachable, urlProblem } from './addresses.ts';

/** Client certificates that are kept connected at once. */
const MAX_AGENTS = 100;

export { parseAllow } from './addresses.ts';

export interface OutboundRequest {
  method?: string | undefined;
  headers?: Record<string, string> | undefined;
  body?: string | Uint8Array | URLSearchParams | null | undefined;
  signal?: AbortSignal | null | undefined;
  /** PEM. The client's certificate, shown where the server asks for one (RFC 8705). */
  tls?: { cert: string; key: string } | undefined;
  /** Where this one is to end sooner than all others. */
  timeoutMs?: number | undefined;
}

type AnswerHeaders = NodeJS.Dict<string | string[]>;

/**
 * An answer whose body has been read already, in the form that libraries expect of a fetch, as far as they look at it:
 * they know a `Response` by its tag too. A real one, its headers and its stream cost more than all the rest of a
 * request. `text`, `json` and `clone` may be asked for as often as wanted.
 */
export class WholeResponse {
  readonly status: number;
  readonly body = null;
  readonly bodyUsed = false;
  readonly #content: string | Record<string, unknown>;
  readonly #given: AnswerHeaders;
  #headers: Headers | undefined;

  /** `content`: text, or what its JSON says. */
  constructor(content: string | Record<string, unknown>, status: number, headers: AnswerHeaders = {}) {
    this.#content = content;
    this.status = status;
    this.#given = headers;
  }

  get [Symbol.toStringTag](): string {
    return 'Response';
  }
  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }
  /** Made when first asked for: of most answers, nobody does. */
  get headers(): Headers {
    this.#headers ??= new Headers(flat(this.#given));
    return this.#headers;
  }
  /** By its lower-case name, without making all of them. */
  header(name: string): string | undefined {
    return [this.#given[name]].flat()[0];
  }
  async text(): Promise<string> {
    return typeof this.#content === 'string' ? this.#content : JSON.stringify(this.#content);
  }
  async json(): Promise<unknown> {
    return typeof this.#content === 'string' ? JSON.parse(this.#content) : this.#content;
  }
  clone(): WholeResponse {
    return new WholeResponse(this.#content, this.status, this.#given);
  }
  without(header: string): WholeResponse {
    const { [header]: _, ...others } = this.#given;
    return new WholeResponse(this.#content, this.status, others);
  }
  /** For libraries whose types ask for the whole of one. */
  get asResponse(): Response {
    return this as unknown as Response;
  }
}

/** Rejects with an `OutboundError`, nothing else. */
export type Outbound = ((url: string | URL, init?: OutboundRequest) => Promise<WholeResponse>) & {
  close(): Promise<void>;
};

export class OutboundError extends Error {
  override name = 'OutboundError';
  readonly code: 'blocked' | 'timeout' | 'too_large' | 'redirect' | 'network';
  /** False only when surely nothing of the request reached the other side. */
  readonly sent: boolean;
  constructor(code: OutboundError['code'], message: string, sent: boolean, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.sent = sent;
  }
}

/** A problem of the URL in words, for checks at configuration time; undefined when it may be requested. */
export function checkUrl(url: string | URL, allow: readonly string[]): string | undefined {
  const parsed = URL.parse(`${url}`);
  return parsed === null ? 'must be an https URL' : urlProblem(parsed, exceptionsOf(allow));
}

/** `allow`: entries that `parseAllow` accepts. `timeoutMs` bounds everything from the call to the body's last byte. */
export function createOutbound(options: { allow: readonly string[]; timeoutMs?: number; maxBytes?: number }): Outbound {
  const { allow, timeoutMs = OUTBOUND_DEADLINE_MS, maxBytes = 1_000_000 } = options;
  const exceptions = exceptionsOf(allow);
  /** By the certificate that is shown; most show none. */
  const agents = new LRUCache<string, Promise<Agent>>({
    max: MAX_AGENTS,
    dispose: (agent) => void agent.then((open) => open.close()),
  });
  /** With the first request: the library is as large as all others together. */
  const opened = async (tls: OutboundRequest['tls']) => {
    // In a bundle, CommonJS that is loaded late has no names of its own.
    const { Agent, buildConnector } = (await import('undici')).default;
    return new Agent({
      connect: guarded(buildConnector, exceptions, timeoutMs, tls),
      connections: 256,
      // The one deadline below covers headers and body.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  };

  function agentFor(tls: OutboundRequest['tls']): Promise<Agent> {
    const known = agents.get(tls?.cert ?? '');
    if (known) return known;
    const agent = opened(tls);
    agents.set(tls?.cert ?? '', agent);
    return agent;
  }

  const request = (to: string | URL, init: OutboundRequest = {}): Promise<WholeResponse> => {
    const url = URL.parse(`${to}`);
    const problem = url === null ? 'must be an https URL' : urlProblem(url, exceptions);
    if (url === null || problem !== undefined)
      return Promise.reject(new OutboundError('blocked', `${url?.host ?? 'the URL'} ${problem}`, false));
    return new Promise((fulfil, reject) => {
      const exchange = new Exchange(url.host, maxBytes, fulfil, reject);
      exchange.limit(Math.min(timeoutMs, init.timeoutMs ?? timeoutMs), init.signal ?? undefined);
      const { body, headers } = encode(init);
      const sending = {
        origin: url.origin,
        path: url.pathname + url.search,
        method: init.method ?? 'GET',
        headers,
        body,
      };
      agentFor(init.tls)
        .then((open) => open.dispatch(sending as Dispatcher.DispatchOptions, exchange))
        .catch((error: Error) => exchange.onResponseError(undefined, error));
    });
  };
  return Object.assign(request, {
    close: async () => {
      await Promise.all([...agents.values()].map(async (agent) => (await agent).close()));
    },
  });
}

function encode({ body, headers }: OutboundRequest): {
  body: string | Uint8Array | null;
  headers: Record<string, string>;
} {
  // RFC 9110 12.5.3: without the field any coding is acceptable, and a compressed answer could be a bomb.
  const common = { 'user-agent': 'valetkey', 'accept-encoding': 'identity' };
  if (!(body instanceof URLSearchParams)) return { body: body ?? null, headers: { ...common, ...lowerCased(headers) } };
  const form = { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' };
  return { body: body.toString(), headers: { ...common, ...form, ...lowerCased(headers) } };
}

const lowerCased = (headers: Record<string, string> = {}) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

/**
 * Opens sockets only to addresses that may be reached. The check sits in the socket's own DNS lookup, so that the
 * address that was checked is the one that is connected to: a name that resolves differently a moment later gains
 * nothing. Literal addresses are not looked up; `urlProblem` has judged them.
 */
function guarded(
  build: typeof buildConnector,
  exceptions: Exceptions,
  timeout: number,
  tls: OutboundRequest['tls'],
): buildConnector.connector {
  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0);
      const refused = isListedHost(hostname, exceptions)
        ? undefined
        : addresses.find(({ address }) => !isReachable(address, exceptions));
      const [first] = addresses;
      if (refused !== undefined || first === undefined) {
        const why = `${hostname} resolves to an address that is not public`;
        return callback(new OutboundError('blocked', why, false), '', 0);
      }
      if (options.all) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
  const connect = build({ lookup, timeout, allowH2: false, ...tls });
  return (target, callback) =>
    connect(target, (...[error, socket]) => {
      if (error === null) return callback(null, socket);
      // Whatever failed before the socket was ready (DNS, TCP, TLS), the request had not been written.
      callback(error instanceof OutboundError ? error : failure(target.host ?? target.hostname, error, false), null);
    });
}

function failure(host: string, cause: Error, sent: boolean): OutboundError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT')
    return new OutboundError('timeout', `${host} took too long to connect`, sent);
  return new OutboundError('network', `${host} could not be reached (${code ?? cause.name})`, sent);
}

/** As a fetch decodes: without a byte order mark, and what is no UTF-8 replaced. */
const utf8 = new TextDecoder();

const flat = (headers: AnswerHeaders): [string, string][] =>
  Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().map((one): [string, string] => [name, one]));

/** Why an answer is not taken; undefined when it is. */
function refusal(status: number, headers: AnswerHeaders): [OutboundError['code'], string] | undefined {
  if (status >= 300 && status < 400) return ['redirect', `answered with a redirect (${status})`];
  if (status > 599) return ['network', `answered with the unknown status ${status}`];
  const coding = headers['content-encoding'] ?? 'identity';
  return coding === 'identity' ? undefined : ['network', 'answered with a content encoding that was not asked for'];
}

/** One request and its answer. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #host: string;
  readonly #maxBytes: number;
  readonly #fulfil: (response: WholeResponse) => void;
  readonly #reject: (error: OutboundError) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #failed: OutboundError | undefined;
  #release: () => void = () => {};
  #status = 0;
  #headers: AnswerHeaders = {};
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(
    host: string,
    maxBytes: number,
    fulfil: (response: WholeResponse) => void,
    reject: (error: OutboundError) => void,
  ) {
    this.#host = host;
    this.#maxBytes = maxBytes;
    this.#fulfil = fulfil;
    this.#reject = reject;
  }

  limit(timeoutMs: number, signal: AbortSignal | undefined): void {
    const timer = setTimeout(() => this.#fail('timeout', `gave no whole answer within ${timeoutMs} ms`), timeoutMs);
    const abort = () => this.#fail('timeout', 'was not waited for any longer');
    this.#release = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) abort();
  }

  /** The request is about to be written; from here on it may have arrived. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#failed) controller.abort(this.#failed);
    else this.#controller = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: AnswerHeaders): void {
    const refused = refusal(status, headers);
    if (refused) this.#fail(...refused);
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) this.#fail('too_large', `answered with more than ${this.#maxBytes} bytes`);
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#failed) return;
    this.#release();
    const text = utf8.decode(this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks));
    this.#fulfil(new WholeResponse(text, this.#status, this.#headers));
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#settle(error instanceof OutboundError ? error : failure(this.#host, error, this.#controller !== undefined));
  }

  #fail(code: OutboundError['code'], what: string): void {
    const error = new OutboundError(code, `${this.#host} ${what}`, this.#controller !== undefined);
    this.#settle(error);
    this.#controller?.abort(error);
  }

  #settle(error: OutboundError): void {
    if (this.#failed) return;
    this.#failed = error;
    this.#chunks = [];
    this.#release();
    this.#reject(error);
  }
}
