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

/** `storedAt`: by the wall clock, which goes on while the machine sleeps; a monotonic clock may stand still. */
type Stored = CacheEntry & { storedAt: number };

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
  const entries = new Map<string, Stored>();
  const stored = (entry: CacheEntry): Stored => ({ ...entry, storedAt: Date.now() });

  const ageOf = (entry: CacheEntry | Stored): number =>
    Math.max(now() - entry.sentAt, 'storedAt' in entry ? Date.now() - entry.storedAt : 0);

  const remaining = (entry: CacheEntry): number =>
    entry.token.expires_in === null ? Number.POSITIVE_INFINITY : entry.token.expires_in - ageOf(entry) / 1_000;

  const copyOf = (entry: CacheEntry): Token => ({
    ...entry.token,
    scopes: [...entry.token.scopes],
    expires_in: entry.token.expires_in === null ? null : Math.max(0, Math.floor(remaining(entry))),
  });

  return {
    get(key, minTtl) {
      const entry = entries.get(key);
      if (!entry) return undefined;
      if (ageOf(entry) < maxAgeMs) return remaining(entry) >= minTtl ? copyOf(entry) : undefined;
      entries.delete(key);
      return undefined;
    },

    put(key, entry) {
      putBounded(entries, key, stored(entry), maxEntries);
    },

    replace(rejected, fresh) {
      for (const [key, { token }] of entries) {
        if (token.access_token !== rejected) continue;
        if (fresh) entries.set(key, stored(fresh));
        else entries.delete(key);
      }
    },

    copyOf,
  };
}
