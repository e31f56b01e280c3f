// One attempt under the lease: claim the lease and record the intent in one durable commit, then spend the refresh token, then
// commit the response or record the failure.
import { isMinted } from '../../domain/auth-modes.ts';
import { isInDoubt } from '../../domain/backoff.ts';
import type { Connection } from '../../domain/connection.ts';
import { isRenewable } from '../../domain/refresh-schedule.ts';
import type { Clock, Logger, ProviderClient, ProviderResult, Store, Vault } from '../../ports/index.ts';
import type { Targets } from '../integrations/index.ts';
import { decryptRenewalSecrets, newId } from '../secrets/index.ts';
import type { RefreshCommitter } from './commit.ts';
import type { ConcurrentRefreshes, RefreshResult } from './concurrent-refresh.ts';
import type { CircuitBreakers, CircuitKey, OpenCircuit, Permit } from './failures/circuit-breaker.ts';
import type { DeadGrantBreaker } from './failures/dead-grant-breaker.ts';
import type { FailureEvidence } from './failures/failure-evidence.ts';
import type { FailureJudge, RetriedGrant, Verdict } from './failures/failure-verdict.ts';
import type { Admitted, RefreshConditions } from './refresh-admission.ts';
import type { LostResponse, RefreshOutcomes, RefreshPoint } from './refresh-outcome.ts';
import { circuitOpen } from './refusals.ts';

export interface RefreshAttempts {
  /**
   * `lostAt`: the refresh token may have been spent at this time (ms), and the response was lost. `busy`: another process
   * holds the lease. Rejects with `StoreError` when the store fails: then nothing was spent, or the intent stays on record.
   */
  run(
    admitted: Admitted,
    conditions: Pick<RefreshConditions, 'lostAt' | 'isForced' | 'retried'>,
  ): Promise<RefreshResult | LostResponse | 'busy'>;
}

interface Parts {
  store: Pick<Store, 'claim'>;
  vault: Pick<Vault, 'decrypt'>;
  provider: Pick<ProviderClient, 'refresh'>;
  targets: Pick<Targets, 'targetOf'>;
  circuitBreakers: Pick<CircuitBreakers, 'admit' | 'report' | 'release'>;
  evidence: Pick<FailureEvidence, 'succeeded'>;
  deadGrants: Pick<DeadGrantBreaker, 'succeeded'>;
  judge: FailureJudge['judge'];
  committer: Pick<RefreshCommitter, 'adopt'>;
  concurrentRefreshes: Pick<ConcurrentRefreshes, 'result'>;
  outcomes: RefreshOutcomes;
  redirectUri: (integration: string) => string;
  reached: ((point: RefreshPoint) => void) | undefined;
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
    retried: RetriedGrant | undefined,
  ): Promise<Verdict | undefined> {
    if (!answer.ok) {
      const verdict = await parts.judge(key, resolved, answer.fault, retried);
      circuitBreakers.report(permit, verdict.report);
      return verdict;
    }
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

  return {
    async run(admitted, { lostAt, isForced = false, retried }) {
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
        const answer = await provider.refresh(...requestOf(admitted, connection, spent));
        isSent = true;
        parts.reached?.('answered');
        const verdict = await report(permit, admitted, answer, retried);
        if (answer.ok) return await outcomes.succeeded({ claimed, auth, fields }, answer.value, spent);
        return await outcomes.failed({ claimed, auth, fields }, { ...verdict!, key, retried }, sent);
      } finally {
        if (!isSent) circuitBreakers.release(permit);
      }
    },
  };
}
