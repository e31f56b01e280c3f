// The token cache. It never returns a token that may have expired.
import { putBounded } from './bounded-map.ts';
import type { Token } from './types.ts';

export interface CacheOptions {
  /** Monotonic, milliseconds. */
  now: () => number;
  /** Maximum age of an entry in milliseconds, and so the time until a revocation takes effect here. */
  maxAgeMs: number;
  maxEntries: number;
}

export interface CacheEntry {
  token: Token;
  /** When the request was sent, by `now`. `expires_in` counts from then, not from the response. */
  sentAt: number;
}

export interface Cache {
  /** Undefined unless the token lives for at least `minTtl` more seconds. */
  get(key: string, minTtl: number): Token | undefined;
  put(key: string, entry: CacheEntry): void;
  /** Replaces a token that an API rejected, under every key, or removes it. */
  replace(rejected: string, fresh?: CacheEntry): void;
  /** A copy of the token with its present `expires_in`. */
  copyOf(entry: CacheEntry): Token;
}

export function createCache({ now, maxAgeMs, maxEntries }: CacheOptions): Cache {
  const entries = new Map<string, CacheEntry>();

  const remaining = ({ token, sentAt }: CacheEntry): number =>
    token.expires_in === null ? Number.POSITIVE_INFINITY : token.expires_in - (now() - sentAt) / 1_000;

  const copyOf = (entry: CacheEntry): Token => ({
    ...entry.token,
    scopes: [...entry.token.scopes],
    expires_in: entry.token.expires_in === null ? null : Math.max(0, Math.floor(remaining(entry))),
  });

  return {
    get(key, minTtl) {
      const entry = entries.get(key);
      if (!entry) return undefined;
      if (now() - entry.sentAt < maxAgeMs) return remaining(entry) >= minTtl ? copyOf(entry) : undefined;
      entries.delete(key);
      return undefined;
    },

    put(key, entry) {
      putBounded(entries, key, entry, maxEntries);
    },

    replace(rejected, fresh) {
      for (const [key, { token }] of entries) {
        if (token.access_token !== rejected) continue;
        if (fresh) entries.set(key, fresh);
        else entries.delete(key);
      }
    },

    copyOf,
  };
}
