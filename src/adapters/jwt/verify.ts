// Verifies JWTs of trusted issuers, hardened against forgery (RFC 8725). Verdicts are values. jose is used here and in
// jwks.ts; the claim rules are in domain/jwt.ts.
import { type CryptoKey, compactVerify, errors, type JWSHeaderParameters, type JWTPayload, jwtVerify } from 'jose';
import { findJwtFault, type JwtFault } from '../../domain/jwt.ts';
import { isSenderConstrained } from '../../domain/jwt-credential.ts';
import { trustDomainOf } from '../../domain/spiffe.ts';
import { CLOCK_TOLERANCE_S } from '../../domain/time-limits.ts';
import { acceptedAudiences } from '../../domain/trusted-issuer.ts';
import type {
  Clock,
  JwtReason,
  JwtVerdict,
  JwtVerifier,
  SecurityEventVerifier,
  TrustedIssuer,
} from '../../ports/index.ts';
import type { Fetch } from './cached-document.ts';
import { isCompact } from './compact.ts';
import { ALGORITHMS, createIssuerKeys, type OnFailure } from './jwks.ts';
import { type GetKey, hasKey, verifyWithKeySet } from './key-set.ts';
import { createKnownKeys } from './known-keys.ts';
import { createSecurityEventVerifier } from './security-events.ts';

/** Characters. Longer tokens are not parsed. */
const TOKEN_LIMIT = 16 * 1024;

export interface JwtAdapter extends JwtVerifier, SecurityEventVerifier {
  /**
   * Verifies only the signature of a compact JWS (RFC 7515 5.2), with an asymmetric key of the set at `jwksUri`.
   * `unavailable`: the keys could not be fetched, which says nothing about the token. Never throws.
   */
  verifySignature(token: string, issuer: string, jwksUri: string): Promise<'valid' | 'invalid' | 'unavailable'>;
}

interface Parts {
  fetch: Fetch;
  clock: Clock;
  /** Called when the keys or the metadata of an issuer cannot be fetched. */
  onFailure?: OnFailure;
}

export function createJwtVerifier({ fetch, clock, onFailure }: Parts): JwtAdapter {
  const issuers = createIssuerKeys(fetch, clock, onFailure);
  const knownKeys = createKnownKeys();
  let last: { token: string; unverified: Unverified | undefined } | undefined;

  /** Once for those who ask which issuer a token claims, and verify it then. */
  function decodeOnce(token: string): Unverified | undefined {
    if (last?.token !== token) last = { token, unverified: decodeBounded(token) };
    return last.unverified;
  }

  /** Undefined says nothing: jose has to verify it. */
  function verifyAtOnce(
    token: string,
    { header, claims }: Unverified,
    key: CryptoKey | undefined,
    { audience, now }: Pick<Expected, 'audience' | 'now'>,
  ): SignedJwt | undefined {
    if (!key || !isPlain(header) || !meets(claims, audience, Math.floor(now / 1_000))) return undefined;
    return knownKeys.verifies(key, header.alg, token) ? { payload: claims, protectedHeader: header } : undefined;
  }

  /** `tried`: a key with which it was not verified at once. Rejects with jose's error. */
  async function verifyWithKey(
    token: string,
    unverified: Unverified,
    getKey: GetKey,
    tried: CryptoKey | undefined,
    { algorithms, audience, now }: Expected,
  ): Promise<SignedJwt> {
    const key = await getKey(unverified.header).catch(() => undefined);
    const atOnce = key === tried ? undefined : verifyAtOnce(token, unverified, key, { audience, now });
    if (atOnce) return atOnce;
    const verified = await jwtVerify(token, getKey, {
      algorithms: [...algorithms],
      audience: [...audience],
      requiredClaims: ['exp'],
      clockTolerance: CLOCK_TOLERANCE_S,
      currentDate: new Date(now),
    });
    knownKeys.add(verified.key, verified.protectedHeader.alg);
    return verified;
  }

  function unavailable(trusted: TrustedIssuer): JwtVerdict {
    const detail = issuers.whyUnavailable(trusted);
    return { active: false, reason: 'issuer_unavailable', ...(detail !== undefined && { detail }) };
  }

  return {
    claimedIssuer(token) {
      const unverified = decodeOnce(token);
      const issuer = unverified && issuerOf(unverified.claims);
      return typeof issuer === 'string' ? issuer : undefined;
    },

    async verify(token, trusted, expected) {
      const unverified = decodeOnce(token);
      if (!unverified) return inactive('malformed');
      const claimed = issuerOf(unverified.claims);
      if (claimed === undefined) return inactive('missing_claim', 'iss');
      // The same bytes are verified below, so this `iss` is the signed one.
      if (claimed !== trusted.issuer) return inactive('untrusted_issuer');
      if (!ALGORITHMS.includes(unverified.alg)) return inactive('unsupported_algorithm');
      const audiences = acceptedAudiences(trusted, expected.audiences);
      if (audiences.length === 0) return inactive('audience_mismatch');

      const keys = await issuers.keysOf(trusted);
      if (!keys) return unavailable(trusted);
      const { algorithms, keySet } = keys;
      if (!algorithms.includes(unverified.alg)) return inactive('unsupported_algorithm');

      const now = clock.now();
      const wanted = { algorithms, audience: audiences, now };
      const key = keySet.document.atHand()?.found(unverified.header);
      const atOnce = verifyAtOnce(token, unverified, key, wanted);
      const verified = atOnce
        ? { value: atOnce }
        : await verifyWithKeySet(keySet, 'callers', unverified.kid, (getKey) =>
            verifyWithKey(token, unverified, getKey, key, wanted),
          );
      if ('unavailable' in verified) return unavailable(trusted);
      if ('error' in verified) return { active: false, ...faultOfError(verified.error) };
      const { payload: claims, protectedHeader: header } = verified.value;
      // jose checks `iat` only when a maximum age is set.
      if (claims.iat !== undefined && claims.iat > now / 1_000 + CLOCK_TOLERANCE_S) return inactive('not_yet_valid');
      const { issuer } = trusted;
      const fault = findJwtFault({ issuer, audiences, header, claims }, expected, now / 1_000);
      if (fault) return { active: false, ...fault };
      const bound = isSenderConstrained(claims) && { cnf: claims.cnf };
      return { active: true, issuer, claims, header, ...bound };
    },

    async namesKnownKey(token, trusted) {
      const kid = decodeBounded(token)?.kid;
      const keys = kid === undefined ? undefined : await issuers.keysOf(trusted);
      return keys !== undefined && hasKey(keys.keySet, 'callers', kid);
    },

    ...createSecurityEventVerifier(issuers, clock),

    async verifySignature(token, issuer, jwksUri) {
      const unverified = decode(token);
      if (!unverified) return 'invalid';
      const verified = await verifyWithKeySet(issuers.keySet(issuer, jwksUri), 'logins', unverified.kid, (key) =>
        compactVerify(token, key, { algorithms: [...ALGORITHMS] }),
      );
      if ('value' in verified) return 'valid';
      return 'unavailable' in verified || verified.limited ? 'unavailable' : 'invalid';
    },
  };
}

