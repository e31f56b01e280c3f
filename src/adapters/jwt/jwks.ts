// The keys of issuers (JWKS, RFC 7517): from the configuration, or fetched by discovery. Cached, refetched at a limited
// rate when a token names an unknown key, and used stale while the issuer is down.
import { type CryptoKey, createLocalJWKSet, errors, type JWK, type JWSHeaderParameters, type LocalJWKSet } from 'jose';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import { isTrustDomain } from '../../domain/spiffe.ts';
import { JWKS_RENEWAL_INTERVAL_MS, JWKS_RETRY_MS, JWKS_STALE_MS, JWKS_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, EventTransmitter, TrustedIssuer } from '../../ports/index.ts';

/** The outbound client: follows no redirect, limits a response's size and time, and rejects without one. */
export type Fetch = (
  url: string,
  init: { headers: Record<string, string> },
) => Promise<Pick<Response, 'status' | 'text'>>;

const REFETCH_BURST = 2;
const MAX_ISSUERS = 1_000;

/** Asymmetric only: a verifier must not be able to sign. RFC 7518 3.1, RFC 8037, RFC 9864. */
export const ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'],
  ...['EdDSA', 'Ed25519'],
];

/** JWT-SVID 2.1. */
const SVID_ALGORITHMS = ALGORITHMS.filter((alg) => !alg.startsWith('Ed'));

interface IssuerMetadata {
  jwksUri: string;
  /** Those of `ALGORITHMS` that the metadata lists; all when it lists none. */
  algorithms: readonly string[];
}

/** What a refetch is for. Each purpose has its own rate limit, so that forged tokens of callers and strangers never delay a login. */
export type Purpose = 'callers' | 'logins' | 'signals';

/** The keys of one document. */
interface Keys {
  /** The key that a token names, or those without a `kid` that fit its algorithm. */
  find: GetKey;
  /** What `find` has found before for a token with the same `alg` and `kid`, which is all that it looks at. */
  found(header: JWSHeaderParameters): CryptoKey | undefined;
  /** Whether a key has this `kid`. */
  has(kid: unknown): boolean;
}

export interface KeySet {
  document: CachedDocument<Keys>;
  /** Takes a permit for a refetch: 2 at once, one more each 30 seconds. False when there is none. */
  mayRefetch: Record<Purpose, () => boolean>;
}

export interface IssuerKeys {
  /**
   * The issuer's keys, and the algorithms that it may sign with. Undefined when its metadata are needed and cannot be
   * fetched, or name another issuer.
   */
  keysOf(trusted: TrustedIssuer): Promise<{ keySet: KeySet; algorithms: readonly string[] } | undefined>;
  /** The same of one that transmits security events: its SSF metadata come first (SSF 1.0 7.1). */
  transmitterKeys(transmitter: EventTransmitter): Promise<KeySet | undefined>;
  /** Why its keys could not be fetched the last time; undefined: they could. */
  whyUnavailable(trusted: TrustedIssuer): string | undefined;
  /** The key set at a URL that is known already. Fetched on first use. */
  keySet(issuer: string, jwksUri: string): KeySet;
}

/** Called for each failed fetch, which are some seconds apart. */
export type OnFailure = (issuer: string, reason: string) => void;

