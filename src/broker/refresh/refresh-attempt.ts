// One attempt under the lease: claim the lease and record the intent in one durable commit, then spend the refresh token, then
// commit the response or record the failure.
import { isMinted } from '../../domain/auth-modes.ts';
import { isInDoubt, secondRequestAfter } from '../../domain/backoff.ts';
import type { Connection, Credentials } from '../../domain/connection.ts';
import { isRenewable } from '../../domain/refresh-schedule.ts';
import { reuseWindowMs } from '../../domain/target.ts';
import type {
  Claimed,
  Clock,
  Logger,
  ProviderClient,
  ProviderFault,
  ProviderResult,
  Store,
  TokenResponse,
  Vault,
} from '../../ports/index.ts';
import type { Targets } from '../integrations/index.ts';
import { decryptRenewalSecrets, newId } from '../secrets/index.ts';
import type { RefreshCommitter } from './commit.ts';
import type { ConcurrentRefreshes, RefreshResult } from './concurrent-refresh.ts';
import type { CircuitBreakers, CircuitKey, OpenCircuit, Permit } from './failures/circuit-breaker.ts';
import type { DeadGrantBreaker } from './failures/dead-grant-breaker.ts';
import type { FailureEvidence } from './failures/failure-evidence.ts';
import type { FailureJudge, RetriedGrant, Verdict } from './failures/failure-verdict.ts';
import type { Admitted, RefreshConditions } from './refresh-admission.ts';
import type { Attempt, LostResponse, RefreshOutcomes, RefreshPoint } from './refresh-outcome.ts';
import { circuitOpen } from './refusals.ts';
import { spend } from './spend.ts';

