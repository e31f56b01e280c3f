// The public API of the client: tokens and connect links from the broker, and requests to APIs with them. It imports
// only its own files and uses only web APIs, so that it runs in Node, Bun, Deno and workers.
import { createApis } from './api.ts';
import { createSending } from './api-sending.ts';
import type { Api, ApiOptions } from './api-types.ts';
import { createBroker, type Fetch } from './broker.ts';
import { createCache } from './cache.ts';
import type { Key } from './caller-key.ts';
import { isReauthorizationRequired, isTemporary, mustConnect, ValetkeyError } from './errors.ts';
import { createAuthorizedFetch } from './fetch.ts';
import { type ConnectionSelector, sessionPath, sessionsPath } from './paths.ts';
import { requireSecureUrl } from './secure-url.ts';
import { wait as realWait, type Wait } from './time.ts';
import { createTokens, type TokenRequest } from './tokens.ts';
import type {
  ConnectSession,
  CreateConnectSessionRequest,
  CreatedConnectSession,
  CreatedPortalSession,
  CreatePortalSessionRequest,
  FinishConnectSessionRequest,
  FinishedConnectSession,
  JwtVerdict,
  Token,
  VerifyJwtRequest,
} from './types.ts';

export {
  ApiError,
  InvalidPath,
  RateLimited,
  ReauthorizationRequired,
  type RenewalRequest,
  UpstreamTimeout,
  UpstreamUnavailable,
} from './api-errors.ts';
export type { Pagination } from './api-pages.ts';
export type { CallOptions, Query } from './api-request.ts';
export type { Api, ApiOptions, ApiResponse, CallWithBody, CallWithoutBody, PagesOptions } from './api-types.ts';
export { type ErrorCode, isReauthorizationRequired, mustConnect, ValetkeyError } from './errors.ts';
export { type VerifyWebhookOptions, verifyWebhook, type WebhookEvent, type WebhookHeaders } from './webhooks.ts';
export type {
  ConnectionSelector,
  ConnectSession,
  CreatedConnectSession,
  CreatedPortalSession,
  CreatePortalSessionRequest,
  FinishConnectSessionRequest,
  FinishedConnectSession,
  JwtVerdict,
  Token,
  TokenRequest,
};

export interface ValetkeyOptions {
  /** The URL of the broker. */
  url: string | URL;
  /** The caller key; or a function that is called for each request, for a key that rotates or a workload's JWT. */
  key: Key;
  /** Seconds that a token is cached at most, and so the longest time until a revocation takes effect. Default: 60. 0: no cache. */
  cacheFor?: number;
  /** Seconds that a call waits at most, in all, when the broker or an API answers with `Retry-After`. Default: 10. */
  maxWait?: number;
  /** Timeout of one request to the broker, in seconds. Default: 30. */
  timeout?: number;
  /** Hosts, besides loopback, to which secrets may be sent without TLS: `['valetkey.internal']`. */
  allowHttp?: readonly string[];
  /** Replaces the global `fetch`: for a proxy, mutual TLS, tests. */
  fetch?: Fetch;
  /** A monotonic clock in milliseconds, and a way to wait by it; for tests. */
  now?: () => number;
  wait?: Wait;
}

/** For an owner at an integration, or at one of several that the owner chooses, or to renew one connection. */
export type ConnectRequest = CreateConnectSessionRequest &
  (
    | Required<Pick<CreateConnectSessionRequest, 'integration' | 'owner'>>
    | Required<Pick<CreateConnectSessionRequest, 'integrations' | 'owner'>>
    | Required<Pick<CreateConnectSessionRequest, 'connection_id'>>
  );

