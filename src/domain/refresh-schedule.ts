// Which secrets renew a connection, when it is refreshed next, and when its grant ends: by authentication mode, from the
// catalogue.

import { type AuthMode, isCode, isStatic } from './auth-modes.ts';
import { type Credentials, refreshDueAt } from './connection.ts';
import { GRANT_END_TOLERANCE_MS } from './time-limits.ts';

/** The secrets that a refresh in this mode needs. Empty: it has no refresh. */
export function renewalSecrets(auth: AuthMode): readonly (keyof Credentials)[] {
  if (isStatic(auth)) return [];
  if (!isCode(auth)) return ['credentials'];
  if (!auth.refresh.supported) return [];
  return auth.refresh.spends === 'access_token' ? ['accessToken'] : ['refreshToken'];
}

export const isRenewable = (auth: AuthMode, credentials: { [S in keyof Credentials]: unknown }): boolean => {
  const needs = renewalSecrets(auth);
  return needs.length > 0 && needs.every((secret) => credentials[secret] !== null);
};

/** Milliseconds since the epoch; null: the grant has no known end. What nothing can renew ends with its access token. */
export function reauthDueAt(isRenewable: boolean, expiresAt: number | null, grantEndsAt: number | null): number | null {
  const ends = [grantEndsAt, isRenewable ? null : expiresAt].filter((at) => at !== null);
  return ends.length === 0 ? null : Math.min(...ends);
}

/** When a token issued now is refreshed; never before the provider accepts that. Null: never. */
export function nextRefreshAt(
  id: string,
  auth: AuthMode,
  now: number,
  expiresAt: number | null,
  idleSeconds: number | undefined,
): number | null {
  const lifeMs = expiresAt === null ? null : expiresAt - now;
  const due = refreshDueAt(id, now, expiresAt, idleMsOf(auth, idleSeconds, lifeMs));
  return due === null ? null : Math.max(due, now + minAgeMs(auth));
}

const minAgeMs = (auth: AuthMode): number => (isCode(auth) ? (auth.refresh.min_age ?? 0) * 1_000 : 0);

/** Whether the provider still refuses to renew a token of this age. A negative age (the clock was set back) is not young. */
export const isTooYoung = (auth: AuthMode, ageMs: number): boolean => ageMs >= 0 && ageMs < minAgeMs(auth);

/**
 * Milliseconds that the grant lives without being used; undefined: no limit. `saidSeconds`: as the provider said. A token
 * that renews itself must not expire, so its own life (`lifeMs`) is the limit.
 */
export function idleMsOf(auth: AuthMode, saidSeconds: number | undefined, lifeMs: number | null): number | undefined {
  if (!isCode(auth)) return undefined;
  if (auth.refresh.spends === 'access_token') return lifeMs ?? undefined;
  const seconds = saidSeconds ?? auth.refresh.idle_lifetime;
  return seconds === undefined ? undefined : seconds * 1_000;
}

/** The end of a grant whose refresh token expires before the next refresh may happen (`refreshAt`); null: it is in time. */
export function endOfUnrefreshable(
  now: number,
  idleSeconds: number | undefined,
  refreshAt: number | null,
): number | null {
  const endsAt = idleSeconds === undefined ? null : now + idleSeconds * 1_000;
  return endsAt !== null && (refreshAt === null || refreshAt >= endsAt) ? endsAt : null;
}

/**
 * When the grant ends, from a refresh token that expires at `endsAt`, where nothing says whether a refresh extends that: then,
 * until a refresh has. Null: a refresh extends it. `last`: the end that the response before named, and when; undefined:
 * there was none.
 */
export function observedEndAt(
  endsAt: number,
  now: number,
  last: { endsAt: number | null; at: number } | undefined,
): number | null {
  if (last === undefined) return endsAt;
  if (last.endsAt === null) return null;
  const moved = endsAt - last.endsAt;
  return moved > GRANT_END_TOLERANCE_MS && moved > (now - last.at) / 2 ? null : endsAt;
}

/** When the grant ends in any case: as the provider says now, as it said `before`, or as the catalogue says. Null: never. */
export function grantEndsAt(
  auth: AuthMode,
  saidSeconds: number | undefined,
  now: number,
  before: number | null,
): number | null {
  if (saidSeconds !== undefined) return now + saidSeconds * 1_000;
  if (before !== null) return before;
  const seconds = isCode(auth) ? auth.refresh.absolute_lifetime : undefined;
  return seconds === undefined ? null : now + seconds * 1_000;
}
