// Refreshing one connection: single flight, admission, a place in the queue of the rate limiter, then attempts under the
// lease until there is a result.
import { isInDoubt } from '../../domain/backoff.ts';
import type { Connection } from '../../domain/connection.ts';
import { withDeadline } from '../../domain/deadline.ts';
import {
  HOLDER_WAIT_MS,
  MIN_RETRY_AFTER_MS,
  SHUTDOWN_REFRESH_GRACE_MS,
  SLOW_REFRESH_MS,
} from '../../domain/time-limits.ts';
import type { Clock, Logger, PendingCommit, ProviderClient, Store, Telemetry, Vault } from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import type { TokenCache } from '../cache/index.ts';
import type { Targets } from '../integrations/index.ts';
import type { RefreshCommitter } from './commit.ts';
import { createConcurrentRefreshes, type RefreshResult } from './concurrent-refresh.ts';
import type { CircuitBreakers } from './failures/circuits/circuit-breaker.ts';
import type { DeadGrantBreaker } from './failures/dead-grant-breaker.ts';
import type { FailureEvidence } from './failures/failure-evidence.ts';
import { createFailureJudge } from './failures/failure-verdict.ts';
import { hasSeveralEndpoints } from './failures/token-endpoint.ts';
import { type RateLimiter, RateLimiterStopped } from './limits/rate-limiter.ts';
import { createResponseTimes } from './limits/response-times.ts';
import { createRetryAfterPacing } from './limits/retry-after-pacing.ts';
import type { Priority } from './limits/work-queue.ts';
import { isSuccessorOf } from './lineage.ts';
import { createRefreshAdmission, type RefreshConditions } from './refresh-admission.ts';
import { createRefreshAttempts } from './refresh-attempt.ts';
import { createRefreshOutcomes, type LostResponse, type RefreshPoint } from './refresh-outcome.ts';
import { unavailable } from './refusals.ts';
import { serveRescuedToken } from './rescued-token.ts';
import { createSingleFlight } from './single-flight.ts';

/**
 * One refresh at a time for each connection: a call while one is under way gets its result. A refresh is never given up
 * because its caller is. Each method rejects with `StoreError` or `VaultError`.
 */
export interface Refresher {
  /**
   * For a reader that has seen this generation. Resolves to `provider_unavailable` after `READER_WAIT_MS`. `isForced`: also
   * before the provider or the last failure permits it, and while the circuit is open. `due`: as it was read a moment ago.
   */
  refresh(
    seen: Pick<Connection, 'id' | 'generation'>,
    options?: Pick<RefreshConditions, 'isForced' | 'retried' | 'due'>,
  ): Promise<RefreshResult>;
  /** In the background: of one that is due, as it was read a moment ago. */
  refreshAhead(due: Connection): Promise<RefreshResult>;
  /**
   * In the background: the refresh token may have been spent at `lostAt` (ms), and the response was lost. While it can still
   * be requested again, it goes past an open circuit, and is queued like a read.
   */
  resolve(id: string, lostAt: number): Promise<RefreshResult>;
  /** The response that follows this row, waits in the rescue file, and so is not in the store: its token is the newest. */
  rescuedFor(row: Pick<Connection, 'id' | 'generation' | 'issuedAt'>): PendingCommit | undefined;
  /** How many refreshes are under way. */
  inFlight(): number;
  /** Synchronous: from now on no refresh token is claimed or sent; who needs one is refused. What has been sent continues. */
  stopClaiming(): void;
  /**
   * Resolves when the refreshes that are under way have ended, or after `SHUTDOWN_REFRESH_GRACE_MS`. What is unanswered by
   * then keeps its intent, and the next start requests it again.
   */
  drain(): Promise<void>;
}

export interface RefresherParts {
  store: Store;
  vault: Vault;
  provider: Pick<ProviderClient, 'prepare' | 'refresh'>;
  targets: Targets;
  tokenCache: TokenCache;
  committer: RefreshCommitter;
  rateLimiter: RateLimiter;
  circuitBreakers: CircuitBreakers;
  evidence: FailureEvidence;
  deadGrants: DeadGrantBreaker;
  access: Pick<Access, 'recordSystem'>;
  telemetry: Pick<Telemetry, 'refresh'>;
  clock: Clock;
  log: Logger;
  random: () => number;
  /** The redirect URI of an integration, as it was sent when the connection was made. */
  redirectUri: (integration: string) => string;
  /** A refresh without a response for this long (ms) is slow; `SLOW_REFRESH_MS` by default. */
  slowMs?: number | undefined;
  /** `drain` waits this long; `SHUTDOWN_REFRESH_GRACE_MS` by default. */
  graceMs?: number | undefined;
  /** Called at each point of a refresh; tests kill the process there. */
  reached?: ((point: RefreshPoint) => void) | undefined;
}

