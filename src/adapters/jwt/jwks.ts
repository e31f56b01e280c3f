// Where the keys of issuers come from (JWKS, RFC 7517): the configuration, or discovery. Each issuer's are one key set, with limits
// of its own for how often it is refetched.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import { isObject, type Json, parseJson } from '../../domain/json.ts';
import { isTrustDomain } from '../../domain/spiffe.ts';
import { JWKS_RENEWAL_INTERVAL_MS } from '../../domain/time-limits.ts';
import { createLocalBucket } from '../../domain/token-bucket.ts';
import type { Clock, EventTransmitter, TrustedIssuer } from '../../ports/index.ts';
import { CachedDocument, type Fetch } from './cached-document.ts';
import { type KeySet, parseKeySet } from './key-set.ts';

/** Refetches at once, when a bucket is full. */
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
  const refetchBucket = () => createLocalBucket(REFETCH_BURST, JWKS_RENEWAL_INTERVAL_MS, clock.monotonic);

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
      mayRefetch: { callers: refetchBucket(), logins: refetchBucket(), signals: refetchBucket() },
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

/** Undefined when the response is not a JSON object. Rejects without a response. */
async function getJson(fetch: Fetch, url: string): Promise<Json | undefined> {
  const response = await fetch(url, { headers: { accept: 'application/json' } });
  const found = parseJson(await response.text());
  return response.status === 200 && isObject(found) ? found : undefined;
}
