// Where the keys of an issuer come from: the configuration, or discovery and key sets over the guarded fetch, kept in
// memory, fetched anew within bounds when a key is not among them, and used on while the issuer is down.
import { type CryptoKey, createLocalJWKSet, errors, type JWK, type LocalJWKSet } from 'jose';
import { LRUCache } from 'lru-cache';
import { isTrustDomain } from '../../domain/spiffe.ts';
import { JWKS_RENEWAL_INTERVAL_MS, JWKS_RETRY_MS, JWKS_STALE_MS, JWKS_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, TrustedIssuer } from '../../ports/index.ts';

/** The guarded fetch: it follows no redirect, bounds the answer's size and time, and rejects when there is none. */
export type Fetch = (
  url: string,
  init: { headers: Record<string, string> },
) => Promise<Pick<Response, 'status' | 'text'>>;

const RENEWAL_BURST = 2;
const ISSUERS_KEPT = 1_000;

/** Asymmetric only: whoever may verify must not be able to sign. RFC 7518 3.1, RFC 8037, RFC 9864. */
export const ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'],
  ...['EdDSA', 'Ed25519'],
];

/** JWT-SVID 2.1. */
const SVID_ALGORITHMS = ALGORITHMS.filter((alg) => !alg.startsWith('Ed'));

interface IssuerMetadata {
  jwksUri: string;
  /** Those of `ALGORITHMS` that the issuer announces; all when it announces none. */
  algorithms: readonly string[];
}

/** Who asks for a renewal. Each has a budget of its own, so that forged tokens of callers never cost a login its key. */
export type Purpose = 'callers' | 'logins';

export interface KeySet {
  document: Kept<LocalJWKSet>;
  /** Takes from the budget: 2 at once, one more each 30 seconds. False when it is spent. */
  mayRenew: Record<Purpose, () => boolean>;
}

export interface Issuers {
  /**
   * Its keys, and the algorithms that it may sign with. Undefined when it must be asked where they are and cannot be
   * reached, or when what it says of itself is not to be trusted.
   */
  keysOf(trusted: TrustedIssuer): Promise<{ keySet: KeySet; algorithms: readonly string[] } | undefined>;
  keySet(issuer: string, jwksUri: string): KeySet;
}

export function createIssuers(fetch: Fetch, clock: Clock): Issuers {
  const metadata = new LRUCache<string, Kept<IssuerMetadata>>({ max: ISSUERS_KEPT });
  const keySets = new LRUCache<string, KeySet>({ max: ISSUERS_KEPT });
  const configured = new WeakMap<object, KeySet>();

  function metadataOf(issuer: string): Promise<IssuerMetadata | undefined> {
    const kept = metadata.get(issuer) ?? new Kept(() => discover(fetch, issuer), clock);
    metadata.set(issuer, kept);
    return kept.get();
  }

  /** By issuer too, so that the budget of one is not spent by another that shares its keys. */
  function fetched(issuer: string, jwksUri: string, named?: 'named'): KeySet {
    const name = JSON.stringify([issuer, jwksUri, named]);
    const set = keySets.get(name) ?? {
      document: new Kept(async () => readKeySet(await getJson(fetch, jwksUri), named), clock),
      mayRenew: { callers: budget(clock), logins: budget(clock) },
    };
    keySets.set(name, set);
    return set;
  }

  function inline(jwks: { keys: Record<string, unknown>[] }): KeySet {
    const never = () => false;
    const set = configured.get(jwks) ?? {
      document: new Kept(async () => readKeySet(jwks, 'named'), clock),
      mayRenew: { callers: never, logins: never },
    };
    configured.set(jwks, set);
    return set;
  }

  return {
    async keysOf({ issuer, jwks, jwksUri }) {
      const algorithms = isTrustDomain(issuer) ? SVID_ALGORITHMS : ALGORITHMS;
      if (jwks) return { keySet: inline(jwks), algorithms };
      if (jwksUri !== undefined) return { keySet: fetched(issuer, jwksUri, 'named'), algorithms };
      const found = await metadataOf(issuer);
      return found && { keySet: fetched(issuer, found.jwksUri), algorithms: found.algorithms };
    },
    keySet: (issuer, jwksUri) => fetched(issuer, jwksUri),
  };
}

/**
 * OpenID Connect Discovery 4, else RFC 8414 3. Throws when neither answers, or the answer names another issuer.
 */
async function discover(fetch: Fetch, issuer: string): Promise<IssuerMetadata> {
  const { origin, pathname, search, hash } = new URL(issuer);
  if (search || hash) throw new Error('an issuer has no query and no fragment');
  const path = pathname.replace(/\/$/, '');
  const found =
    (await getJson(fetch, `${origin}${path}/.well-known/openid-configuration`).catch(() => undefined)) ??
    (await getJson(fetch, `${origin}/.well-known/oauth-authorization-server${path}`));
  if (found?.issuer !== issuer) throw new Error('the metadata is of another issuer');
  if (typeof found.jwks_uri !== 'string') throw new Error('the metadata names no keys');
  const announced = found.id_token_signing_alg_values_supported;
  const listed = Array.isArray(announced) && announced.length > 0;
  return {
    jwksUri: found.jwks_uri,
    algorithms: listed ? ALGORITHMS.filter((alg) => announced.includes(alg)) : ALGORITHMS,
  };
}

/**
 * RFC 7517 5: what is not understood in a set is passed over; symmetric keys have no business there. A set that the
 * operator has `named` may be a SPIFFE bundle, whose keys for JWT-SVIDs have a use of their own (JWT-SVID 6.1).
 */