export function createIssuerKeys(fetch: Fetch, clock: Clock, onFailure: OnFailure = () => undefined): IssuerKeys {
  const metadata = new LRUCache<string, CachedDocument<IssuerMetadata>>(upTo(MAX_ISSUERS));
  const keySets = new LRUCache<string, KeySet>(upTo(MAX_ISSUERS));
  const inlineKeySets = new WeakMap<object, KeySet>();

  function metadataOf(issuer: string, first?: 'ssf'): Promise<IssuerMetadata | undefined> {
    const name = first === undefined ? issuer : `${first} ${issuer}`;
    const cached = metadata.get(name);
    if (cached) return cached.get();
    const document = new CachedDocument(
      () => discover(fetch, issuer, first),
      clock,
      (why) => onFailure(issuer, why),
    );
    metadata.set(name, document);
    return document.get();
  }

  /** Keyed by issuer too: issuers that share a key set do not share a refetch limit. */
  function fetchedKeySet(issuer: string, jwksUri: string, configured?: 'configured'): KeySet {
    const name = JSON.stringify([issuer, jwksUri, configured]);
    const known = keySets.get(name);
    if (known) return known;
    const set: KeySet = {
      document: new CachedDocument(
        async () => parseKeySet(await getJson(fetch, jwksUri), configured),
        clock,
        (why) => onFailure(issuer, why),
      ),
      mayRefetch: {
        callers: createRefetchBudget(clock),
        logins: createRefetchBudget(clock),
        signals: createRefetchBudget(clock),
      },
    };
    keySets.set(name, set);
    return set;
  }

  function inlineKeySet(jwks: { keys: Record<string, unknown>[] }): KeySet {
    const never = () => false;
    const set = inlineKeySets.get(jwks) ?? {
      document: new CachedDocument(async () => parseKeySet(jwks, 'configured'), clock),
      mayRefetch: { callers: never, logins: never, signals: never },
    };
    inlineKeySets.set(jwks, set);
    return set;
  }

  return {
    async keysOf({ issuer, jwks, jwksUri }) {
      const algorithms = isTrustDomain(issuer) ? SVID_ALGORITHMS : ALGORITHMS;
      if (jwks) return { keySet: inlineKeySet(jwks), algorithms };
      if (jwksUri !== undefined) return { keySet: fetchedKeySet(issuer, jwksUri, 'configured'), algorithms };
      const found = await metadataOf(issuer);
      return found && { keySet: fetchedKeySet(issuer, found.jwksUri), algorithms: found.algorithms };
    },
    async transmitterKeys({ issuer, jwksUri }) {
      if (jwksUri !== undefined) return fetchedKeySet(issuer, jwksUri);
      const found = await metadataOf(issuer, 'ssf');
      return found && fetchedKeySet(issuer, found.jwksUri);
    },
    whyUnavailable({ issuer, jwksUri }) {
      if (jwksUri !== undefined) return fetchedKeySet(issuer, jwksUri, 'configured').document.failure();
      const found = metadata.get(issuer);
      const keys = found?.current()?.jwksUri;
      return found?.failure() ?? (keys === undefined ? undefined : fetchedKeySet(issuer, keys).document.failure());
    },
    keySet: (issuer, jwksUri) => fetchedKeySet(issuer, jwksUri),
  };
}

/**
 * SSF 1.0 7.1 if that is to come first; OpenID Connect Discovery 4, else RFC 8414 3. Throws when neither responds, or the document names another issuer.
 */
async function discover(fetch: Fetch, issuer: string, first?: 'ssf'): Promise<IssuerMetadata> {
  const { origin, pathname, search, hash } = new URL(issuer);
  if (search || hash) throw new Error('an issuer has no query and no fragment');
  const path = pathname.replace(/\/$/, '');
  const found =
    (first && (await getJson(fetch, `${origin}/.well-known/ssf-configuration${path}`).catch(() => undefined))) ??
    (await getJson(fetch, `${origin}${path}/.well-known/openid-configuration`).catch(() => undefined)) ??
    (await getJson(fetch, `${origin}/.well-known/oauth-authorization-server${path}`));
  if (found === undefined) throw new Error('the issuer publishes no metadata');
  if (found.issuer !== issuer) throw new Error('the metadata is of another issuer');
  if (typeof found.jwks_uri !== 'string') throw new Error('the metadata names no keys');
  const announced = found.id_token_signing_alg_values_supported;
  const listed = Array.isArray(announced) && announced.length > 0;
  return {
    jwksUri: found.jwks_uri,
    algorithms: listed ? ALGORITHMS.filter((alg) => announced.includes(alg)) : ALGORITHMS,
  };
}

