// What a JWT is worth: verifies those of trusted issuers, with everything that a forger may try refused. Verdicts are
// values; jose lives here and in jwks.ts.
import { compactVerify, decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Clock, JwtReason, JwtVerdict, JwtVerifier } from '../ports.ts';
import { ALGORITHMS, createIssuers, type Fetch, verifyWith } from './jwks.ts';

/** Characters. Larger ones are not even parsed. */
const TOKEN_LIMIT = 16 * 1024;
/** Seconds that clocks may differ by. */
const CLOCK_TOLERANCE = 30;

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
      const iss: unknown = readBounded(token)?.claims.iss;
      return typeof iss === 'string' ? iss : undefined;
    },

    async verify(token, trusted, expected) {
      const unverified = readBounded(token);
      if (!unverified) return refused('malformed');
      if (unverified.claims.iss === undefined) return refused('missing_claim');
      if (unverified.claims.iss !== trusted.issuer) return refused('untrusted_issuer');
      if (!ALGORITHMS.includes(unverified.alg)) return refused('unsupported_algorithm');
      const audiences = [...(expected.audiences ?? trusted.audiences)];
      if (audiences.length === 0) return refused('audience_mismatch');

      const metadata = await issuers.metadata(trusted.issuer);
      if (!metadata) return refused('issuer_unavailable');
      const { algorithms, jwksUri } = metadata;
      if (!algorithms.includes(unverified.alg)) return refused('unsupported_algorithm');

      const now = clock.now();
      const verified = await verifyWith(issuers.keySet(trusted.issuer, jwksUri), 'callers', unverified.kid, (key) =>
        jwtVerify(token, key, {
          algorithms: [...algorithms],
          issuer: trusted.issuer,
          audience: audiences,
          requiredClaims: ['exp'],
          clockTolerance: CLOCK_TOLERANCE,
          currentDate: new Date(now),
        }),
      );
      if ('unavailable' in verified) return refused('issuer_unavailable');
      if ('error' in verified) return refused(reasonOf(verified.error));
      const { payload, protectedHeader } = verified.value;
      // jose looks at `iat` only where a maximum age is set.
      if (payload.iat !== undefined && payload.iat > now / 1000 + CLOCK_TOLERANCE) return refused('not_yet_valid');
      return { active: true, issuer: trusted.issuer, claims: payload, header: { ...protectedHeader } };
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

const readBounded = (token: string): Unverified | undefined => (token.length > TOKEN_LIMIT ? undefined : read(token));

function read(token: string): Unverified | undefined {
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    return typeof alg === 'string' ? { alg, kid, claims: decodeJwt(token) } : undefined;
  } catch {
    return undefined;
  }
}

const refused = (reason: JwtReason): JwtVerdict => ({ active: false, reason });

function reasonOf(error: unknown): JwtReason {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return 'missing_claim';
    if (error.claim === 'aud') return 'audience_mismatch';
    return error.claim === 'nbf' && error.reason === 'check_failed' ? 'not_yet_valid' : 'malformed';
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'invalid_signature';
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return 'malformed';
  // What remains of jose's: a critical extension that it does not know (RFC 7515 4.1.11), and keys that are not usable.
  return error instanceof errors.JOSENotSupported ? 'malformed' : 'unknown_key';
}