function readKeySet(found: Record<string, unknown> | undefined, named?: 'named'): LocalJWKSet {
  if (!Array.isArray(found?.keys)) throw new Error('not a key set');
  const keys = found.keys.filter((key): key is JWK => ['RSA', 'EC', 'OKP'].includes(key?.kty));
  const used = named ? keys.map((key) => (key.use === 'jwt-svid' ? { ...key, use: 'sig' } : key)) : keys;
  return createLocalJWKSet({ keys: used });
}

/** Undefined: it answered, but not with a JSON object. Rejects when it did not answer. */
async function getJson(fetch: Fetch, url: string): Promise<Record<string, unknown> | undefined> {
  const response = await fetch(url, { headers: { accept: 'application/json' } });
  const text = await response.text();
  if (response.status !== 200) return undefined;
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? { ...found } : undefined;
  } catch {
    return undefined;
  }
}

export type Verified<T> =
  | { value: T }
  /** jose's error. `limited`: newer keys were not asked for, since the budget is spent. */
  | { error: unknown; limited: boolean }
  | { unavailable: true };

type GetKey = (...token: Parameters<LocalJWKSet>) => Promise<CryptoKey>;

/**
 * Verifies with the key of the set that the token names. A key that is not there may have been rotated in a moment ago,
 * and so may one that does not fit a token without a `kid`: then once more with newer keys.
 */
export async function verifyWith<T>(
  { document, mayRenew }: KeySet,
  purpose: Purpose,
  kid: unknown,
  verify: (getKey: GetKey) => Promise<T>,
): Promise<Verified<T>> {
  const known = await document.get();
  if (!known) return { unavailable: true };
  const first = await attempt(known, verify);
  if ('value' in first) return first;
  const rotated =
    first.error instanceof errors.JWKSNoMatchingKey ||
    (kid === undefined && first.error instanceof errors.JWSSignatureVerificationFailed);
  if (!rotated) return first;
  const renewed = await document.renew(known, mayRenew[purpose]);
  if (renewed === 'failed') return { unavailable: true };
  return renewed === 'limited' ? { error: first.error, limited: true } : attempt(renewed, verify);
}

async function attempt<T>(
  set: LocalJWKSet,
  verify: (getKey: GetKey) => Promise<T>,
): Promise<{ value: T } | { error: unknown; limited: boolean }> {
  try {
    return { value: await verify(set) };
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return { error, limited: false };
    return attemptEach(error, verify);
  }
}

/** Without a `kid`, or with one that several keys bear, each key that fits is tried. */
async function attemptEach<T>(keys: AsyncIterable<CryptoKey>, verify: (getKey: GetKey) => Promise<T>) {
  for await (const key of keys) {
    try {
      return { value: await verify(async () => key) };
    } catch (error) {
      const verified = error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed;
      if (verified) return { error, limited: false };
    }
  }
  return { error: new errors.JWSSignatureVerificationFailed(), limited: false };
}

/** A document of somebody else's, kept. */
export class Kept<T extends object> {
  readonly #load: () => Promise<T>;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #kept: { value: T; at: number } | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<T | undefined> | undefined;

  constructor(load: () => Promise<T>, clock: Pick<Clock, 'monotonic'>) {
    this.#load = load;
    this.#clock = clock;
  }

  /** Fresh; or stale while it cannot be had, for a day; undefined after that, or when it never could. */
  async get(): Promise<T | undefined> {
    const now = this.#clock.monotonic();
    const age = this.#kept ? now - this.#kept.at : Number.POSITIVE_INFINITY;
    const usable = age < JWKS_STALE_MS ? this.#kept?.value : undefined;
    if (age < JWKS_TTL_MS || now - this.#failedAt < JWKS_RETRY_MS) return usable;
    const loaded = this.#reload();
    // In an outage that is known already only this call in the background waits for the issuer.
    if (usable && now - this.#failedAt < JWKS_TTL_MS) return usable;
    return (await loaded) ?? usable;
  }

  /** A newer one than the one seen, without a fetch if it is here already. `failed`: it cannot be had now. */
  async renew(seen: T, mayFetch: () => boolean): Promise<T | 'limited' | 'failed'> {
    if (this.#kept && this.#kept.value !== seen) return this.#kept.value;
    if (!this.#loading && !mayFetch()) return 'limited';
    return (await this.#reload()) ?? 'failed';
  }

  /** One at a time; whoever comes meanwhile shares it. Undefined when it failed. */
  #reload(): Promise<T | undefined> {
    const at = this.#clock.monotonic();
    this.#loading ??= this.#load()
      .then(
        (value) => {
          this.#kept = { value, at };
          this.#failedAt = Number.NEGATIVE_INFINITY;
          return value;
        },
        () => {
          this.#failedAt = this.#clock.monotonic();
          return undefined;
        },
      )
      .finally(() => {
        this.#loading = undefined;
      });
    return this.#loading;
  }
}

/** A token bucket. */
function budget(clock: Pick<Clock, 'monotonic'>): () => boolean {
  let left = RENEWAL_BURST;
  let since = clock.monotonic();
  return () => {
    const now = clock.monotonic();
    left = Math.min(RENEWAL_BURST, left + (now - since) / JWKS_RENEWAL_INTERVAL_MS);
    since = now;
    if (left < 1) return false;
    left -= 1;
    return true;
  };
}
