// What a failed renewal means for its connection: whether it is over, and when it is tried again. Only arithmetic.

import { type AuthMode, isCode, isMinted } from '../../domain/auth-modes.ts';
import { backoff, isInDoubt, lostBackoff, urgentBackoff } from '../../domain/backoff.ts';
import type { RefreshError } from '../../domain/connection.ts';
import { type ReauthReason, type Refusal, refuse } from '../../domain/errors.ts';
import type { Claimed, ProviderFault, RefreshFailure } from '../../ports/index.ts';
import type { OpenCircuit } from './circuit-breaker.ts';
import { reauthorizationRequired } from './concurrent-refresh.ts';

/** Of a connection that has failed more often in a row, a further lost answer is not asked for again soon. */
const LOST_TRIES = 12;

/** When the refresh token was sent, or about to be. `firstAt`: in the first of the attempts whose outcome is not known. */
export interface SpendTimes {
  firstAt: number;
  at: number;
  monotonic: number;
}

export interface FailureClassification {
  failure: RefreshFailure;
  /** For whoever waits. */
  refusal: Refusal;
  /** No answer came, and it is to be asked for again at once: since when it is in doubt. */
  lostAt: number | undefined;
}

interface Trial {
  fault: ProviderFault;
  claimed: Pick<Claimed, 'connection' | 'unresolved'>;
  auth: AuthMode;
  /** The integration's circuit, when it is open. */
  open: OpenCircuit | undefined;
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
  sent,
  now,
  monotonic,
  random,
}: Trial): FailureClassification {
  const { connection, unresolved } = claimed;
  const failures = connection.failures + 1;
  const reason = terminalReason(fault, unresolved !== null, auth);
  const code = errorCode(fault);
  const error = { code, detail: fault.detail, at: now, retryAt: null };
  if (reason !== null) {
    const failure = { reason, error, nextRefreshAt: null, resolved: true };
    return { failure, refusal: reauthorizationRequired(connection.id, reason), lostAt: undefined };
  }
  // What an earlier attempt left open stays open: that this one was turned away says nothing about that one.
  const unknown = fault.outcomeUnknown || unresolved !== null;
  // A lost answer is asked for again soon, within the reuse window that many providers grant, however often the
  // connection has failed before, and whatever has opened the circuit. One that is lost long after another begins anew:
  // perhaps only this one has reached the provider.
  const anew = fault.outcomeUnknown && !isInDoubt(sent.firstAt, now) && failures <= LOST_TRIES;
  const lostAt = anew ? sent.at : sent.firstAt;
  const inDoubt = unknown && isInDoubt(lostAt, now);
  const asked = (fault.retryAfter ?? 0) * 1_000;
  const soonest = inDoubt
    ? lostBackoff(lostAt, now, monotonic - sent.monotonic, asked)
    : Math.max(asked, urgentBackoff(failures), open?.retryIn ?? 0);
  const wait = inDoubt ? soonest : Math.max(soonest, backoff(failures, random));
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

/** Null: not surely terminal. */
function terminalReason(fault: ProviderFault, unresolved: boolean, auth: AuthMode): ReauthReason | null {
  if (fault.kind === 'identity_changed') return 'identity_changed';
  if (fault.kind !== 'grant_dead') return null;
  if (isMinted(auth)) return 'credentials_rejected';
  // One that never changes is refused for another reason than that it was spent.
  const spent = unresolved && !(isCode(auth) && auth.refresh.rotates === 'never');
  return spent ? 'refresh_outcome_unknown' : 'grant_revoked';
}

const MISCONFIGURED = 'misconfigured:';

/** As it is kept with the connection. */
export const errorCode = (fault: ProviderFault): RefreshError['code'] =>
  fault.kind === 'misconfigured' ? `${MISCONFIGURED}${fault.code}` : fault.code;

/** What a caller is told whose read cannot be served just now. `waitMs`: milliseconds. */
export function unavailable(
  { integration }: { integration: string },
  code: string,
  detail: string,
  waitMs: number,
): Refusal {
  if (code.startsWith(MISCONFIGURED)) return refuse({ code: 'integration_misconfigured', integration, detail });
  const retryAfter = Math.max(1, Math.ceil(waitMs / 1_000));
  return refuse({ code: 'provider_unavailable', integration, detail, retryAfter });
}