export function createRefresher(parts: RefresherParts): Refresher {
  const { store, committer, rateLimiter, clock, reached } = parts;
  const concurrentRefreshes = createConcurrentRefreshes(parts);
  const admission = createRefreshAdmission({ ...parts, concurrentRefreshes });
  const pacing = createRetryAfterPacing(parts);
  const outcomes = createRefreshOutcomes({ ...parts, concurrentRefreshes, pacing, reached });
  const { judge } = createFailureJudge(parts);
  const attempts = createRefreshAttempts({
    ...parts,
    slowMs: parts.slowMs ?? SLOW_REFRESH_MS,
    responseTimes: createResponseTimes(parts),
    judge,
    concurrentRefreshes,
    outcomes,
    reached,
  });
  const flights = createSingleFlight(rateLimiter);

  /** A lost response is requested once more at once if that is due. The readers go on waiting. */
  async function refreshOnce(id: string, priority: Priority, conditions: RefreshConditions): Promise<RefreshResult> {
    const result = await attempt(id, priority, conditions);
    if (!('lostAt' in result)) return result;
    const second = await attempt(id, 'read', { lostAt: result.lostAt });
    return 'lostAt' in second ? second.refusal : second;
  }

  async function attempt(
    id: string,
    priority: Priority,
    conditions: RefreshConditions,
  ): Promise<RefreshResult | LostResponse> {
    const rescued = committer.rescuedFor(id);
    if (rescued) return serveRescuedToken({ ...parts, concurrentRefreshes }, rescued);
    const admitted = await admission.admit(id, conditions);
    if (!('resolved' in admitted)) return admitted;
    const { connection, resolved, key } = admitted;
    const doubt = attempts.inDoubt(connection);
    if (doubt) return doubt;
    flights.queued(id, connection);
    const earlier = attempts.earlierRequest(id);
    if (earlier) await earlier;
    const until = clock.monotonic() + HOLDER_WAIT_MS;
    for (;;) {
      const run = (isSlow: () => void) =>
        attempts.run(admitted, conditions, () => {
          isSlow();
          flights.isSlow(id);
        });
      const isOneOfSeveral = hasSeveralEndpoints(resolved);
      const place = { integration: connection.integration, endpoint: key.endpoint, isOneOfSeveral, key: id };
      let result: Awaited<ReturnType<typeof run>>;
      try {
        result = await rateLimiter.run(place, priority, run);
      } catch (error) {
        if (!(error instanceof RateLimiterStopped)) throw error;
        return unavailable(connection, 'stopping', 'the broker is stopping', MIN_RETRY_AFTER_MS);
      }
      // While it waited: it goes to the new place, or is not refreshed any more.
      if (result === 'changed') return attempt(id, priority, conditions);
      if (result !== 'busy') return result;
      const concurrent = await concurrentRefreshes.wait(connection);
      if (concurrent === 'failed') {
        const failed = (await store.connection(id)) ?? connection;
        return admission.tooEarly(failed, resolved) ?? concurrentRefreshes.result(failed);
      }
      if (concurrent !== 'undecided') return concurrent;
      if (clock.monotonic() > until) return concurrentRefreshes.result(connection);
    }
  }

  async function drained(): Promise<void> {
    await flights.drain();
    await attempts.drain();
  }

  return {
    refresh: (seen, options) =>
      flights.runForReader(seen, () => refreshOnce(seen.id, 'read', { seenGeneration: seen.generation, ...options })),
    refreshAhead: (due) => flights.run(due.id, 'background', () => refreshOnce(due.id, 'background', { due })),
    resolve(id, lostAt) {
      const priority = isInDoubt(lostAt, clock.now()) ? 'read' : 'background';
      return flights.run(id, priority, () => refreshOnce(id, priority, { lostAt }));
    },
    rescuedFor(row) {
      const rescued = committer.rescuedFor(row.id);
      return rescued && isSuccessorOf(rescued, row) ? rescued : undefined;
    },
    inFlight: flights.count,
    stopClaiming() {
      rateLimiter.stop();
      attempts.stop();
    },
    drain: () => withDeadline(parts.graceMs ?? SHUTDOWN_REFRESH_GRACE_MS, drained(), () => undefined),
  };
}
