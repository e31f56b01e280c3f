// When tokens expire, as a token response says it: in the catalogue's words, else in those that servers commonly use.
import { isCode, type TokenMode } from '../../domain/auth-modes.ts';
import { fill, type Values } from '../../domain/fields.ts';
import { at, firstAt } from '../../domain/json-path.ts';
import { claimsOf } from '../../domain/jwt-claims.ts';
import type { TokenResponse } from '../../ports/index.ts';
import { isNumeric, positiveSeconds, secondsUntil } from './json-paths.ts';

/** Seconds. No token lives for thirty years, and no point in time is before 2001. */
const EPOCH_FROM = 1e9;

const STANDARD_IN = 'expires_in';
/** Of Azure AD v1 and others. */
const USUAL_AT = ['expires_at', 'expires_on'];
const USUAL_REFRESH_IN = ['refresh_expires_in', 'refresh_token_expires_in', 'x_refresh_token_expires_in'];
const USUAL_REFRESH_AT = ['refresh_expires_at', 'refresh_token_expires_at'];

/** `now`: by the provider's clock, if the response has it. */
export interface ExpiryContext {
  auth: TokenMode;
  accessToken: string;
  values: Values;
  now: number;
}

/**
 * Whole seconds until the access token expires: as the catalogue's paths say, as `expires_at` or `expires_on` say, as the
 * token itself says if it is a JWT, or as the catalogue knows. Undefined: none of these.
 */
export function accessTokenLifetime(body: unknown, context: ExpiryContext): number | undefined {
  const { auth, accessToken, values, now } = context;
  const { expires } = auth.token_answer;
  const own = expires.at === undefined ? undefined : secondsUntil(firstAt(body, expires.at), now);
  return (
    secondsFrom(firstAt(body, expires.in), now) ??
    own ??
    (expires.in.includes(STANDARD_IN) ? secondsFrom(firstAt(body, USUAL_AT), now) : undefined) ??
    jwtLifetime(accessToken, expires.jwt, now) ??
    fallbackLifetime(expires.otherwise, values)
  );
}

type RefreshTokenExpiry = Pick<TokenResponse, 'idleIn' | 'endsIn' | 'refreshExpiresIn'>;

/**
 * Seconds until the refresh token expires: as the catalogue's paths say. Otherwise in the usual members, which do not say
 * whether a refresh extends it: the catalogue may know.
 */
export function refreshTokenExpiry(body: unknown, { auth, now }: ExpiryContext): RefreshTokenExpiry {
  const said = auth.token_answer.refresh_expires;
  const until = (paths: readonly string[] | undefined) => secondsUntil(firstAt(body, paths), now);
  const idleIn = positiveSeconds(firstAt(body, said.idle_in)) ?? until(said.idle_at);
  const endsIn = positiveSeconds(firstAt(body, said.end_in)) ?? until(said.end_at);
  const none = { idleIn, endsIn, refreshExpiresIn: undefined };
  if (!isCode(auth) || Object.values(said).some((paths) => paths !== undefined)) return none;
  const usual = secondsFrom(firstAt(body, USUAL_REFRESH_IN), now) ?? secondsFrom(firstAt(body, USUAL_REFRESH_AT), now);
  if (usual === undefined) return none;
  const { rotates, absolute_lifetime: absolute, idle_lifetime: idle } = auth.refresh;
  if (absolute !== undefined || rotates === 'never') return { ...none, endsIn: usual };
  return idle === undefined ? { ...none, refreshExpiresIn: usual } : { ...none, idleIn: usual };
}

/**
 * A duration or a point in time, whatever the name of the member says: a number that makes no sense as one is the other. A
 * point in time that has passed says nothing about a token that was issued just now.
 */
function secondsFrom(value: unknown, now: number): number | undefined {
  if (isNumeric(value)) {
    if (Number(value) < EPOCH_FROM) return positiveSeconds(value);
  } else if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\d|,| /.test(value.trim())) return undefined;
  const seconds = secondsUntil(value, now);
  return seconds === 1 ? undefined : seconds;
}

/** `declared`: the catalogue says that it is a JWT. */
function jwtLifetime(token: string, declared: boolean, now: number): number | undefined {
  const exp = at(claimsOf(token), 'exp');
  if (typeof exp !== 'number') return undefined;
  return declared ? secondsUntil(exp, now) : secondsFrom(exp, now);
}

const fallbackLifetime = (seconds: number | string | undefined, values: Values): number | undefined =>
  typeof seconds === 'string' ? positiveSeconds(fill(seconds, values)) : seconds;
