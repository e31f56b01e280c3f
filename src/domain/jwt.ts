// What a JWT must be, beyond signed by its issuer, alive and for the audience: kinds of tokens are told apart, so that
// none passes for another (RFC 8725 3.11, 3.12), and claims are held against what is expected of them.
import { isTrustDomain, trustDomainOf } from './spiffe.ts';
import { CLOCK_TOLERANCE_S } from './time-limits.ts';

/** Why a JWT is refused. Stable: callers branch on them. */
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
  /** One of these is in `aud`. Undefined: one of the issuer's own; there must be some then. */
  audiences?: readonly string[] | undefined;
  /** Undefined: any token that does not say that it is something else than an access token or an ID token. */
  profile?: JwtProfile | undefined;
  /** The header `typ`, which must be there then; beside what the profile wants. */
  typ?: string | undefined;
  /** Neither absent nor null. */
  requiredClaims?: readonly string[] | undefined;
  /** By name: the claim is this value, or an array that has it as a member. */
  claims?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Seconds since `iat`; since `auth_time` where the profile is `id_token`. The claim must be there then. */
  maxAge?: number | undefined;
  /** Of an ID token. */
  nonce?: string | undefined;
}

/** A token whose signature, times and audience have been found good. */
export interface GenuineJwt {
  issuer: string;
  /** Of which one is in `aud`. */
  audiences: readonly string[];
  header: Readonly<Record<string, unknown>>;
  claims: Readonly<Record<string, unknown>>;
}

export interface JwtFault {
  reason: JwtReason;
  /** Its name, where `missing_claim` or `claim_mismatch` is the reason. */
  claim?: string;
}

const missing = (claim: string): JwtFault => ({ reason: 'missing_claim', claim });
const mismatch = (claim: string): JwtFault => ({ reason: 'claim_mismatch', claim });
const MALFORMED: JwtFault = { reason: 'malformed' };
const OTHER_TYPE: JwtFault = { reason: 'type_mismatch' };

type Check = (jwt: GenuineJwt, expected: JwtExpectations, now: number) => JwtFault | undefined;

const checks: readonly Check[] = [form, type, trustDomain, profile, required, equal, age, nonce];

/** The first thing that is wrong with it; undefined: it is as expected. `now` in seconds since the epoch. */
export function faultOf(jwt: GenuineJwt, expected: JwtExpectations, now: number): JwtFault | undefined {
  for (const check of checks) {
    const fault = check(jwt, expected, now);
    if (fault) return fault;
  }
  return undefined;
}

/** Seconds since the epoch: before then the same is expected of it with the same outcome. */
export function holdsUntil(claims: GenuineJwt['claims'], expected: JwtExpectations): number {
  const { exp } = claims;
  if (typeof exp !== 'number') return Number.NEGATIVE_INFINITY;
  const since = claims[agedBy(expected)];
  return expected.maxAge === undefined ? exp : Math.min(exp, (typeof since === 'number' ? since : 0) + expected.maxAge);
}

/** Deeper ones could not be shown again. */
const MOST_LEVELS = 32;

/** What no reader may be left to interpret: RFC 7519 2 (numbers), 4.1.3 (`aud`); RFC 7797 7 (`b64`). */
function form({ header, claims }: GenuineJwt): JwtFault | undefined {
  const endless = ['exp', 'nbf', 'iat'].some((name) => own(claims, name) !== undefined && !isTime(claims[name]));
  const audiences = [own(claims, 'aud')].flat();
  const encoded = header.b64 === undefined || header.b64 === true;
  const good = !endless && encoded && audiences.every((aud) => typeof aud === 'string') && fits(claims, MOST_LEVELS);
  return good ? undefined : MALFORMED;
}

const fits = (value: unknown, levels: number): boolean =>
  typeof value !== 'object' || value === null || (levels > 0 && Object.values(value).every((v) => fits(v, levels - 1)));

/** No `typ` at all. */
const UNTYPED = '';

interface Profile {
  types: readonly string[];
  required: readonly string[];
  also?: Check;
}

