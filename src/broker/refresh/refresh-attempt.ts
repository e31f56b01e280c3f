// One attempt under the lease: claim the lease and record the intent in one durable commit, then spend the refresh token, then
// commit the response or record the failure.
import { LRUCache } from 'lru-cache';
import { isMinted } from '../../domain/auth-modes.ts';
import { isInDoubt, secondRequestAfter } from '../../domain/backoff.ts';
import { upTo } from '../../domain/cache-bounds.ts';
import type { Connection, Credentials } from '../../domain/connection.ts';
import { withDeadline } from '../../domain/deadline.ts';
import type { Refusal } from '../../domain/errors.ts';
import { isRenewable } from '../../domain/refresh-schedule.ts';
import { namesTokens } from '../../domain/signal-receivers.ts';
import { pendingLookups, reuseWindowMs, type Target } from '../../domain/target.ts';
import { LEASE_IN_DOUBT_RETRY_MS } from '../../domain/time-limits.ts';
import type {
  Claimed,
  Clock,
  Logger,
  ProviderClient,
  ProviderFault,
  RefreshRequest,
  Store,
  TokenResponse,
  Vault,
} from '../../ports/index.ts';
import type { Targets } from '../integrations/index.ts';
import { decryptRenewalSecrets, newId } from '../secrets/index.ts';
import type { RefreshCommitter } from './commit.ts';
import type { ConcurrentRefreshes, RefreshResult } from './concurrent-refresh.ts';
import type { CircuitBreakers, Permit } from './failures/circuits/circuit-breaker.ts';
import type { DeadGrantBreaker } from './failures/dead-grant-breaker.ts';
import type { FailureEvidence } from './failures/failure-evidence.ts';
import type { FailureJudge, RetriedGrant, Verdict } from './failures/failure-verdict.ts';
import { RateLimiterStopped } from './limits/rate-limiter.ts';
import type { ResponseTimes } from './limits/response-times.ts';
import type { Admitted, RefreshConditions } from './refresh-admission.ts';
import type { Attempt, LostResponse, RefreshOutcomes, RefreshPoint } from './refresh-outcome.ts';
import { circuitOpen, unavailable } from './refusals.ts';
import { type Spent, spend } from './spend.ts';

export interface RefreshAttempts {
  /**
   * `lostAt`: the refresh token may have been spent at this time (ms), and the response was lost. `isSlow` is called when the
   * provider takes long. `busy`: another process holds the lease. `changed`: the integration was changed since it was admitted, and
   * nothing was sent. Rejects with `StoreError` when the store fails: then nothing was spent, or the intent stays on record; with
   * `RateLimiterStopped` after `stop`: then nothing was spent.
   */
  run(
    admitted: Admitted,
    conditions: Pick<RefreshConditions, 'lostAt' | 'isForced' | 'retried'>,
    isSlow: () => void,
  ): Promise<RefreshResult | LostResponse | 'busy' | 'changed'>;
  /** The refusal while another process, which has stopped answering, may have spent the refresh token; as of the last claim. */
  inDoubt(connection: Connection): Refusal | undefined;
  /**
   * Resolves when nothing newer is endangered by an open request with an earlier refresh token of this connection; undefined: there
   * is none. There is one after two requests were sent, and one of them was answered. It is waited for within the reuse window: a
   * provider that reads it later ends the grant in any case.
   */
  earlierRequest(id: string): Promise<void> | undefined;
  /** Synchronous: from now on nothing is claimed or sent, and what was claimed and not sent is given back. */
  stop(): void;
  /** Resolves when second requests have ended whose first one was answered. */
  drain(): Promise<void>;
}

/** A claim that comes too late to its request is repeated; this many in a row are a failure. */
const MAX_CLAIMS = 3;
/** Connections that are remembered. One that is forgotten is claimed again early, or keeps an intent that was never sent. */
const MAX_REMEMBERED = 10_000;

/** `isReported`: the circuit breaker knows what became of it. */
interface Permission {
  permit: Permit;
  isReported: boolean;
}

