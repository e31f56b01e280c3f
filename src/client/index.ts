// The client: tokens and connect links from the broker, and requests to APIs with them. Imports nothing but its own
// files and asks of its runtime only what the web has, so that it runs in Node, Bun, Deno and workers.
import { createBroker, type Fetch } from './broker.ts';
import { createCache } from './cache.ts';
import { isReauthorizationRequired, mustConnect, ValetkeyError } from './errors.ts';
import { createAuthorisedFetch } from './fetch.ts';
import { sessionPath, type Which } from './paths.ts';
import { refuseInsecure } from './plain-http.ts';
import { wait as realWait, type Wait } from './time.ts';
import { createTokens, type TokenRequest } from './tokens.ts';
import type {
  ConnectSession,
  CreateConnectSessionRequest,
  CreatedConnectSession,
  JwtVerdict,
  Token,
  VerifyJwtRequest,
} from './types.ts';

export { type ErrorCode, isReauthorizationRequired, mustConnect, ValetkeyError } from './errors.ts';
export type { ConnectSession, CreatedConnectSession, JwtVerdict, Token, TokenRequest, Which };

export interface ValetkeyOptions {
  /** Of the broker. */
  url: string | URL;
  /** The caller key; or a function that is asked before each request, for one that is rotated or a workload's JWT. */
  key: string | (() => string | Promise<string>);
  /** Seconds that a token is kept in memory at the most, and so the longest that a revocation goes unnoticed: 60. 0: none. */
  cacheFor?: number;
  /** Seconds that a call spends waiting because the broker or an API said `Retry-After`, in all: 10. */
  maxWait?: number;
  /** Seconds that one request to the broker may take: 30. */
  timeout?: number;
  /** Hosts, besides loopback, that secrets may be sent to without TLS: `['valetkey.internal']`. */
  allowHttp?: readonly string[];
  /** In the place of the global one: for a proxy, mutual TLS, tests. */
  fetch?: Fetch;
  /** A monotonic clock in milliseconds, and waiting by it; for tests. */
  now?: () => number;
  wait?: Wait;
}

export interface Valetkey {
  /** A token that works, from memory where there is one. Its failures are `ValetkeyError`; so are those of all others. */
  token(request: TokenRequest): Promise<Token>;
  /** Another token in the place of one that an API rejected. Many may ask: one refresh is made. */
  refresh(rejected: Pick<Token, 'connection_id' | 'access_token'>, options?: Signal): Promise<Token>;
  /**
   * `fetch` with the token added as its `token_type` says; it goes to the origin of `url` and nowhere else. After a 401,
   * once more with another token; after a 429 or 503 that says `Retry-After`, once more where the method is idempotent.
   * A body that is a stream is sent once: then those answers come back as they are.
   */
  fetch(which: Which, url: string | URL, init?: RequestInit): Promise<Response>;
  /**
   * A link for the owner's browser, for one use. With the error of a call that was refused: a link that mends it (the
   * connection keeps its id where it can), or the error again where connecting would not help.
   */
  connectUrl(wanted: CreateConnectSessionRequest & Signal, after?: unknown): Promise<CreatedConnectSession>;
  /** Waits until the owner has used the link of this id. Rejects with `not_connected` where nothing came of it. */
  connected(id: string, options?: Signal): Promise<{ connection_id: string }>;
  /** What a JWT is worth, and whether it is what is expected: `audience`, `profile`, `claims`, … */
  verify(token: string, expected?: Omit<VerifyJwtRequest, 'token'> & Signal): Promise<JwtVerdict>;
}

interface Signal {
  signal?: AbortSignal;
}

const MAX_ENTRIES = 1_000;
const LOOK_EVERY_MS = 2_000;

/** Throws `insecure_url` for a broker at plain http elsewhere than on this machine or in `allowHttp`. */
export function createValetkey(options: ValetkeyOptions): Valetkey {
  const { key, cacheFor = 60, maxWait = 10, timeout = 30, allowHttp = [] } = options;
  const { now = () => performance.now(), wait = realWait } = options;
  const fetch: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  const base = new URL(options.url);
  refuseInsecure(base, allowHttp);

  const url = base.origin + base.pathname.replace(/\/+$/, '');
  const deadline = () => now() + maxWait * 1_000;
  const broker = createBroker({ url, key, fetch, now, wait, timeoutMs: timeout * 1_000 });
  const cache = createCache({ now, keepMs: cacheFor * 1_000, maxEntries: MAX_ENTRIES });
  const tokens = createTokens({ broker, cache, deadline });

  return {
    token: (request) => tokens.token(request),
    refresh: (rejected, { signal } = {}) => tokens.refresh(rejected, { signal }),
    fetch: createAuthorisedFetch({ tokens, fetch, now, wait, deadline, allowHttp }),

    async connectUrl({ signal, ...wanted }, after) {
      if (after !== undefined && !mustConnect(after)) throw after;
      const renewed = isReauthorizationRequired(after) ? { connection_id: after.connectionId } : {};
      const body = { ...renewed, ...wanted };
      const asked = { method: 'POST', path: '/v1/connect-sessions', body, deadline: deadline(), signal } as const;
      return (await broker.ask<CreatedConnectSession>(asked)).body;
    },

    async connected(id, { signal } = {}) {
      const path = sessionPath(id);
      for (;;) {
        const asked = { method: 'GET', path, deadline: deadline(), signal, repeatable: true } as const;
        const { status, connection_id, error } = (await broker.ask<ConnectSession>(asked)).body;
        if (status === 'completed' && connection_id !== undefined) return { connection_id };
        if (status !== 'pending') throw notConnected(error ?? status);
        await wait(LOOK_EVERY_MS, signal);
      }
    },

    async verify(token, { signal, ...expected } = {}) {
      const body = { token, ...expected };
      const asked = { method: 'POST', path: '/v1/jwt/verify', body, deadline: deadline(), signal } as const;
      return (await broker.ask<JwtVerdict>({ ...asked, repeatable: true })).body;
    },
  };
}

const notConnected = (reason: string): ValetkeyError => {
  const detail = `The owner's visit ended without a connection: ${reason}`;
  return new ValetkeyError({ code: 'not_connected', status: 0, detail, reason });
};
