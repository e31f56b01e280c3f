// One owner's grant at one integration: its state, and the arithmetic of its times.
// All times are milliseconds since the epoch; durations say their unit in their name.
import type { ReauthReason } from './errors.ts';

export type ConnectionStatus = 'active' | 'needs_reauth' | 'revoked';
export type UpstreamRevocation = 'done' | 'pending' | 'unsupported' | 'failed';

export interface RefreshError {
  code: string;
  detail: string;
  at: number;
  /** Before this, a read does not try again; null when only the owner can help. */
  retryAt: number | null;
}

export interface Connection {
  id: string;
  integration: string;
  owner: string;
  /** Tells an owner's connections at one integration apart; the empty string is the one without a label. */
  label: string;
  status: ConnectionStatus;
  /** Why the owner must connect again; null unless `needs_reauth`. */
  reason: ReauthReason | null;
  scopes: string[];
  metadata: Record<string, unknown>;
  /** What the catalogue asked of this connection (a subdomain, a shop). */
  params: Record<string, string>;
  /** What the catalogue captured from the callback or the token answer. */
  captured: Record<string, unknown>;
  /** Who it is at the provider (OpenID Connect Core 5.7: only `iss` and `sub` together identify); null when unknown. */
  identity: Identity | null;
  tokenType: string;
  /** When the served token was received, by our clock. */
  issuedAt: number;
  /** Null: it does not expire, or the provider does not say. */
  expiresAt: number | null;
  nextRefreshAt: number | null;
  /** When the grant ends whatever is done, so that the owner can be asked in time; null: it has no such end. */
  reauthDueAt: number | null;
  lastRefreshedAt: number | null;
  lastRefreshError: RefreshError | null;
  /** Refreshes that failed since the last success. */
  failures: number;
  /** Counts the grants that it had; everything that replaces one compares and swaps on it. */
  generation: number;
  upstreamRevocation: UpstreamRevocation | null;
  createdAt: number;
  updatedAt: number;
}

export interface Identity {
  issuer: string;
  subject: string;
}

/** The secrets of a connection in plain text: only ever in memory, on their way in or out. */
export interface Credentials {
  /** Null: imported without one; the first read refreshes. */
  accessToken: string | null;
  refreshToken: string | null;
  idToken: string | null;
  /** What an import brought for tokens to be made of, and the key that tokens are bound to: a JSON record. */
  credentials: string | null;
}

declare const sealed: unique symbol;
/** A ciphertext of the key ring (`v1.<kid>.<nonce>.<ciphertext>`). The store takes secrets in no other form. */
export type Ciphertext = string & { readonly [sealed]: true };

/** The columns of the `grants` table. */
export interface EncryptedCredentials {
  accessToken: Ciphertext | null;
  refreshToken: Ciphertext | null;
  idToken: Ciphertext | null;
  credentials: Ciphertext | null;
}

/** How long before expiry a refresh is due, at the most. */
export const REFRESH_MARGIN_MS = 5 * 60_000;
/** What a read asks for when it names no `min_ttl`. */
const DEFAULT_MIN_TTL_MS = 60_000;

/** Milliseconds that the served token was issued for; null when it does not expire. */
export const lifetime = (c: Pick<Connection, 'issuedAt' | 'expiresAt'>): number | null =>
  c.expiresAt === null ? null : Math.max(0, c.expiresAt - c.issuedAt);

/**
 * When a token issued now should be refreshed: `min(margin, lifetime / 2)` before it expires, moved by up to ±10 % of
 * that lead; and, where the grant dies when it is not used for `idleMs`, before four fifths of that have passed. The
 * shift is fixed per connection, so that a burst of connects is not a burst of refreshes.
 */
export function refreshDueAt(id: string, issuedAt: number, expiresAt: number | null, idleMs?: number): number | null {
  const shift = spread(id);
  const due: number[] = [];
  if (expiresAt !== null) {
    const lead = Math.min(REFRESH_MARGIN_MS, Math.max(0, expiresAt - issuedAt) / 2);
    due.push(expiresAt - lead * (1 + 0.1 * shift));
  }
  if (idleMs !== undefined) due.push(issuedAt + idleMs * (0.7 + 0.1 * shift));
  return due.length === 0 ? null : Math.round(Math.min(...due));
}

/** A number in [-1, 1) that depends on the id alone (FNV-1a). */
function spread(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return ((hash >>> 0) / 2 ** 32) * 2 - 1;
}

/**
 * The life in milliseconds that a read demands of the token. What the provider cannot give is not asked for: more
 * than a whole lifetime, or by default more than half of one, would refresh at every read.
 */
export function demandedLife(c: Pick<Connection, 'issuedAt' | 'expiresAt'>, minTtlMs: number | undefined): number {
  const life = lifetime(c);
  const half = life === null ? 0 : life / 2;
  if (minTtlMs === undefined) return Math.min(DEFAULT_MIN_TTL_MS, half);
  return life !== null && minTtlMs < life ? minTtlMs : half;
}
