// Gets tokens from the cache or the broker. Concurrent calls for the same token share one request (single flight).
import type { Broker } from './broker.ts';
import type { Cache, CacheEntry } from './cache.ts';
import { isReauthorizationRequired } from './errors.ts';
import { type ConnectionSelector, connectionPath, tokenPath } from './paths.ts';
import { orAborted } from './time.ts';
import type { CreateDpopProofRequest, DpopProof, Token } from './types.ts';

export type TokenRequest = ConnectionSelector & {
  /** Minimum remaining lifetime of the token, in seconds. Default: 60. */
  min_ttl?: number;
  /** Aborting rejects this call with the signal's reason. Other calls for the same token go on. */
  signal?: AbortSignal | null;
};

interface Abortable {
  signal?: AbortSignal | null | undefined;
}

/** `until`: when to stop waiting for a `Retry-After`, by `now`. All methods reject with `ValetkeyError`. */
export interface Tokens {
  token(request: TokenRequest, until?: number): Promise<Token>;
  /** Names the rejected token to the broker. If the broker has another one by now, returns that without a refresh. */
  refresh(rejected: Pick<Token, 'connection_id' | 'access_token'>, options?: Abortable, until?: number): Promise<Token>;
  /** A DPoP proof for one request (RFC 9449), with the token that it is bound to. */
  prove(
    connection: string,
    request: CreateDpopProofRequest,
    signal: AbortSignal | undefined,
    until: number,
  ): Promise<DpopProof>;
}

const DEFAULT_MIN_TTL = 60;
const OF_TOKEN = ['access_token', 'token_type', 'scopes', 'expires_in'] as const;

interface Parts {
  broker: Broker;
  cache: Cache;
  /** The default of `until`. */
  deadline: () => number;
}

export function createTokens({ broker, cache, deadline }: Parts): Tokens {
  /** Requests in flight. They belong to no single caller: a caller that aborts stops waiting, not the request. */
  const inFlight = new Map<string, Promise<CacheEntry>>();

  async function shared(
    key: string,
    request: () => Promise<CacheEntry>,
    signal: AbortSignal | null | undefined,
  ): Promise<Token> {
    let pending = inFlight.get(key);
    if (!pending) {
      pending = request().finally(() => inFlight.delete(key));
      inFlight.set(key, pending);
    }
    return cache.copyOf(await orAborted(pending, signal ?? undefined));
  }

  return {
    async token({ min_ttl, signal, ...selector }, until = deadline()) {
      signal?.throwIfAborted();
      const key = tokenPath(selector);
      const cached = cache.get(key, min_ttl ?? DEFAULT_MIN_TTL);
      if (cached) return cached;
      const path = min_ttl === undefined ? key : `${key}${key.includes('?') ? '&' : '?'}min_ttl=${min_ttl}`;
      const request = async () => {
        const options = { method: 'GET', path, expects: OF_TOKEN, deadline: until, repeatable: true } as const;
        const { body: token, sentAt } = await broker.ask<Token>(options);
        cache.put(key, { token, sentAt });
        return { token, sentAt };
      };
      return shared(path, request, signal);
    },

    async refresh({ connection_id, access_token }, { signal } = {}, until = deadline()) {
      signal?.throwIfAborted();
      const path = `${connectionPath(connection_id)}/refresh`;
      const request = async () => {
        const body = { rejected_token: access_token };
        try {
          const expects = OF_TOKEN;
          const options = { method: 'POST', path, body, expects, deadline: until, repeatable: true } as const;
          const { body: token, sentAt } = await broker.ask<Token>(options);
          cache.replace(access_token, { token, sentAt });
          return { token, sentAt };
        } catch (error) {
          cache.replace(access_token);
          throw error;
        }
      };
      return shared(JSON.stringify([path, access_token]), request, signal);
    },

    async prove(connection, request, signal, until) {
      const path = `${connectionPath(connection)}/dpop-proof`;
      const expects = ['proof', 'access_token', 'token_type'] as const;
      const options = { method: 'POST', path, body: request, expects, deadline: until, signal } as const;
      return (await broker.ask<DpopProof>({ ...options, repeatable: true })).body;
    },
  };
}

/** The connection has nothing to refresh (an API key), and the token may still be valid: the API's 401 is final. */
export const isNotRefreshable = (error: unknown): boolean =>
  isReauthorizationRequired(error) && error.reason === 'not_refreshable';