/** All methods reject with `ValetkeyError`, or with the reason of an aborted signal. */
export interface Valetkey {
  /**
   * A valid access token, from the cache if possible.
   *
   * @example
   * const { access_token } = await valetkey.token({ integration: 'github', owner: 'user_42', min_ttl: 300 });
   */
  token(request: TokenRequest): Promise<Token>;
  /**
   * A new token in place of one that an API rejected. Concurrent calls cause one refresh.
   *
   * @example
   * const fresh = await valetkey.refresh(token);
   */
  refresh(rejected: Pick<Token, 'connection_id' | 'access_token'>, options?: Abortable): Promise<Token>;
  /**
   * Calls to the API of a connection through the broker, without a token: the broker attaches it, refreshes it, keeps within
   * the limits of the API and repeats what is safe. `connection`: its id, or as for `token`. `options`: of all these calls.
   *
   * @example
   * const api = valetkey.api({ integration: 'github', owner: 'user_42' }, { retry: 2, maxWait: 30 });
   * for await (const repos of api.pages<Repo[]>('/user/repos')) console.log(repos.length);
   */
  api(connection: string | ConnectionSelector, options?: ApiOptions): Api;
  /**
   * Like the global `fetch`, with the token attached as its `token_type` says. The token is sent to the origin of `url`
   * only. After a 401, repeats the request once with a new token; after a 429 or 503 with `Retry-After`, once if the
   * method is idempotent. A body that is a stream is sent once: then these responses are returned as they are.
   *
   * @example
   * const response = await valetkey.fetch({ connection: 'con_01k…' }, 'https://api.github.com/user');
   */
  fetch(connection: ConnectionSelector, url: string | URL, init?: RequestInit): Promise<Response>;
  /**
   * Creates a connect session: a single-use link for the owner's browser. With the error of a failed call, the link
   * resolves that error (a connection keeps its id if possible); rejects with the error itself if connecting would not.
   *
   * @example
   * const { id, url } = await valetkey.connectUrl({ integration: 'github', owner: 'user_42' }, error);
   */
  connectUrl(request: ConnectRequest & Abortable, error?: unknown): Promise<CreatedConnectSession>;
  /**
   * Connects the account of a connect session with `finish: true`, when the browser has come to the `return_url` with
   * `status=confirm`. `owner` is who is signed in to your app in that browser; another owner than that of the session is
   * `owner_mismatch`. The same code has the same result again.
   *
   * @example
   * const { connection_id } = await valetkey.finish(connect_session_id, { finish_code, owner: user.id });
   */
  finish(id: string, request: FinishConnectSessionRequest & Abortable): Promise<FinishedConnectSession>;
  /**
   * The connect sessions of the last day that the caller may see, oldest first, page by page.
   *
   * @example
   * for await (const session of valetkey.connectSessions({ owner: 'user_42', status: 'pending' })) console.log(session.id);
   */
  connectSessions(filter?: ConnectSessionFilter & Abortable): AsyncIterable<ConnectSession>;
  /**
   * Cancels a connect session: its link stops working, and a grant that waits for its finish is given up. Without effect on
   * one that has ended; `status` says how.
   *
   * @example
   * await valetkey.cancelConnect(id);
   */
  cancelConnect(id: string, options?: Abortable): Promise<ConnectSession>;
  /**
   * Creates a portal session: a single-use link to the page on which an owner sees, renews and ends their own connections.
   *
   * @example
   * const { url } = await valetkey.createPortalSession({ owner: 'user_42', return_url: 'https://app.example.com/settings' });
   */
  createPortalSession(request: CreatePortalSessionRequest & Abortable): Promise<CreatedPortalSession>;
  /**
   * Waits until the owner has used the link of this connect session. Rejects with `not_connected` if the session failed
   * or expired. While the broker that has answered is away, as in a restart, it waits for a minute more.
   *
   * @example
   * const { connection_id } = await valetkey.connected(id);
   */
  connected(id: string, options?: Abortable): Promise<{ connection_id: string }>;
  /**
   * Verifies a JWT of a trusted issuer, and checks the expectations: `audience`, `profile`, `claims`, …
   *
   * @example
   * const result = await valetkey.verify(jwt, { audience: 'https://api.example.com' });
   * if (result.active) console.log(result.claims.sub);
   */
  verify(token: string, expected?: Omit<VerifyJwtRequest, 'token'> & Abortable): Promise<JwtVerdict>;
}

interface Abortable {
  signal?: AbortSignal;
}

export interface ConnectSessionFilter {
  integration?: string;
  owner?: string;
  status?: ConnectSession['status'];
}

interface ConnectSessionPage {
  data: ConnectSession[];
  next_cursor: string | null;
}

const MAX_ENTRIES = 1_000;
const POLL_INTERVAL_MS = 2_000;
/** How long a wait for an owner goes on without an answer. */
const AWAY_MS = 60_000;
const OF_SESSION = ['id', 'status'] as const;

/**
 * Creates a client. Throws `insecure_url` if the broker's URL is plain http, unless its host is loopback or in
 * `allowHttp`; `invalid_request` if an option is not what it has to be.
 *
 * @example
 * const valetkey = createValetkey({ url: 'https://keys.example.com', key: 'vk_…' });
 */