interface Expected {
  algorithms: readonly string[];
  audience: readonly string[];
  /** Milliseconds since the epoch. */
  now: number;
}

/** Its signature is valid, and so are its times and its audience. */
interface SignedJwt {
  payload: JWTPayload;
  protectedHeader: JWSHeaderParameters;
}

interface Unverified {
  alg: string;
  kid: unknown;
  header: JWSHeaderParameters & { alg: string };
  claims: JWTPayload;
}

/** No header that changes how the signature is computed (RFC 7515 4.1.11, RFC 7797). */
const isPlain = (header: object): boolean => !('crit' in header || 'b64' in header);

/** What jose requires of the claims, for tokens that pass. `now`: whole seconds. */
function meets({ aud, exp, nbf = 0, iat = 0 }: JWTPayload, audiences: readonly string[], now: number): boolean {
  if (![exp, nbf, iat].every(Number.isFinite)) return false;
  return (
    (Array.isArray(aud) ? aud.some((one) => audiences.includes(one)) : audiences.includes(aud!)) &&
    exp! > now - CLOCK_TOLERANCE_S &&
    nbf <= now + CLOCK_TOLERANCE_S
  );
}

/** JWT-SVIDs have no `iss`: their issuer is the trust domain of the workload in `sub`. */
const issuerOf = ({ iss, sub }: JWTPayload): unknown => (iss === undefined ? trustDomainOf(sub) : iss);

const decodeBounded = (token: string): Unverified | undefined =>
  token.length > TOKEN_LIMIT ? undefined : decode(token);

function decode(token: string): Unverified | undefined {
  if (!isCompact(token)) return undefined;
  try {
    const payload = token.indexOf('.') + 1;
    const header = decodePart(token.slice(0, payload - 1));
    const { alg, kid } = header;
    if (typeof alg !== 'string') return undefined;
    return {
      alg,
      kid,
      header: header as Unverified['header'],
      claims: decodePart(token.slice(payload, token.lastIndexOf('.'))),
    };
  } catch {
    return undefined;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** As jose does it, in half of the time. Throws if it is not the JSON of an object. */
function decodePart(part: string): Record<string, unknown> {
  // Node ignores such a character.
  if (part.length % 4 === 1) throw new TypeError('a character too many');
  const decoded: unknown = JSON.parse(UTF8.decode(Buffer.from(part, 'base64url')));
  if (typeof decoded !== 'object' || decoded === null || Array.isArray(decoded)) throw new TypeError('not an object');
  return decoded as Record<string, unknown>;
}

const inactive = (reason: JwtReason, claim?: string): JwtVerdict => ({
  active: false,
  reason,
  ...(claim && { claim }),
});

function faultOfError(error: unknown): JwtFault {
  const missing = error instanceof errors.JWTClaimValidationFailed && error.reason === 'missing';
  return missing ? { reason: 'missing_claim', claim: error.claim } : { reason: reasonOf(error) };
}

function reasonOf(error: unknown): JwtReason {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return 'audience_mismatch';
    return error.claim === 'nbf' && error.reason === 'check_failed' ? 'not_yet_valid' : 'malformed';
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'invalid_signature';
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return 'malformed';
  // jose's other errors: an unknown critical extension (RFC 7515 4.1.11), and keys that cannot be used.
  return error instanceof errors.JOSENotSupported ? 'malformed' : 'unknown_key';
}
