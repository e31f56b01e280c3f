// What a failed refresh means for its connection: whether the grant is over, and when to try again. Pure arithmetic.

import { type AuthMode, isCode, isMinted } from '../../domain/auth-modes.ts';
import { backoff, inDoubtSince, isInDoubt, lostResponseBackoff, readBackoff } from '../../domain/backoff.ts';
import { type Connection, lifetime } from '../../domain/connection.ts';
import type { ReauthReason, Refusal } from '../../domain/errors.ts';
import { idleMsOf } from '../../domain/refresh-schedule.ts';
import { LAST_TRY_BEFORE_END_MS, SLOW_REFRESH_MS } from '../../domain/time-limits.ts';
import type { Claimed, ProviderFault, RefreshFailure } from '../../ports/index.ts';
import type { OpenCircuit } from './failures/circuits/circuit-breaker.ts';
import { errorCode, reauthorizationRequired, unavailable } from './refusals.ts';

/** After this many failures in a row, a lost response does not begin a new window of early retries. */
const LOST_RESPONSE_MAX_FAILURES = 12;

/** When the refresh token was sent, or was about to be. `firstAt`: in the first of the attempts with an unknown outcome. */
export interface SpendTimes {
  firstAt: number;
  at: number;
  monotonic: number;
}

export interface FailureClassification {
  failure: RefreshFailure;
  /** For the readers that wait. */
  refusal: Refusal;
  /** The response was lost, and is to be requested again at once: since when it is in doubt (ms). */
  lostAt: number | undefined;
}

interface FailedRefresh {
  fault: ProviderFault;
  claimed: Pick<Claimed, 'connection' | 'unresolved'>;
  auth: AuthMode;
  /** The integration's circuit, if it is open. */
  open: OpenCircuit | undefined;
  /** How long the provider asks to wait, in milliseconds. */
  asked: number;
  sent: SpendTimes;
  now: number;
  monotonic: number;
  /** In [0, 1). */
  random: number;
}

export function classifyRefreshFailure({
  fault,
  claimed,
  auth,
  open,
  asked,
  sent,
  now,
  monotonic,
  random,
}: FailedRefresh): FailureClassification {
  const { connection, unresolved } = claimed;
  const failures = connection.failures + 1;
  const reason = terminalReason(fault, fault.outcomeUnknown || unresolved !== null, auth);
  const code = errorCode(fault);
  const error = { code, detail: fault.detail, at: now, retryAt: null };
  if (reason !== null) {
    const failure = { reason, error, nextRefreshAt: null, resolved: true };
    return { failure, refusal: reauthorizationRequired(connection.id, reason), lostAt: undefined };
  }
  // An earlier attempt with an unknown outcome stays unknown: the refusal of this one says nothing about it.
  const unknown = fault.outcomeUnknown || unresolved !== null;
  // A lost response is requested again early, within the reuse window of many providers, however often the connection has
  // failed before and whatever has opened the circuit. One that is lost long after another begins a new window: perhaps
  // only this request has reached the provider. A slow one does so once only: the provider has stopped.
  const isAgain = unresolved !== null && monotonic - sent.monotonic >= SLOW_REFRESH_MS;
  const newWindow =
    fault.outcomeUnknown && !isAgain && !isInDoubt(sent.firstAt, now) && failures <= LOST_RESPONSE_MAX_FAILURES;
  const lostAt = newWindow ? inDoubtSince(sent.at, now) : sent.firstAt;
  const inDoubt = unknown && isInDoubt(lostAt, now);
  const longest = longestWait(connection, auth, now);
  const soonest = inDoubt
    ? lostResponseBackoff(lostAt, now, monotonic - sent.monotonic, asked)
    : Math.min(longest, Math.max(asked, readBackoff(failures), open?.retryIn ?? 0));
  const wait = inDoubt ? soonest : Math.min(longest, Math.max(soonest, backoff(failures, random)));
  return {
    failure: {
      reason: null,
      error: { ...error, retryAt: now + soonest },
      nextRefreshAt: now + wait,
      resolved: !unknown,
    },
    refusal: unavailable(connection, code, fault.detail, soonest),
    lostAt: wait === 0 ? lostAt : undefined,
  };
}

/**
 * Milliseconds until the last try before the token expires, the grant dies of idleness, or it ends; `Infinity` when none of
 * these is ahead, or is too close for another try.
 */
function longestWait(connection: Connection, auth: AuthMode, now: number): number {
  const { issuedAt, expiresAt, reauthDueAt } = connection;
  const idle = idleMsOf(auth, undefined, lifetime(connection));
  const ends = [expiresAt, reauthDueAt, idle === undefined ? null : issuedAt + idle];
  const left = ends.map((end) => (end ?? Number.POSITIVE_INFINITY) - LAST_TRY_BEFORE_END_MS - now);
  return Math.min(...left.filter((ms) => ms >= LAST_TRY_BEFORE_END_MS));
}

/** Null: the grant may still be alive. */
function terminalReason(fault: ProviderFault, unresolved: boolean, auth: AuthMode): ReauthReason | null {
  if (fault.kind === 'identity_changed') return 'identity_changed';
  if (fault.kind !== 'grant_dead') return null;
  if (isMinted(auth)) return 'credentials_rejected';
  // A refresh token that never rotates cannot have been refused because it was spent.
  const mayBeSpent = unresolved && !(isCode(auth) && auth.refresh.rotates === 'never');
  return mayBeSpent ? 'refresh_outcome_unknown' : 'grant_revoked';
}