export function createValetkey(options: ValetkeyOptions): Valetkey {
  const { key, cacheFor = 60, maxWait = 10, timeout = 30, allowHttp = [] } = options;
  const { now = () => performance.now(), wait = realWait } = options;
  const fetch: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  if (!URL.canParse(String(options.url)))
    throw unusable('url', options.url === undefined ? 'missing' : 'not a URL such as https://keys.example.com');
  const base = new URL(options.url);
  requireSecureUrl(base, allowHttp);
  if (!(timeout > 0)) throw unusable('timeout', 'not a number of seconds above 0');
  for (const [name, seconds] of Object.entries({ cacheFor, maxWait }))
    if (!(seconds >= 0)) throw unusable(name, 'not a number of seconds');

  const url = base.origin + base.pathname.replace(/\/+$/, '');
  const deadline = () => now() + maxWait * 1_000;
  const broker = createBroker({ url, key, fetch, now, wait, timeoutMs: timeout * 1_000 });
  const cache = createCache({ now, maxAgeMs: cacheFor * 1_000, maxEntries: MAX_ENTRIES });
  const tokens = createTokens({ broker, cache, deadline });
  const sending = createSending({ url, key, fetch, now, wait, timeoutMs: timeout * 1_000, connect });

  async function connect(connection_id: string, request: object): Promise<CreatedConnectSession> {
    return createSession({ connection_id, ...request });
  }

  async function createSession(body: object, signal?: AbortSignal): Promise<CreatedConnectSession> {
    const [path, expects] = ['/v1/connect-sessions', ['id', 'url']] as const;
    const options = { method: 'POST', path, body, expects, deadline: deadline(), signal } as const;
    return (await broker.ask<CreatedConnectSession>(options)).body;
  }

  return {
    api: createApis({ sending, broker, now, deadline, maxWait }),
    token: (request) => tokens.token(request),
    refresh: (rejected, { signal } = {}) => tokens.refresh(rejected, { signal }),
    fetch: createAuthorizedFetch({ tokens, fetch, now, wait, deadline, allowHttp }),

    async connectUrl({ signal, ...request }, error) {
      if (error !== undefined && !mustConnect(error)) throw error;
      const renewal = isReauthorizationRequired(error) ? { connection_id: error.connectionId } : {};
      return createSession({ ...renewal, ...request }, signal);
    },

    async finish(id, { signal, ...body }) {
      const [path, expects] = [`${sessionPath(id)}/finish`, ['status', 'connection_id']] as const;
      const options = { method: 'POST', path, body, expects, deadline: deadline(), signal } as const;
      return (await broker.ask<FinishedConnectSession>({ ...options, repeatable: true })).body;
    },

    async *connectSessions({ signal, ...filter } = {}) {
      let cursor: string | undefined;
      do {
        const [path, expects] = [sessionsPath({ ...filter, cursor }), ['data']] as const;
        const options = { method: 'GET', path, expects, deadline: deadline(), signal } as const;
        const { data, next_cursor } = (await broker.ask<ConnectSessionPage>({ ...options, repeatable: true })).body;
        yield* data;
        cursor = next_cursor ?? undefined;
      } while (cursor !== undefined);
    },

    async cancelConnect(id, { signal } = {}) {
      const [path, expects] = [sessionPath(id), OF_SESSION];
      const options = { method: 'DELETE', path, expects, deadline: deadline(), signal } as const;
      return (await broker.ask<ConnectSession>({ ...options, repeatable: true })).body;
    },

    async createPortalSession({ signal, ...body }) {
      const [path, expects] = ['/v1/portal-sessions', ['url']] as const;
      const options = { method: 'POST', path, body, expects, deadline: deadline(), signal } as const;
      return (await broker.ask<CreatedPortalSession>(options)).body;
    },

    async connected(id, { signal } = {}) {
      const path = sessionPath(id);
      let answeredAt = Number.NEGATIVE_INFINITY;
      for (;;) {
        const options = { method: 'GET', path, expects: OF_SESSION, deadline: deadline(), signal } as const;
        const answer = await broker.ask<ConnectSession>({ ...options, repeatable: true }).catch((error: unknown) => {
          if (!isTemporary(error) || now() - answeredAt > AWAY_MS) throw error;
        });
        if (answer !== undefined) {
          answeredAt = now();
          const { status, connection_id, error } = answer.body;
          if (status === 'completed' && connection_id !== undefined) return { connection_id };
          if (status !== 'pending' && status !== 'awaiting_finish') throw notConnected(error ?? status);
        }
        await wait(POLL_INTERVAL_MS, signal);
      }
    },

    async verify(token, { signal, ...expected } = {}) {
      const [path, expects, body] = ['/v1/jwt/verify', ['active'], { token, ...expected }] as const;
      const options = { method: 'POST', path, body, expects, deadline: deadline(), signal } as const;
      return (await broker.ask<JwtVerdict>({ ...options, repeatable: true })).body;
    },
  };
}

const unusable = (option: string, why: string): ValetkeyError =>
  new ValetkeyError({ code: 'invalid_request', status: 0, detail: `The option "${option}" is ${why}` });

const notConnected = (reason: string): ValetkeyError => {
  const detail = `The connect session ended without a connection: ${reason}`;
  return new ValetkeyError({ code: 'not_connected', status: 0, detail, reason });
};