interface Parts {
  store: Pick<Store, 'claim' | 'releaseUnsent' | 'connection'>;
  vault: Pick<Vault, 'decrypt'>;
  provider: Pick<ProviderClient, 'prepare' | 'refresh'>;
  targets: Pick<Targets, 'targetOf' | 'isCurrent'>;
  circuitBreakers: Pick<CircuitBreakers, 'admit' | 'report' | 'release' | 'openFor' | 'close'>;
  evidence: Pick<FailureEvidence, 'succeeded'>;
  deadGrants: Pick<DeadGrantBreaker, 'succeeded'>;
  judge: FailureJudge['judge'];
  committer: Pick<RefreshCommitter, 'adopt'>;
  responseTimes: ResponseTimes;
  concurrentRefreshes: Pick<ConcurrentRefreshes, 'result'>;
  outcomes: RefreshOutcomes;
  redirectUri: (integration: string) => string;
  reached: ((point: RefreshPoint) => void) | undefined;
  slowMs: number;
  clock: Clock;
  log: Logger;
}

export function createRefreshAttempts(parts: Parts): RefreshAttempts {
  const { store, vault, provider, targets, circuitBreakers, committer, concurrentRefreshes, outcomes, clock, log } =
    parts;

  /** What the failure says of the endpoint, and what it counts for this connection. */
  async function reportFailure(
    permission: Permission,
    { resolved, key }: Admitted,
    fault: ProviderFault,
    { isExpected, isLate, isWithheld }: { isExpected: boolean; isLate: boolean; isWithheld: boolean },
  ): Promise<Verdict> {
    const verdict = await parts.judge(key, resolved, fault, isExpected);
    // That it is slow has been reported; and what was not sent says nothing.
    if (isWithheld || (isLate && fault.kind === 'transient')) return verdict;
    permission.isReported = true;
    circuitBreakers.report(permission.permit, verdict.report);
    return verdict;
  }

  /** What the answer says of the endpoint. */
  function reportSuccess(permission: Permission, { resolved, key }: Admitted, isLate: boolean): void {
    permission.isReported = true;
    // The circuit may have opened because this answer was missing.
    if (isLate && circuitBreakers.openFor(key, 'outage') !== undefined) circuitBreakers.close(key);
    parts.evidence.succeeded(key);
    circuitBreakers.report(permission.permit, 'answered');
    parts.deadGrants.succeeded(key, resolved);
  }
  /** Claims under which nothing was sent, and which could not be given back. */
  const unsent = new LRUCache<string, Pick<Claimed, 'fence' | 'unresolved'>>(upTo(MAX_REMEMBERED));
  /** Until when (monotonic) a connection whose lease is in doubt is not claimed again. */
  const doubtful = new LRUCache<string, number>(upTo(MAX_REMEMBERED));
  let isStopped = false;

  /** What the provider is asked; `credentials` are what it spends. */
  function requestOf({ resolved }: Admitted, connection: Connection, credentials: Credentials): RefreshRequest {
    const { identity, account, captured } = connection;
    // Minted tokens are requested with all scopes of the integration, not only those that were granted the last time.
    const { scopes } = isMinted(resolved.auth) ? resolved.integration : connection;
    return { credentials, identity, account, scopes, captured, redirectUri: parts.redirectUri(connection.integration) };
  }

  const inDoubt = (connection: Connection): Refusal =>
    unavailable(
      connection,
      'refresh_in_doubt',
      'another process that has stopped answering may have refreshed this connection',
      LEASE_IN_DOUBT_RETRY_MS,
    );

  /** Requests whose twin was answered. */
  const underWay = new Set<Promise<void>>();
  /** By connection, those of them that are still within the reuse window. */
  const earlier = new Map<string, Promise<void>>();
  function track(id: string, work: Promise<unknown>, windowMs: number): void {
    const ended = work.then(
      () => undefined,
      () => undefined,
    );
    underWay.add(ended);
    void ended.then(() => underWay.delete(ended));
    const waited = withDeadline(windowMs, ended, () => undefined).then(() => void earlier.delete(id));
    earlier.set(id, waited);
  }

  /** The lease is claimed again before the same token is sent again: another process may have taken it over meanwhile. */
  async function reclaim({ claimed, fields }: Attempt): Promise<Claimed | undefined> {
    const { id, generation } = claimed.connection;
    const moment = { now: clock.now(), monotonic: clock.monotonic() };
    const again = await store.claim(id, { attempt: fields.attempt, generation, ...moment });
    return typeof again === 'string' ? undefined : { ...again, unresolved: claimed.unresolved };
  }

  /** Of two refresh tokens, the one that was issued last may be the only living one: it replaces the other. */
  async function keepLater(
    { claimed, ...same }: Attempt,
    spent: Credentials,
    kept: TokenResponse,
    later: NonNullable<Spent['other']>,
  ): Promise<void> {
    try {
      const answer = await later;
      const newer = answer?.ok ? answer.value : undefined;
      if (!newer?.refreshToken || newer.refreshToken === kept.refreshToken) return;
      const connection = await store.connection(claimed.connection.id);
      if (connection?.generation !== claimed.connection.generation + 1) return;
      await outcomes.succeeded({ ...same, claimed: { ...claimed, connection } }, newer, spent);
    } catch (error) {
      log.error({ ...same.fields, err: error }, 'refresh: a second response could not be kept');
    }
  }

  /** One claim and its request. `withheld`: the request came too late to its claim, or the integration was changed: it was not sent. */
  async function claimAndSend(
    admitted: Admitted,
    target: Target,
    permission: Permission,
    retried: RetriedGrant | undefined,
    unready: ProviderFault | undefined,
    isLast: boolean,
    isSlow: () => void,
  ): Promise<RefreshResult | LostResponse | 'busy' | 'changed' | 'withheld'> {
    const { connection: before, resolved } = admitted;
    const { id, generation, integration } = before;
    const { auth } = resolved;
    if (isStopped) throw new RateLimiterStopped('the broker is stopping');
    if (!targets.isCurrent(resolved)) return 'changed';
    const attempt = newId('att', clock.now());
    const moment = { now: clock.now(), monotonic: clock.monotonic() };
    const windowMs = reuseWindowMs(target);
    // Where tokens are minted, nothing is spent.
    const acceptedForMs = isMinted(auth) ? Number.POSITIVE_INFINITY : windowMs;
    const ask = { attempt, generation, ...moment, reuseWindowMs: acceptedForMs, unsent: unsent.get(id) };
    const claimed = await store.claim(id, ask);
    if (claimed === 'busy') return 'busy';
    if (claimed === 'gone') return concurrentRefreshes.result(before);
    if (claimed === 'in_doubt') {
      doubtful.set(id, moment.monotonic + LEASE_IN_DOUBT_RETRY_MS);
      const message = 'refresh: the process that holds the lease has stopped answering, and may have spent the token';
      log.warn({ attempt, connection: id, integration }, message);
      return inDoubt(before);
    }
    unsent.delete(id);
    const { connection, unresolved, fence } = claimed;
    const fields = { attempt, connection: id, integration };
    // One line for a refresh: the one that says how it ended. What an earlier process left is worth another.
    log[unresolved ? 'info' : 'debug'](
      { ...fields, generation: connection.generation, unresolved: unresolved?.attempt },
      'refresh: lease claimed, intent recorded',
    );
    const adopting = committer.adopt(connection, fence, unresolved !== null);
    if (adopting && (await adopting)) return concurrentRefreshes.result(connection);
    const claimedTarget = targets.targetOf(resolved, connection);
    const hasLookups = pendingLookups(claimedTarget, connection.captured).length > 0;
    const spent = decryptRenewalSecrets(vault, connection, claimed.credentials, auth, hasLookups);
    const of = { createdAt: resolved.integration.createdAt };
    if (!isRenewable(auth, spent)) return outcomes.notRefreshable({ claimed, auth, of, namesTokens: false, fields });

    parts.reached?.('claimed');
    const sent = { firstAt: unresolved?.startedAt ?? moment.now, at: moment.now, monotonic: clock.monotonic() };
    let held = { claimed, auth, of, namesTokens: namesTokens(resolved.provider), fields };
    let isLate = false;
    let reclaimed: Promise<boolean> | undefined;
    async function renewHeld(): Promise<boolean> {
      const again = isStopped ? undefined : await reclaim(held);
      if (again) held = { ...held, claimed: again };
      return again !== undefined;
    }
    const mayStillSend = () => !isStopped && targets.isCurrent(resolved) && held.claimed.isStillHeld();
    const request = { ...requestOf(admitted, connection, spent), mayStillSend };
    const { endpoint } = admitted.key;
    const secondAfterMs = secondRequestAfter(windowMs, parts.slowMs);
    const isSlowAnyway = secondAfterMs !== undefined && parts.responseTimes.isSlowerThan(endpoint, secondAfterMs);
    const { answer, other, isOtherLater } = await spend({
      request: () =>
        unready
          ? Promise.resolve({ ok: false, fault: unready })
          : parts.responseTimes.measure(endpoint, () => provider.refresh(claimedTarget, request)),
      slowMs: parts.slowMs,
      onSlow() {
        isLate = true;
        log.warn(fields, 'refresh: no response yet, the request stays open');
        permission.isReported = true;
        circuitBreakers.report(permission.permit, { cause: 'outage', fault: slowFault(parts.slowMs) });
        isSlow();
      },
      secondAfterMs: isSlowAnyway ? undefined : secondAfterMs,
      maySendAgain() {
        log.info(fields, 'refresh: no response yet, requesting it again beside the open request');
        reclaimed = renewHeld();
        return reclaimed;
      },
    });
    // An answer is committed under the newest claim, also if it came while that was made, or if that may have failed.
    if (reclaimed) await reclaimed.catch(() => renewHeld().catch(() => false));
    const isWithheld = !answer.ok && answer.fault.code === 'withheld' && !answer.fault.outcomeUnknown;
    if (isWithheld && (isStopped || !isLast || !targets.isCurrent(resolved))) {
      log.warn(fields, 'refresh: request withheld, it came too late to its claim, or its integration was changed');
      unsent.set(id, { fence: held.claimed.fence, unresolved });
      return 'withheld';
    }
    parts.reached?.('answered');
    if (!answer.ok) {
      const isExpected = retried !== undefined || unresolved !== null;
      const verdict = await reportFailure(permission, admitted, answer.fault, { isExpected, isLate, isWithheld });
      return outcomes.failed(held, { ...verdict, key: admitted.key, retried }, sent);
    }
    reportSuccess(permission, admitted, isLate);
    const kept = outcomes.succeeded(held, answer.value, spent);
    // From now on: a reader may see the new token before its commit is on the disk, and have it refreshed.
    if (other) track(id, isOtherLater ? kept.then(() => keepLater(held, spent, answer.value, other)) : other, windowMs);
    return await kept;
  }

  return {
    async run(admitted, { lostAt, isForced = false, retried }, isSlow) {
      const { connection, resolved, key } = admitted;
      const { id } = connection;
      const bypass = isForced || isInDoubt(lostAt, clock.now());
      let permit = circuitBreakers.admit(key, bypass);
      // One that may probe waits for the probe under way: its success permits both.
      for (; 'retryIn' in permit && permit.probeEnded; permit = circuitBreakers.admit(key, bypass))
        await permit.probeEnded;
      if ('retryIn' in permit) return circuitOpen(connection, permit);
      const permission: Permission = { permit, isReported: false };
      try {
        const target = targets.targetOf(resolved, connection);
        const preparing = provider.prepare(target);
        const unready = preparing && (await preparing);
        for (let claims = 1; ; claims++) {
          const isLast = claims === MAX_CLAIMS;
          const result = await claimAndSend(admitted, target, permission, retried, unready, isLast, isSlow);
          if (result !== 'withheld') return result;
          if (!isStopped && targets.isCurrent(resolved)) continue;
          await store.releaseUnsent(id, unsent.get(id)!);
          unsent.delete(id);
          if (!isStopped) return 'changed';
          throw new RateLimiterStopped('the broker is stopping');
        }
      } finally {
        if (!permission.isReported) circuitBreakers.release(permit);
      }
    },

    inDoubt: (connection) => {
      const isOver = clock.monotonic() >= (doubtful.get(connection.id) ?? 0);
      return isOver ? undefined : inDoubt(connection);
    },
    earlierRequest: (id) => earlier.get(id),
    stop() {
      isStopped = true;
    },

    async drain() {
      await Promise.allSettled(underWay);
    },
  };
}

const slowFault = (ms: number): ProviderFault => ({
  kind: 'transient',
  code: 'slow',
  detail: `refresh: no response within ${Math.ceil(ms / 1_000)} s, the request stays open`,
  retryAfter: undefined,
  outcomeUnknown: true,
});
