// Asking for tokens: from memory, in one request for a crowd, and another one for a token that an API rejected.
import type { Broker } from './broker.ts';
import type { Cache, Kept } from './cache.ts';
import { isReauthorizationRequired } from './errors.ts';
import { connectionPath, tokenPath, type Which } from './paths.ts';
import { orAborted } from './time.ts';
import type { CreateDpopProofRequest, DpopProof, Token } from './types.ts';

export type TokenRequest = Which & {
  /** Seconds that the token must still live: 60 by default. */
  min_ttl?: number;
  signal?: AbortSignal | null;
};

export type Tokens = ReturnType<typeof createTokens>;

const MIN_TTL = 60;

export function createTokens({ broker, cache, deadline }: { broker: Broker; cache: Cache; deadline: () => number }) {
  /** Requests under way, which belong to nobody: who does not want to wait any longer leaves the others in peace. */
  const underWay = new Map<string, Promise<Kept>>();

  async function together(
    key: string,
    ask: () => Promise<Kept>,
    signal: AbortSignal | null | undefined,
  ): Promise<Token> {
    let asking = underWay.get(key);
    if (!asking) {
      asking = ask().finally(() => underWay.delete(key));
      underWay.set(key, asking);
    }
    return cache.told(await orAborted(asking, signal ?? undefined));
  }

  return {
    async token({ min_ttl, signal, ...which }: TokenRequest, until = deadline()): Promise<Token> {
      signal?.throwIfAborted();
      const key = tokenPath(which);
      const known = cache.get(key, min_ttl ?? MIN_TTL);
      if (known) return known;
      const path = min_ttl === undefined ? key : `${key}${key.includes('?') ? '&' : '?'}min_ttl=${min_ttl}`;
      const ask = async () => {
        const asked = { method: 'GET', path, deadline: until, repeatable: true } as const;
        const { body: token, sentAt } = await broker.ask<Token>(asked);
        cache.put(key, { token, sentAt });
        return { token, sentAt };
      };
      return together(path, ask, signal);
    },

    /** Compare and swap: when the broker has another one than the rejected already, that one is the answer. */
    async refresh(
      { connection_id, access_token }: Pick<Token, 'connection_id' | 'access_token'>,
      { signal }: { signal?: AbortSignal | null | undefined } = {},
      until = deadline(),
    ): Promise<Token> {
      signal?.throwIfAborted();
      const path = `${connectionPath(connection_id)}/refresh`;
      const ask = async () => {
        const body = { rejected_token: access_token };
        try {
          const asked = { method: 'POST', path, body, deadline: until, repeatable: true } as const;
          const { body: token, sentAt } = await broker.ask<Token>(asked);
          cache.replace(access_token, { token, sentAt });
          return { token, sentAt };
        } catch (error) {
          cache.replace(access_token);
          throw error;
        }
      };
      return together(JSON.stringify([path, access_token]), ask, signal);
    },

    async prove(connection: string, request: CreateDpopProofRequest, signal: AbortSignal | undefined, until: number) {
      const path = `${connectionPath(connection)}/dpop-proof`;
      const asked = { method: 'POST', path, body: request, deadline: until, signal, repeatable: true } as const;
      return (await broker.ask<DpopProof>(asked)).body;
    },
  };
}

/** No other token can be had, and this one may live: what an API said of it is the last word. */
export const isNotRefreshable = (error: unknown): boolean =>
  isReauthorizationRequired(error) && error.reason === 'not_refreshable';
