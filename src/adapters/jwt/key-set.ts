// The keys of a JWK set (RFC 7517): which of them a token names, and verification with it. The set is refetched at a limited rate
// when it has no such key.
import { type CryptoKey, createLocalJWKSet, errors, type JWK, type JWSHeaderParameters, type LocalJWKSet } from 'jose';
import type { Json } from '../../domain/json.ts';
import type { CachedDocument } from './cached-document.ts';

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

/**
 * RFC 7517 5: unknown keys in a set are ignored, and so are symmetric ones. A set that the operator has `configured` may
 * be a SPIFFE bundle, whose keys for JWT-SVIDs have a `use` of their own (JWT-SVID 6.1).
 */
export function parseKeySet(document: Json | undefined, configured?: 'configured'): Keys {
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
