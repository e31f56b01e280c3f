// The claim rules for a JWT whose signature, times and audience are verified: kinds of tokens are distinguished, so that
// none is accepted as another (RFC 8725 3.11, 3.12), and claims are compared with what the caller expects.
import { isObject, memberOf } from './json.ts';
import { isTooDeep } from './json-depth.ts';
import { LOGOUT_EVENT } from './security-events.ts';
import { isTrustDomain, trustDomainOf } from './spiffe.ts';
import { CLOCK_TOLERANCE_S } from './time-limits.ts';

/** Why a JWT is refused. Stable: callers branch on these. */
export const JWT_REASONS = [
  'malformed',
  'untrusted_issuer',
  'unsupported_algorithm',
  'unknown_key',
  'invalid_signature',
  'expired',
  'not_yet_valid',
  'too_old',
  'audience_mismatch',
  'type_mismatch',
  'missing_claim',
  'claim_mismatch',
  'issuer_unavailable',
] as const;
export type JwtReason = (typeof JWT_REASONS)[number];

export const JWT_PROFILES = ['access_token', 'id_token', 'logout_token'] as const;
export type JwtProfile = (typeof JWT_PROFILES)[number];

export interface JwtExpectations {
  /** One of these is in `aud`, as far as the issuer is trusted for them. Undefined: one of the issuer's own. */
  audiences?: readonly string[] | undefined;
  /** Undefined: any token that is not typed as something else than an access token or an ID token. */
  profile?: JwtProfile | undefined;
  /** The required `typ` header, in addition to what the profile requires. */
  typ?: string | undefined;
  /** Claims that must be present and not null. */
  requiredClaims?: readonly string[] | undefined;
  /** Claim name → its value, or a member of it when the claim is an array. */
  claims?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Seconds since `iat`, or since `auth_time` with the profile `id_token`. That claim is then required. */
  maxAge?: number | undefined;
  /** Of an ID token. */
  nonce?: string | undefined;
}

/** A token whose signature, times and audience are verified. */
export interface VerifiedJwt {
  issuer: string;
  /** The accepted audiences; one of them is in `aud`. */
  audiences: readonly string[];
  header: Readonly<Record<string, unknown>>;
  claims: Readonly<Record<string, unknown>>;
}

export interface JwtFault {
  reason: JwtReason;
  /** The claim's name, for `missing_claim` and `claim_mismatch`. */
  claim?: string;
  /** Why the keys cannot be fetched, for `issuer_unavailable`. */
  detail?: string;
}

const missing = (claim: string): JwtFault => ({ reason: 'missing_claim', claim });
const mismatch = (claim: string): JwtFault => ({ reason: 'claim_mismatch', claim });
const MALFORMED: JwtFault = { reason: 'malformed' };
const TYPE_MISMATCH: JwtFault = { reason: 'type_mismatch' };

type Check = (jwt: VerifiedJwt, expected: JwtExpectations, now: number) => JwtFault | undefined;

const checks: readonly Check[] = [
  checkForm,
  checkType,
  checkTrustDomain,
  checkProfile,
  checkRequiredClaims,
  checkClaimValues,
  checkAge,
  checkNonce,
];

/** The first fault of a token; undefined when it is as expected. `now` is in seconds since the epoch. */
export function findJwtFault(jwt: VerifiedJwt, expected: JwtExpectations, now: number): JwtFault | undefined {
  for (const check of checks) {
    const fault = check(jwt, expected, now);
    if (fault) return fault;
  }
  return undefined;
}

/** Until when a positive verdict may be cached, in seconds since the epoch. */
export function verdictValidUntil(claims: VerifiedJwt['claims'], expected: JwtExpectations): number {
  const { exp } = claims;
  if (typeof exp !== 'number') return Number.NEGATIVE_INFINITY;
  const since = claims[ageClaim(expected)];
  return expected.maxAge === undefined ? exp : Math.min(exp, (typeof since === 'number' ? since : 0) + expected.maxAge);
}

/**
 * Refuses values that readers could interpret differently: RFC 7519 2 (numbers), 4.1.3 (`aud`); RFC 7797 7 (`b64`). And what nests
 * too deeply: a verdict has the header and the claims.
 */
function checkForm({ header, claims }: VerifiedJwt): JwtFault | undefined {
  const badTime = ['exp', 'nbf', 'iat'].some((name) => memberOf(claims, name) !== undefined && !isTime(claims[name]));
  const aud = memberOf(claims, 'aud');
  const isTextOnly = Array.isArray(aud) ? aud.every((one) => typeof one === 'string') : typeof aud === 'string';
  const encoded = header.b64 === undefined || header.b64 === true;
  const isShallow = !isTooDeep(header) && !isTooDeep(claims);
  const wellFormed = !badTime && encoded && isTextOnly && isShallow;
  return wellFormed ? undefined : MALFORMED;
}

/** No `typ` at all. */
const UNTYPED = '';

interface Profile {
  types: readonly string[];
  required: readonly string[];
  extraCheck?: Check;
}

