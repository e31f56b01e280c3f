// What a JWT is worth: verifies those of trusted issuers, with everything that a forger may try refused. Verdicts are
// values; jose lives here and in jwks.ts, and what a good one must say is in domain/jwt.ts.
import { compactVerify, decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { faultOf, type JwtFault } from '../../domain/jwt.ts';
import { trustDomainOf } from '../../domain/spiffe.ts';
import { CLOCK_TOLERANCE_S } from '../../domain/time-limits.ts';
import type { Clock, JwtReason, JwtVerdict, JwtVerifier } from '../../ports/index.ts';
import { ALGORITHMS, createIssuers, type Fetch, verifyWith } from './jwks.ts';

/** Characters. Larger ones are not even parsed. */
const TOKEN_LIMIT = 16 * 1024;

export interface Jwts extends JwtVerifier {
  /**
   * Only the signature of a compact JWS (RFC 7515 5.2), by an asymmetric key of the set at `jwksUri`. `unavailable`:
   * the keys could not be asked for, which says nothing of the token. Never throws.
   */
  verifySignature(token: string, issuer: string, jwksUri: string): Promise<'valid' | 'invalid' | 'unavailable'>;
}

export function createJwtVerifier({ fetch, clock }: { fetch: Fetch; clock: Clock }): Jwts {
  const issuers = createIssuers(fetch, clock);

  return {
    claimedIssuer(token) {
      const unverified = readBounded(token);
      const issuer = unverified && issuerOf(unverified.claims);
      return typeof issuer === 'string' ? issuer : undefined;
    },

    async verify(token, trusted, expected) {
      const unverified = readBounded(token);
      if (!unverified) return refused('malformed');
      const claimed = issuerOf(unverified.claims);
      if (claimed === undefined) return refused('missing_claim', 'iss');
      // The same bytes are verified below: this is the `iss` that is signed.
      if (claimed !== trusted.issuer) return refused('untrusted_issuer');
      if (!ALGORITHMS.includes(unverified.alg)) return refused('unsupported_algorithm');
      const audiences = [...(expected.audiences ?? trusted.audiences)];
      if (audiences.length === 0) return refused('audience_mismatch');

      const keys = await issuers.keysOf(trusted);
      if (!keys) return refused('issuer_unavailable');
      const { algorithms, keySet } = keys;
      if (!algorithms.includes(unverified.alg)) return refused('unsupported_algorithm');

      const now = clock.now();
      const verified = await verifyWith(keySet, 'callers', unverified.kid, (key) =>
        jwtVerify(token, key, {
          algorithms: [...algorithms],
          audience: audiences,
          requiredClaims: ['exp'],
          clockTolerance: CLOCK_TOLERANCE_S,
          currentDate: new Date(now),
        }),
      );
      if ('unavailable' in verified) return refused('issuer_unavailable');
      if ('error' in verified) return { active: false, ...faultIn(verified.error) };
      const { payload: claims, protectedHeader: header } = verified.value;
      // jose looks at `iat` only where a maximum age is set.
      if (claims.iat !== undefined && claims.iat > now / 1_000 + CLOCK_TOLERANCE_S) return refused('not_yet_valid');
      const { issuer } = trusted;
      const fault = faultOf({ issuer, audiences, header: { ...header }, claims }, expected, now / 1_000);
      return fault ? { active: false, ...fault } : { active: true, issuer, claims, header: { ...header } };
    },

    async verifySignature(token, issuer, jwksUri) {
      const kid = read(token)?.kid;
      const verified = await verifyWith(issuers.keySet(issuer, jwksUri), 'logins', kid, (key) =>
        compactVerify(token, key, { algorithms: [...ALGORITHMS] }),
      );
      if ('value' in verified) return 'valid';
      return 'unavailable' in verified || verified.limited ? 'unavailable' : 'invalid';
    },
  };
}

interface Unverified {
  alg: string;
  kid: unknown;
  claims: JWTPayload;
}

/** JWT-SVIDs have no `iss`: the trust domain of the workload issues them. */
const issuerOf = ({ iss, sub }: JWTPayload): unknown => (iss === undefined ? trustDomainOf(sub) : iss);

const readBounded = (token: string): Unverified | undefined => (token.length > TOKEN_LIMIT ? undefined : read(token));

/** RFC 7515 3.1, to the letter: decoders pass over blanks and padding. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]*$/;

function read(token: string): Unverified | undefined {
  if (!COMPACT.test(token)) return undefined;
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    return typeof alg === 'string' ? { alg, kid, claims: decodeJwt(token) } : undefined;
  } catch {
    return undefined;
  }
}

const refused = (reason: JwtReason, claim?: string): JwtVerdict => ({ active: false, reason, ...(claim && { claim }) });

function faultIn(error: unknown): JwtFault {
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
  // What remains of jose's: a critical extension that it does not know (RFC 7515 4.1.11), and keys that are not usable.
  return error instanceof errors.JOSENotSupported ? 'malformed' : 'unknown_key';
}
