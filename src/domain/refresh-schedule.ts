// What renews a grant, and until when it can: per mode, as the catalogue says.

import { type AuthMode, isCode, isStatic } from './auth-modes.ts';
import { type Credentials, refreshDueAt } from './connection.ts';

/** The secrets that a renewal of this mode needs; none: it cannot be renewed. */
export function renewedBy(auth: AuthMode): readonly (keyof Credentials)[] {
  if (isStatic(auth)) return [];
  if (!isCode(auth)) return ['credentials'];
  if (!auth.refresh.supported) return [];
  return auth.refresh.spends === 'access_token' ? ['accessToken'] : ['refreshToken'];
}

export const isRenewable = (auth: AuthMode, grant: { [S in keyof Credentials]: unknown }): boolean => {
  const needs = renewedBy(auth);
  return needs.length > 0 && needs.every((secret) => grant[secret] !== null);
};

/** When a token issued now should be renewed; never before the provider would do it. Null: never. */
export function dueAt(
  id: string,
  auth: AuthMode,
  now: number,
  expiresAt: number | null,
  idleSeconds: number | undefined,
): number | null {
  const due = refreshDueAt(
    id,
    now,
    expiresAt,
    idleMsOf(auth, idleSeconds, expiresAt === null ? null : expiresAt - now),
  );
  return due === null ? null : Math.max(due, now + minAgeMs(auth));
}

const minAgeMs = (auth: AuthMode): number => (isCode(auth) ? (auth.refresh.min_age ?? 0) * 1_000 : 0);

/** A clock that was set back makes nothing young. */
export const isTooYoung = (auth: AuthMode, ageMs: number): boolean => ageMs >= 0 && ageMs < minAgeMs(auth);

/**
 * Milliseconds that the grant lives when it is not used. A token that renews itself must not run out: its own life
 * (`lifeMs`) is what it may be left alone for.
 */
export function idleMsOf(auth: AuthMode, saidSeconds: number | undefined, lifeMs: number | null): number | undefined {
  if (!isCode(auth)) return undefined;
  if (auth.refresh.spends === 'access_token') return lifeMs ?? undefined;
  const seconds = saidSeconds ?? auth.refresh.idle_lifetime;
  return seconds === undefined ? undefined : seconds * 1_000;
}

/** When the grant ends in any case: as the provider says now, as it said before, or as the catalogue says. Null: never. */
export function endOf(
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