/** RFC 9068 4; OpenID Connect Core 2, 3.1.3.7; OpenID Connect Back-Channel Logout 2.4, 2.6. */
const PROFILES: Record<JwtProfile, Profile> = {
  access_token: { types: ['at+jwt'], required: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'] },
  id_token: {
    types: [UNTYPED, 'jwt'],
    required: ['iss', 'sub', 'aud', 'exp', 'iat'],
    extraCheck: checkAuthorizedParty,
  },
  logout_token: {
    types: [UNTYPED, 'jwt', 'logout+jwt'],
    required: ['iss', 'aud', 'iat', 'exp', 'jti', 'events'],
    extraCheck: checkLogout,
  },
};
const ANY_TYPES = [UNTYPED, 'jwt', 'at+jwt'];
/** JWT-SVID 2.3. */
const SVID_TYPES = [UNTYPED, 'jwt', 'jose'];

/** RFC 8725 3.11, 3.12. Logout tokens and security event tokens may have no `typ`: their events identify them. */
function checkType({ issuer, header, claims }: VerifiedJwt, expected: JwtExpectations): JwtFault | undefined {
  const found = typeOf(header.typ);
  const wanted = expected.typ === undefined ? undefined : typeOf(expected.typ);
  const defaultTypes = isTrustDomain(issuer) ? SVID_TYPES : ANY_TYPES;
  const types = expected.profile ? PROFILES[expected.profile].types : wanted === undefined ? defaultTypes : [wanted];
  if (found === undefined || !types.includes(found)) return TYPE_MISMATCH;
  if (expected.typ !== undefined && found !== wanted) return TYPE_MISMATCH;
  const logoutWanted = expected.profile === 'logout_token' || (!expected.profile && wanted === 'logout+jwt');
  if (logoutWanted) return undefined;
  const eventsWanted = wanted === 'secevent+jwt';
  if (eventsWanted) return logoutEvent(claims) !== undefined ? TYPE_MISMATCH : undefined;
  return isObject(memberOf(claims, 'events')) ? TYPE_MISMATCH : undefined;
}

/** Lower-case and without `application/` (RFC 7515 4.1.9); undefined: not a media type. */
function typeOf(typ: unknown): string | undefined {
  if (typ === undefined) return UNTYPED;
  // ASCII only: some other letters become ASCII ones in lower case.
  if (typeof typ !== 'string' || !/^[\x21-\x7e]+$/.test(typ)) return undefined;
  return typ.toLowerCase().replace(/^application\/(?=[^/]+$)/, '');
}

/** JWT-SVID 3.1. */
function checkTrustDomain({ issuer, claims }: VerifiedJwt): JwtFault | undefined {
  if (!isTrustDomain(issuer)) return undefined;
  const sub = memberOf(claims, 'sub');
  if (sub === undefined) return missing('sub');
  return trustDomainOf(sub) === issuer ? undefined : mismatch('sub');
}

const TEXTS = ['iss', 'sub', 'client_id', 'jti'];

function checkProfile(jwt: VerifiedJwt, expected: JwtExpectations, now: number): JwtFault | undefined {
  if (!expected.profile) return undefined;
  const { required, extraCheck } = PROFILES[expected.profile];
  const absent = required.find((name) => isAbsent(jwt.claims, name));
  if (absent !== undefined) return missing(absent);
  if (TEXTS.some((name) => required.includes(name) && !isText(jwt.claims[name]))) return MALFORMED;
  return extraCheck?.(jwt, expected, now);
}

/** OpenID Connect Core 3.1.3.7, steps 3 to 5. */
function checkAuthorizedParty({ claims, audiences }: VerifiedJwt): JwtFault | undefined {
  const azp = memberOf(claims, 'azp');
  if (azp === undefined) return Array.isArray(claims.aud) && claims.aud.length > 1 ? missing('azp') : undefined;
  return typeof azp === 'string' && audiences.includes(azp) ? undefined : mismatch('azp');
}

function checkLogout({ claims }: VerifiedJwt): JwtFault | undefined {
  const event = logoutEvent(claims);
  if (!isObject(event)) return mismatch('events');
  // A token with a nonce could be an ID token.
  if (memberOf(claims, 'nonce') !== undefined) return mismatch('nonce');
  const [sub, sid] = [memberOf(claims, 'sub'), memberOf(claims, 'sid')];
  if (sub === undefined && sid === undefined) return missing('sub');
  return [sub, sid].every((name) => name === undefined || isText(name)) ? undefined : MALFORMED;
}

const logoutEvent = (claims: VerifiedJwt['claims']): unknown => {
  const events = memberOf(claims, 'events');
  return memberOf(events, LOGOUT_EVENT);
};

function checkRequiredClaims({ claims }: VerifiedJwt, { requiredClaims = [] }: JwtExpectations): JwtFault | undefined {
  const absent = requiredClaims.find((name) => isAbsent(claims, name));
  return absent === undefined ? undefined : missing(absent);
}

function checkClaimValues({ claims }: VerifiedJwt, expected: JwtExpectations): JwtFault | undefined {
  for (const [name, value] of Object.entries(expected.claims ?? {})) {
    if (isAbsent(claims, name)) return missing(name);
    const found = claims[name];
    if (found !== value && !(Array.isArray(found) && found.includes(value))) return mismatch(name);
  }
  return undefined;
}

const ageClaim = ({ profile }: JwtExpectations): 'auth_time' | 'iat' => (profile === 'id_token' ? 'auth_time' : 'iat');

function checkAge({ claims }: VerifiedJwt, expected: JwtExpectations, now: number): JwtFault | undefined {
  if (expected.maxAge === undefined) return undefined;
  const name = ageClaim(expected);
  if (isAbsent(claims, name)) return missing(name);
  const since = claims[name];
  if (!isTime(since)) return MALFORMED;
  if (since > now + CLOCK_TOLERANCE_S) return { reason: 'not_yet_valid' };
  return now - since > expected.maxAge + CLOCK_TOLERANCE_S ? { reason: 'too_old' } : undefined;
}

function checkNonce({ claims }: VerifiedJwt, expected: JwtExpectations): JwtFault | undefined {
  if (expected.nonce === undefined) return undefined;
  if (isAbsent(claims, 'nonce')) return missing('nonce');
  return claims.nonce === expected.nonce ? undefined : mismatch('nonce');
}

const isAbsent = (claims: object, name: string): boolean => (memberOf(claims, name) ?? null) === null;
const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
