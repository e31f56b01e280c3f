// Verifies security event tokens and logout tokens, with the keys of their transmitters. The claim rules are in
// domain/security-events.ts and domain/jwt.ts.
import { compactVerify, decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose';
import { findJwtFault, type JwtFault } from '../../domain/jwt.ts';
import { findSetFault, type SetFault } from '../../domain/security-events.ts';
import { CLOCK_TOLERANCE_S, LOGOUT_TOKEN_MAX_AGE_S } from '../../domain/time-limits.ts';
import type { Clock, SecurityEventVerifier, SetVerdict } from '../../ports/index.ts';
import { isCompact } from './compact.ts';
import { ALGORITHMS, type IssuerKeys } from './jwks.ts';
import { type KeySet, verifyWithKeySet } from './key-set.ts';

/** Characters. Longer tokens are not parsed. */
const TOKEN_LIMIT = 64 * 1024;

interface Parsed {
  header: Record<string, unknown>;
  claims: JWTPayload;
}

const refused = (fault: SetFault, description: string): SetVerdict => ({ kind: 'refused', fault, description });

function parse(token: string): Parsed | undefined {
  if (token.length > TOKEN_LIMIT || !isCompact(token)) return undefined;
  try {
    return { header: { ...decodeProtectedHeader(token) }, claims: decodeJwt(token) };
  } catch {
    return undefined;
  }
}

/** Undefined: the signature is one of the transmitter's. The same bytes were parsed. */
async function signatureFault(token: string, { header }: Parsed, keySet: KeySet): Promise<SetVerdict | undefined> {
  // `crit` (RFC 7515 4.1.11) and a payload that is not encoded (RFC 7797) are refused by jose.
  const verified = await verifyWithKeySet(keySet, 'signals', header.kid, (key) =>
    compactVerify(token, key, { algorithms: [...ALGORITHMS] }),
  );
  if ('value' in verified) return undefined;
  // It may be signed with a new key, which is not fetched before the rate limit allows it: refusing it would lose the event.
  if ('unavailable' in verified || verified.limited) return { kind: 'unavailable' };
  return refused('invalid_key', 'no key of the issuer has signed it');
}

/** Not by its text: an `alg` may be any JSON. */
const isSignedByOne = ({ header }: Parsed, algorithms: readonly string[]): boolean =>
  algorithms.some((one) => one === header.alg);

/** Of what is known before anything is fetched. */
function checkUnverified(parsed: Parsed | undefined, issuer: string): SetVerdict | undefined {
  if (!parsed) return refused('invalid_request', 'it is not a signed JWT');
  if (!isSignedByOne(parsed, ALGORITHMS)) return refused('invalid_key', 'its algorithm is not accepted');
  return parsed.claims.iss === issuer ? undefined : refused('invalid_issuer', 'it is of another issuer');
}

const verdictOf = ({ claims }: Parsed): SetVerdict => ({
  kind: 'verified',
  claims,
  jti: String(claims.jti),
  audiences: [claims.aud ?? []].flat(),
});

export function createSecurityEventVerifier(
  issuers: Pick<IssuerKeys, 'transmitterKeys' | 'keysOf'>,
  clock: Pick<Clock, 'now'>,
): SecurityEventVerifier {
  return {
    async verifySet(token, transmitter, expected) {
      const { issuer } = transmitter;
      const parsed = parse(token);
      const early = checkUnverified(parsed, issuer);
      if (early || !parsed) return early ?? { kind: 'unavailable' };
      const keySet = await issuers.transmitterKeys(transmitter);
      if (!keySet) return { kind: 'unavailable' };
      const forged = await signatureFault(token, parsed, keySet);
      if (forged) return forged;
      const now = clock.now() / 1_000;
      const fault = findSetFault(parsed.header, parsed.claims, { ...expected, issuer }, now, CLOCK_TOLERANCE_S);
      return fault ? { kind: 'refused', ...fault } : verdictOf(parsed);
    },

    async verifyLogoutToken(token, issuer, audiences) {
      const parsed = parse(token);
      const early = checkUnverified(parsed, issuer);
      if (early || !parsed) return early ?? { kind: 'unavailable' };
      const keys = await issuers.keysOf({ issuer, audiences, clientIds: [], isListed: false });
      if (!keys) return { kind: 'unavailable' };
      if (!isSignedByOne(parsed, keys.algorithms))
        return refused('invalid_key', 'its algorithm is not one of the issuer');
      const forged = await signatureFault(token, parsed, keys.keySet);
      if (forged) return forged;
      const now = clock.now() / 1_000;
      const fault = findLogoutFault(parsed, issuer, audiences, now);
      return fault
        ? refused('invalid_request', `the logout token is not accepted: ${inWords(fault)}`)
        : verdictOf(parsed);
    },
  };
}

const inWords = ({ reason, claim }: JwtFault): string => (claim === undefined ? reason : `${reason} (${claim})`);

/** OpenID Connect Back-Channel Logout 2.6: like an ID token, and fresh. */
function findLogoutFault(
  { header, claims }: Parsed,
  issuer: string,
  audiences: readonly string[],
  now: number,
): JwtFault | undefined {
  const { aud, exp, iat, nbf } = claims;
  if (![aud ?? []].flat().some((one) => audiences.includes(one))) return { reason: 'audience_mismatch' };
  const fault = findJwtFault(
    { issuer, audiences, header, claims },
    { audiences, profile: 'logout_token', maxAge: LOGOUT_TOKEN_MAX_AGE_S },
    now,
  );
  if (fault) return fault;
  if (exp === undefined || exp <= now - CLOCK_TOLERANCE_S) return { reason: 'expired' };
  return [iat, nbf].some((time) => time !== undefined && time > now + CLOCK_TOLERANCE_S)
    ? { reason: 'not_yet_valid' }
    : undefined;
}