/** RFC 9068 4; OpenID Connect Core 2, 3.1.3.7; OpenID Connect Back-Channel Logout 2.4, 2.6. */
const PROFILES: Record<JwtProfile, Profile> = {
  access_token: { types: ['at+jwt'], required: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'] },
  id_token: { types: [UNTYPED, 'jwt'], required: ['iss', 'sub', 'aud', 'exp', 'iat'], also: authorizedParty },
  logout_token: {
    types: [UNTYPED, 'jwt', 'logout+jwt'],
    required: ['iss', 'aud', 'iat', 'exp', 'jti', 'events'],
    also: logout,
  },
};
const ANY_TYPES = [UNTYPED, 'jwt', 'at+jwt'];
/** JWT-SVID 2.3. */
const SVID_TYPES = [UNTYPED, 'jwt', 'jose'];

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** RFC 8725 3.11, 3.12. Logout tokens may be without a `typ`: they are known by their event. */
function type({ issuer, header, claims }: GenuineJwt, expected: JwtExpectations): JwtFault | undefined {
  const found = typeOf(header.typ);
  const wanted = expected.typ === undefined ? undefined : typeOf(expected.typ);
  const whenUntold = isTrustDomain(issuer) ? SVID_TYPES : ANY_TYPES;
  const types = expected.profile ? PROFILES[expected.profile].types : wanted === undefined ? whenUntold : [wanted];
  if (found === undefined || !types.includes(found)) return OTHER_TYPE;
  if (expected.typ !== undefined && found !== wanted) return OTHER_TYPE;
  const logoutWanted = expected.profile === 'logout_token' || (!expected.profile && wanted === 'logout+jwt');
  return !logoutWanted && logoutEvent(claims) !== undefined ? OTHER_TYPE : undefined;
}

/** Lower-case and without `application/` (RFC 7515 4.1.9); undefined: not a media type. */
function typeOf(typ: unknown): string | undefined {
  if (typ === undefined) return UNTYPED;
  // ASCII only: there are letters elsewhere that become one of these when they are made small.
  if (typeof typ !== 'string' || !/^[\x21-\x7e]+$/.test(typ)) return undefined;
  return typ.toLowerCase().replace(/^application\/(?=[^/]+$)/, '');
}

/** JWT-SVID 3.1. */
function trustDomain({ issuer, claims }: GenuineJwt): JwtFault | undefined {
  if (!isTrustDomain(issuer)) return undefined;
  const sub = own(claims, 'sub');
  if (sub === undefined) return missing('sub');
  return trustDomainOf(sub) === issuer ? undefined : mismatch('sub');
}

const TEXTS = ['iss', 'sub', 'client_id', 'jti'];

function profile(jwt: GenuineJwt, expected: JwtExpectations, now: number): JwtFault | undefined {
  if (!expected.profile) return undefined;
  const { required, also } = PROFILES[expected.profile];
  const absent = required.find((name) => isAbsent(jwt.claims, name));
  if (absent !== undefined) return missing(absent);
  if (TEXTS.some((name) => required.includes(name) && !isText(jwt.claims[name]))) return MALFORMED;
  return also?.(jwt, expected, now);
}

/** OpenID Connect Core 3.1.3.7, steps 3 to 5. */
function authorizedParty({ claims, audiences }: GenuineJwt): JwtFault | undefined {
  const azp = own(claims, 'azp');
  if (azp === undefined) return Array.isArray(claims.aud) && claims.aud.length > 1 ? missing('azp') : undefined;
  return typeof azp === 'string' && audiences.includes(azp) ? undefined : mismatch('azp');
}

function logout({ claims }: GenuineJwt): JwtFault | undefined {
  const event = logoutEvent(claims);
  if (!isObject(event)) return mismatch('events');
  // What has one could be an ID token.
  if (own(claims, 'nonce') !== undefined) return mismatch('nonce');
  const [sub, sid] = [own(claims, 'sub'), own(claims, 'sid')];
  if (sub === undefined && sid === undefined) return missing('sub');
  return [sub, sid].every((name) => name === undefined || isText(name)) ? undefined : MALFORMED;
}

const logoutEvent = (claims: GenuineJwt['claims']): unknown => {
  const events = own(claims, 'events');
  return isObject(events) ? own(events, LOGOUT_EVENT) : undefined;
};

function required({ claims }: GenuineJwt, { requiredClaims = [] }: JwtExpectations): JwtFault | undefined {
  const absent = requiredClaims.find((name) => isAbsent(claims, name));
  return absent === undefined ? undefined : missing(absent);
}

function equal({ claims }: GenuineJwt, expected: JwtExpectations): JwtFault | undefined {
  for (const [name, value] of Object.entries(expected.claims ?? {})) {
    if (isAbsent(claims, name)) return missing(name);
    const found = claims[name];
    if (found !== value && !(Array.isArray(found) && found.includes(value))) return mismatch(name);
  }
  return undefined;
}

const agedBy = ({ profile }: JwtExpectations): 'auth_time' | 'iat' => (profile === 'id_token' ? 'auth_time' : 'iat');

function age({ claims }: GenuineJwt, expected: JwtExpectations, now: number): JwtFault | undefined {
  if (expected.maxAge === undefined) return undefined;
  const name = agedBy(expected);
  if (isAbsent(claims, name)) return missing(name);
  const since = claims[name];
  if (!isTime(since)) return MALFORMED;
  if (since > now + CLOCK_TOLERANCE_S) return { reason: 'not_yet_valid' };
  return now - since > expected.maxAge + CLOCK_TOLERANCE_S ? { reason: 'too_old' } : undefined;
}

function nonce({ claims }: GenuineJwt, expected: JwtExpectations): JwtFault | undefined {
  if (expected.nonce === undefined) return undefined;
  if (isAbsent(claims, 'nonce')) return missing('nonce');
  return claims.nonce === expected.nonce ? undefined : mismatch('nonce');
}

/** Undefined where it stands in the prototype only. */
const own = (from: object, name: string): unknown =>
  Object.hasOwn(from, name) ? (from as Record<string, unknown>)[name] : undefined;
const isAbsent = (claims: object, name: string): boolean => (own(claims, name) ?? null) === null;
const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
