// Tokens for as long as they are surely good: what is kept here is never given out beyond its life.
import { putBounded } from './bounded-map.ts';
import type { Token } from './types.ts';

export interface CacheOptions {
  /** Monotonic, milliseconds. */
  now: () => number;
  /** For so long at the most, so that a revocation is felt. */
  keepMs: number;
  maxEntries: number;
}

export type Cache = ReturnType<typeof createCache>;

export interface Kept {
  token: Token;
  /** Its life is counted from when it was asked for, so that the way of the answer is not added to it. */
  sentAt: number;
}

export function createCache({ now, keepMs, maxEntries }: CacheOptions) {
  const kept = new Map<string, Kept>();

  const livesFor = ({ token, sentAt }: Kept): number =>
    token.expires_in === null ? Number.POSITIVE_INFINITY : token.expires_in - (now() - sentAt) / 1_000;

  /** A copy for each caller, with the life that it has now. */
  const told = (it: Kept): Token => ({
    ...it.token,
    scopes: [...it.token.scopes],
    expires_in: it.token.expires_in === null ? null : Math.max(0, Math.floor(livesFor(it))),
  });

  return {
    /** Undefined unless it lives for `minTtl` more seconds. */
    get(key: string, minTtl: number): Token | undefined {
      const it = kept.get(key);
      if (!it) return undefined;
      if (now() - it.sentAt < keepMs) return livesFor(it) >= minTtl ? told(it) : undefined;
      kept.delete(key);
      return undefined;
    },

    told,

    put(key: string, it: Kept): void {
      putBounded(kept, key, it, maxEntries);
    },

    /** One that an API rejected, under whatever it was asked for: another in its place, or none. */
    replace(accessToken: string, fresh?: Kept): void {
      for (const [key, { token }] of kept) {
        if (token.access_token !== accessToken) continue;
        if (fresh) kept.set(key, fresh);
        else kept.delete(key);
      }
    },
  };
}