export interface RefreshAttempts {
  /**
   * `lostAt`: the refresh token may have been spent at this time (ms), and the response was lost. `isSlow` is called when the
   * provider takes long. `busy`: another process holds the lease. Rejects with `StoreError` when the store fails: then
   * nothing was spent, or the intent stays on record.
   */
  run(
    admitted: Admitted,
    conditions: Pick<RefreshConditions, 'lostAt' | 'isForced' | 'retried'>,
    isSlow: () => void,
  ): Promise<RefreshResult | LostResponse | 'busy'>;
  /** Resolves when second requests have ended whose first one was answered. */
  drain(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'claim' | 'connection'>;
  vault: Pick<Vault, 'decrypt'>;
  provider: Pick<ProviderClient, 'refresh'>;
  targets: Pick<Targets, 'targetOf'>;
  circuitBreakers: Pick<CircuitBreakers, 'admit' | 'report' | 'release' | 'openFor' | 'close'>;
  evidence: Pick<FailureEvidence, 'succeeded'>;
  deadGrants: Pick<DeadGrantBreaker, 'succeeded'>;
  judge: FailureJudge['judge'];
  committer: Pick<RefreshCommitter, 'adopt'>;
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

  /** One that may probe waits for the probe under way: its success permits both. */
  async function permitFor(key: CircuitKey, bypass: boolean): Promise<Permit | OpenCircuit> {
    for (;;) {
      const permit = circuitBreakers.admit(key, bypass);
      if (!('retryIn' in permit) || !permit.probeEnded) return permit;
      await permit.probeEnded;
    }
  }

  /** What the answer says of the endpoint, and what the failure counts for this connection. */
  async function report(
    permit: Permit,
    { resolved, key }: Admitted,
    answer: ProviderResult<unknown>,
    { retried, isLate }: { retried: RetriedGrant | undefined; isLate: boolean },
  ): Promise<Verdict | undefined> {
    if (!answer.ok) {
      const verdict = await parts.judge(key, resolved, answer.fault, retried);
      // That it is slow has been reported.
      if (!isLate || answer.fault.kind !== 'transient') circuitBreakers.report(permit, verdict.report);
      return verdict;
    }
    // The circuit may have opened because this answer was missing.
    if (isLate && circuitBreakers.openFor(key, 'outage') !== undefined) circuitBreakers.close(key);
    parts.evidence.succeeded(key);
    circuitBreakers.report(permit, 'answered');
    parts.deadGrants.succeeded(key, resolved);
    return undefined;
  }

  /** What the provider is asked; `credentials` are what it spends. */
  function requestOf(
    { resolved }: Admitted,
    connection: Connection,
    credentials: ReturnType<typeof decryptRenewalSecrets>,
  ): Parameters<ProviderClient['refresh']> {
    const { identity, captured } = connection;
    // Minted tokens are requested with all scopes of the integration, not only those that were granted the last time.
    const { scopes } = isMinted(resolved.auth) ? resolved.integration : connection;
    const redirectUri = parts.redirectUri(connection.integration);
    return [targets.targetOf(resolved, connection), { credentials, identity, scopes, captured, redirectUri }];
  }

  const underWay = new Set<Promise<void>>();
  function track(work: Promise<void>): void {
    const tracked = work.finally(() => underWay.delete(tracked));
    underWay.add(tracked);
  }

  /** The lease is claimed again before the same token is sent again: another process may have taken it over meanwhile. */
  async function reclaim({ claimed, fields }: Attempt): Promise<Claimed | undefined> {
    const { id, generation } = claimed.connection;
    const moment = { now: clock.now(), monotonic: clock.monotonic() };
    const again = await store.claim(id, { attempt: fields.attempt, generation, ...moment });
    return again === 'busy' || again === 'gone' ? undefined : { ...again, unresolved: claimed.unresolved };
  }

  /** Of two refresh tokens, the one that was issued last may be the only living one: it replaces the other. */
  async function keepLater(
    { claimed, auth, fields }: Attempt,
    spent: Credentials,
    kept: TokenResponse,
    later: Promise<ProviderResult<TokenResponse> | undefined>,
  ): Promise<void> {
    try {
      const answer = await later;
      const newer = answer?.ok ? answer.value : undefined;
      if (!newer?.refreshToken || newer.refreshToken === kept.refreshToken) return;
      const connection = await store.connection(claimed.connection.id);
      if (connection?.generation !== claimed.connection.generation + 1) return;
      await outcomes.succeeded({ claimed: { ...claimed, connection }, auth, fields }, newer, spent);
    } catch (error) {
      log.error({ ...fields, err: error }, 'refresh: a second response could not be kept');
    }
  }

  return {
    async run(admitted, { lostAt, isForced = false, retried }, isSlow) {
      const { connection: before, resolved, key } = admitted;
      const { auth } = resolved;
      const bypass = isForced || isInDoubt(lostAt, clock.now());
      const permit = await permitFor(key, bypass);
      if ('retryIn' in permit) return circuitOpen(before, permit);
      let isSent = false;
      try {
        const attempt = newId('att', clock.now());
        const moment = { now: clock.now(), monotonic: clock.monotonic() };
        const claimed = await store.claim(before.id, { attempt, generation: before.generation, ...moment });
        if (claimed === 'busy') return 'busy';
        if (claimed === 'gone') return await concurrentRefreshes.result(before);
        const { connection, unresolved, fence } = claimed;
        const fields = { attempt, connection: connection.id, integration: connection.integration };
        log.info(
          { ...fields, generation: connection.generation, unresolved: unresolved?.attempt },
          'refresh: lease claimed, intent recorded',
        );
        if (await committer.adopt(connection, fence, unresolved !== null))
          return await concurrentRefreshes.result(connection);
        const spent = decryptRenewalSecrets(vault, connection.id, claimed.credentials, auth);
        if (!isRenewable(auth, spent)) return await outcomes.notRefreshable({ claimed, auth, fields });

        parts.reached?.('claimed');
        const sent = { firstAt: unresolved?.startedAt ?? moment.now, at: moment.now, monotonic: clock.monotonic() };
        let held = { claimed, auth, fields };
        let isLate = false;
        let reclaimed: Promise<boolean> | undefined;
        async function renewHeld(): Promise<boolean> {
          const again = await reclaim(held);
          if (again) held = { ...held, claimed: again };
          return again !== undefined;
        }
        const request = requestOf(admitted, connection, spent);
        const { answer, later } = await spend({
          request: () => provider.refresh(...request),
          slowMs: parts.slowMs,
          onSlow() {
            isLate = true;
            log.warn(fields, 'refresh: no response yet, the request stays open');
            circuitBreakers.report(permit, { cause: 'outage', fault: slowFault(parts.slowMs) });
            isSlow();
          },
          secondAfterMs: secondRequestAfter(reuseWindowMs(request[0]), parts.slowMs),
          maySendAgain() {
            log.info(fields, 'refresh: no response yet, requesting it again beside the open request');
            reclaimed = renewHeld();
            return reclaimed;
          },
        });
        // An answer is committed under the newest claim, also if it came while that was made, or if that may have failed.
        await reclaimed?.catch(() => renewHeld().catch(() => false));
        isSent = true;
        parts.reached?.('answered');
        const verdict = await report(permit, admitted, answer, { retried, isLate });
        if (!answer.ok) return await outcomes.failed(held, { ...verdict!, key, retried }, sent);
        const result = await outcomes.succeeded(held, answer.value, spent);
        if (later) track(keepLater(held, spent, answer.value, later));
        return result;
      } finally {
        if (!isSent) circuitBreakers.release(permit);
      }
    },

    async drain() {
      await Promise.allSettled([...underWay]);
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
