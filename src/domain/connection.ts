// A connection: one owner's grant at one integration. Its state, and the arithmetic of its times.
// All times are milliseconds since the epoch; durations have their unit in their name.
import type { HoldReason, ReauthReason } from './errors.ts';
import { DEFAULT_MIN_TTL_MS, REFRESH_MARGIN_MS } from './time-limits.ts';

/** `on_hold`: the provider has suspended the account. Neither served nor refreshed until that is lifted; the secrets are kept. */
export type ConnectionStatus = 'active' | 'needs_reauth' | 'on_hold' | 'revoked';
/** Its grant has not ended. */
export const hasUsableGrant = ({ status }: Pick<Connection, 'status'>): boolean =>
  status === 'active' || status === 'on_hold';
/** `kept_for_other_connection`: it would have ended the grant that another live connection uses, and was not sent. */
export type UpstreamRevocation = 'done' | 'pending' | 'unsupported' | 'failed' | 'kept_for_other_connection';

export interface RefreshError {
  code: string;
  detail: string;
  at: number;
  /** No read tries again before this; null when only the owner can help. */
  retryAt: number | null;
}

export interface Connection {
  id: string;
  integration: string;
  owner: string;
  /** Distinguishes the connections of one owner at one integration; empty: the one without a label. */
  label: string;
  status: ConnectionStatus;
  /** Why the owner must connect again (`needs_reauth`), or what is waited for (`on_hold`); otherwise null. */
  reason: ReauthReason | HoldReason | null;
  scopes: string[];
  metadata: Record<string, unknown>;
  /** The parameters that the catalogue requires of a connection (a subdomain, a shop). */
  params: Record<string, string>;
  /** What the catalogue captures from the callback or the token response. */
  captured: Record<string, unknown>;
  /** The owner's identity at the provider (OpenID Connect Core 5.7: `iss` and `sub` together); null when unknown. */
  identity: Identity | null;
  /** Whose grant it is, as the catalogue reads it; null when the provider does not tell, or did not yet. */
  account: Account | null;
  tokenType: string;
  /** When the access token was received, by our clock. */
  issuedAt: number;
  /** Of the access token. Null: it does not expire, or the provider does not say. */
  expiresAt: number | null;
  nextRefreshAt: number | null;
  /** When the grant ends whatever is done, so that the owner can be asked beforehand; null: it has no such end. */
  reauthDueAt: number | null;
  lastRefreshedAt: number | null;
  lastRefreshError: RefreshError | null;
  /** When a check last asked the API; null: no check of these credentials did. */
  lastCheckedAt: number | null;
  /** Why it failed: a `reason` of a check; null: it did not. */
  lastCheckError: string | null;
  /** Failed refreshes since the last success. */
  failures: number;
  /** Counts the credentials that it had. What replaces them compares and swaps on it. */
  generation: number;
  upstreamRevocation: UpstreamRevocation | null;
  createdAt: number;
  updatedAt: number;
}

/** Why the owner must connect again; null also while it is on hold. */
export const reauthReasonOf = ({ reason }: Pick<Connection, 'reason'>): ReauthReason | null =>
  reason === 'account_disabled' ? null : reason;

export interface Identity {
  issuer: string;
  subject: string;
}

/** The account at the provider that a grant is for: a user, or a tenant where the grant is the tenant's. */
export interface Account {
  /** Where `id` is unique. */
  issuer: string;
  id: string;
  /** For people: it may change. */
  name: string | null;
}

/** The secrets of a connection in plain text: in memory only, on their way in or out. */
export interface Credentials {
  /** Null: imported without one, the first read refreshes. */
  accessToken: string | null;
  refreshToken: string | null;
  idToken: string | null;
  /** A JSON record: the imported credentials that tokens are minted from, and the DPoP key that tokens are bound to. */
  credentials: string | null;
}

declare const encrypted: unique symbol;
/** A ciphertext of the key ring (`v3.<kid>.<nonce>.<ciphertext>`; `v1` and `v2` of earlier releases). The store accepts secrets in no other form. */
export type Ciphertext = string & { readonly [encrypted]: true };

/** The columns of the `grants` table. */
export interface EncryptedCredentials {
  accessToken: Ciphertext | null;
  refreshToken: Ciphertext | null;
  idToken: Ciphertext | null;
  credentials: Ciphertext | null;
}

/** Encrypted credentials on their way into the store. */
export interface WrittenCredentials extends EncryptedCredentials {
  /**
   * Keyed digests of the refresh token, by which a provider's signal names it; by their key among the captured values.
   * Undefined: none are kept, or those that are there stay.
   */
  tokenDigests?: Readonly<Record<string, string>> | undefined;
}

/** The life in milliseconds that the access token was issued with; null when it does not expire. */
export const lifetime = (c: Pick<Connection, 'issuedAt' | 'expiresAt'>): number | null =>
  c.expiresAt === null ? null : Math.max(0, c.expiresAt - c.issuedAt);

/**
 * The life in milliseconds of the next access token, when the response does not say: that of the last one. Of a token that
 * was imported only what was left is known: the next one lives for five minutes at least. Null: no token has expired yet.
 */
export function lastKnownLifetimeMs(c: Pick<Connection, 'issuedAt' | 'expiresAt' | 'lastRefreshedAt'>): number | null {
  const life = lifetime(c);
  if (life === null || life === 0) return null;
  return c.lastRefreshedAt === null ? Math.max(life, REFRESH_MARGIN_MS) : life;
}

export const hasExpired = ({ expiresAt }: Pick<Connection, 'expiresAt'>, now: number): boolean =>
  expiresAt !== null && expiresAt <= now;

/**
 * When a token issued now is due for a refresh: `min(margin, lifetime / 2)` before it expires, shifted by up to ±10 % of
 * that lead; and, if the grant dies when it is not used for `idleMs`, after 60 to 80 % of that time. The shift is fixed
 * for each connection, so that a burst of connects does not become a burst of refreshes. Null: never.
 */
export function refreshDueAt(id: string, issuedAt: number, expiresAt: number | null, idleMs?: number): number | null {
  const shift = jitter(id);
  const due: number[] = [];
  if (expiresAt !== null) {
    const lead = Math.min(REFRESH_MARGIN_MS, Math.max(0, expiresAt - issuedAt) / 2);
    due.push(expiresAt - lead * (1 + 0.1 * shift));
  }
  if (idleMs !== undefined) due.push(issuedAt + idleMs * (0.7 + 0.1 * shift));
  return due.length === 0 ? null : Math.round(Math.min(...due));
}

/** A number in [-1, 1) that depends on the id alone (FNV-1a). */
function jitter(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return ((hash >>> 0) / 2 ** 32) * 2 - 1;
}

/**
 * The life in milliseconds that a read requires of the token. It never requires what the provider cannot give: more than a
 * whole lifetime, or by default more than half of one, would refresh at every read. Until the first refresh, the whole
 * lifetime is not known: a token that was imported had been issued before.
 */
export function requiredTtlMs(
  c: Pick<Connection, 'issuedAt' | 'expiresAt'> & Partial<Pick<Connection, 'lastRefreshedAt'>>,
  minTtlMs: number | undefined,
): number {
  const life = lifetime(c);
  const half = life === null ? 0 : life / 2;
  if (minTtlMs === undefined) return Math.min(DEFAULT_MIN_TTL_MS, half);
  if (life !== null && c.lastRefreshedAt === null) return minTtlMs;
  return life !== null && minTtlMs < life ? minTtlMs : half;
}