/**
 * RFC 7517 5: unknown keys in a set are ignored, and so are symmetric ones. A set that the operator has `configured` may
 * be a SPIFFE bundle, whose keys for JWT-SVIDs have a `use` of their own (JWT-SVID 6.1).
 */
function parseKeySet(document: Record<string, unknown> | undefined, configured?: 'configured'): Keys {
  if (!Array.isArray(document?.keys)) throw new Error('not a key set');
  const keys = document.keys.filter((key): key is JWK => ['RSA', 'EC', 'OKP'].includes(key?.kty));
  const used = configured ? keys.map((key) => (key.use === 'jwt-svid' ? { ...key, use: 'sig' } : key)) : keys;
  const find = findIn(used);
  const has = (kid: unknown) => used.some((key) => key.kid === kid);
  /** By `kid` as it is, a string or not, and algorithm. Tokens may name any; there are no more of these than keys. */
  const found = new Map<unknown, Map<unknown, CryptoKey>>();
  return {
    async find(header, token) {
      const key = await find(header, token);
      const { kid, alg } = header ?? {};
      if (kid === undefined || has(kid)) found.set(kid, (found.get(kid) ?? new Map()).set(alg, key));
      return key;
    },
    found: ({ kid, alg }) => found.get(kid)?.get(alg),
    has,
  };
}

/** RFC 7517 4.5: `kid` is optional. Where no key has the one that a token names, any key without one may be it. */
function findIn(keys: JWK[]): GetKey {
  const all = createLocalJWKSet({ keys });
  const unnamed = createLocalJWKSet({ keys: keys.filter(({ kid }) => kid === undefined) });
  return (header, token) =>
    all(header, token).catch((error: unknown) => {
      if (!(error instanceof errors.JWKSNoMatchingKey) || header?.kid === undefined) throw error;
      const { kid: _, ...others } = header;
      return unnamed(others as typeof header, token);
    });
}

/** Undefined when the response is not a JSON object. Rejects without a response. */
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
  /** jose's error. `limited`: newer keys were not fetched because of the rate limit. */
  | { error: unknown; limited: boolean }
  | { unavailable: true };

export type GetKey = (...token: Parameters<LocalJWKSet>) => Promise<CryptoKey>;

/** Whether the set has a key of this `kid`; the set is refetched, at its limited rate, when it has none. */
export async function hasKey({ document, mayRefetch }: KeySet, purpose: Purpose, kid: unknown): Promise<boolean> {
  const known = await document.get();
  if (!known || known.has(kid)) return known !== undefined;
  const newer = await document.getNewer(known, mayRefetch[purpose]);
  return typeof newer !== 'string' && newer.has(kid);
}

/**
 * Verifies with the key that the token names. When the set has no such key, and no key without a `kid` verifies the token,
 * the issuer may have rotated its keys: refetches the set and tries once more.
 */
export async function verifyWithKeySet<T>(
  { document, mayRefetch }: KeySet,
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
    (!known.has(kid) && first.error instanceof errors.JWSSignatureVerificationFailed);
  if (!rotated) return first;
  const newer = await document.getNewer(known, mayRefetch[purpose]);
  if (newer === 'failed') return { unavailable: true };
  return newer === 'limited' ? { error: first.error, limited: true } : attempt(newer, verify);
}

async function attempt<T>(
  { find: set }: Keys,
  verify: (getKey: GetKey) => Promise<T>,
): Promise<{ value: T } | { error: unknown; limited: boolean }> {
  try {
    return { value: await verify(set) };
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return { error, limited: false };
    return attemptEach(error, verify);
  }
}

/** Verifying with each key of a large set would block the process. */
const MAX_TRIED_KEYS = 100;

/** Without a `kid`, or with one that several keys share or none has, tries each key that fits. */
async function attemptEach<T>(keys: AsyncIterable<CryptoKey>, verify: (getKey: GetKey) => Promise<T>) {
  let tried = 0;
  for await (const key of keys) {
    if (++tried > MAX_TRIED_KEYS) break;
    try {
      return { value: await verify(async () => key) };
    } catch (error) {
      const verified = error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed;
      if (verified) return { error, limited: false };
    }
  }
  return { error: new errors.JWSSignatureVerificationFailed(), limited: false };
}

/** Characters of the reason why a document cannot be fetched. */
const MAX_FAILURE = 300;

/** A fetched document, cached in memory: fresh for 10 minutes, stale for a day while it cannot be fetched. */
export class CachedDocument<T extends object> {
  readonly #load: () => Promise<T>;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #current: { value: T; at: number } | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  #failure: string | undefined;
  readonly #onFailure: (reason: string) => void;
  #loading: Promise<T | undefined> | undefined;

  constructor(
    load: () => Promise<T>,
    clock: Pick<Clock, 'monotonic'>,
    onFailure: (reason: string) => void = () => undefined,
  ) {
    this.#onFailure = onFailure;
    this.#load = load;
    this.#clock = clock;
  }

  /** The fresh document, or a stale one while it cannot be fetched; undefined without either. Never rejects. */
  async get(): Promise<T | undefined> {
    const now = this.#clock.monotonic();
    const usable = this.#usable(now);
    if (!this.#isDue(now)) return usable;
    const loaded = this.#reload();
    // In a known outage the fetch runs in the background, and no reader waits for the issuer.
    if (usable && now - this.#failedAt < JWKS_TTL_MS) return usable;
    return (await loaded) ?? usable;
  }

  /** The same without waiting. Undefined, too, if it is due to be fetched: `get` fetches it. */
  atHand(): T | undefined {
    const now = this.#clock.monotonic();
    return this.#isDue(now) ? undefined : this.#usable(now);
  }

  #age = (now: number): number => (this.#current ? now - this.#current.at : Number.POSITIVE_INFINITY);
  #usable = (now: number): T | undefined => (this.#age(now) < JWKS_STALE_MS ? this.#current?.value : undefined);
  #isDue = (now: number): boolean => this.#age(now) >= JWKS_TTL_MS && now - this.#failedAt >= JWKS_RETRY_MS;

  /** As it was last fetched, fresh or stale. */
  current = (): T | undefined => this.#current?.value;
  /** Why it could not be fetched the last time; undefined: it could. */
  failure = (): string | undefined => this.#failure;

  /** A newer document than the one seen: the cached one if it is newer, else fetched. `failed`: the fetch failed. */
  async getNewer(seen: T, mayFetch: () => boolean): Promise<T | 'limited' | 'failed'> {
    if (this.#current && this.#current.value !== seen) return this.#current.value;
    if (!this.#loading && !mayFetch()) return 'limited';
    return (await this.#reload()) ?? 'failed';
  }

  /** Single-flight: concurrent calls share one fetch. Undefined when it failed. */
  #reload(): Promise<T | undefined> {
    const at = this.#clock.monotonic();
    this.#loading ??= this.#load()
      .then(
        (value) => {
          this.#current = { value, at };
          this.#failedAt = Number.NEGATIVE_INFINITY;
          this.#failure = undefined;
          return value;
        },
        (error: unknown) => {
          this.#failedAt = this.#clock.monotonic();
          this.#failure = error instanceof Error ? error.message.slice(0, MAX_FAILURE) : 'it failed';
          this.#onFailure(this.#failure);
          return undefined;
        },
      )
      .finally(() => {
        this.#loading = undefined;
      });
    return this.#loading;
  }
}

/** A token bucket: each call takes a token; false when it is empty. */
function createRefetchBudget(clock: Pick<Clock, 'monotonic'>): () => boolean {
  let tokens = REFETCH_BURST;
  let since = clock.monotonic();
  return () => {
    const now = clock.monotonic();
    tokens = Math.min(REFETCH_BURST, tokens + (now - since) / JWKS_RENEWAL_INTERVAL_MS);
    since = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}
