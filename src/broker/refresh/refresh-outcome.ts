// The outcome of an attempt: the response is committed before its token is served, or the failure is recorded.
import type { AuthMode } from '../../domain/auth-modes.ts';
import { keepsCapturedValues } from '../../domain/captured-values.ts';
import { type Connection, type Credentials, hasExpired, lifetime } from '../../domain/connection.ts';
import { Refusal } from '../../domain/errors.ts';
import { withDpopKey, withSource } from '../../domain/imported-credentials.ts';
import { MIN_RETRY_AFTER_MS } from '../../domain/time-limits.ts';
import type {
  Claimed,
  Clock,
  Logger,
  ProviderFault,
  ReadIntegration,
  RefreshFailure,
  Store,
  Telemetry,
  TokenResponse,
  Vault,
} from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import { type TokenCache, toServedToken } from '../cache/index.ts';
import type { Targets } from '../integrations/index.ts';
import { encryptCredentials, keepUnreadableResponse } from '../secrets/index.ts';
import { classifyRefreshFailure, type SpendTimes } from './classify-failure.ts';
import type { CommitOutcome, RefreshCommitter } from './commit.ts';
import type { ConcurrentRefreshes, RefreshResult } from './concurrent-refresh.ts';
import { ageOf } from './failures/circuits/circuit.ts';
import type { CircuitBreakers, CircuitKey } from './failures/circuits/circuit-breaker.ts';
import type { DeadGrantBreaker } from './failures/dead-grant-breaker.ts';
import type { RetriedGrant } from './failures/failure-verdict.ts';
import type { RetryAfterPacing } from './limits/retry-after-pacing.ts';
import { changesTimesOnly, rotationFrom } from './refreshed-fields.ts';
import { reauthorizationRequired, unavailable } from './refusals.ts';

/** The intent is recorded · the provider has answered · the response is durable. */
export type RefreshPoint = 'claimed' | 'answered' | 'committed';

/** An attempt that holds the lease. */
export interface Attempt {
  claimed: Claimed;
  auth: AuthMode;
  /** That was asked. */
  of: ReadIntegration;
  /** Its provider's signals name refresh tokens by digests. */
  namesTokens: boolean;
  /** Of every log line about it. */
  fields: { attempt: string; connection: string; integration: string };
}

/** What the provider's failure counts for this connection. */
export interface Failed {
  fault: ProviderFault;
  /** The provider called the grant dead, and that is not believed yet. */
  isDoubted: boolean;
  key: CircuitKey;
  /** If it was dead before. */
  retried: RetriedGrant | undefined;
}

/** The provider's response was lost, and is to be requested again at once. */
export interface LostResponse {
  /** Since when it is in doubt whether the refresh token was spent (ms). */
  lostAt: number;
  /** For the readers, if it is not requested again. */
  refusal: Refusal;
}

export interface RefreshOutcomes {
  /** Commits the response, then serves its token. `spent`: what the response leaves out stays as it was. */
  succeeded(attempt: Attempt, response: TokenResponse, spent: Credentials): Promise<RefreshResult>;
  /** Records the failure. Rejects with `StoreError`: then the intent stays on record. */
  failed(attempt: Attempt, failed: Failed, sent: SpendTimes): Promise<RefreshResult | LostResponse>;
  /**
   * There is no refresh token: the grant is over once the access token has expired, and active until then. Admission refuses
   * the attempts that follow, so that a connection gets here once before its token has expired, and once after.
   */
  notRefreshable(attempt: Attempt): Promise<RefreshResult>;
}

const COMMIT_MESSAGES: Record<CommitOutcome, string> = {
  committed: 'refresh: refresh token spent, response committed',
  held: 'refresh: refresh token spent, response committed, not served: the connection was put on hold or ended meanwhile',
  rescued: 'refresh: refresh token spent, response in the rescue file, its commit will be retried',
  superseded: 'refresh: response discarded, a newer generation is stored',
  gone: 'refresh: response discarded, the connection was revoked, the tokens will be revoked at the provider',
};

interface Parts {
  store: Pick<Store, 'recordRefreshFailure' | 'addUnreadableResponse'>;
  vault: Pick<Vault, 'encrypt' | 'digests'>;
  tokenCache: TokenCache;
  committer: Pick<RefreshCommitter, 'commit'>;
  circuitBreakers: Pick<CircuitBreakers, 'blocked'>;
  targets: Pick<Targets, 'find'>;
  deadGrants: Pick<DeadGrantBreaker, 'recorded'>;
  concurrentRefreshes: Pick<ConcurrentRefreshes, 'result'>;
  access: Pick<Access, 'recordSystem'>;
  pacing: RetryAfterPacing;
  telemetry: Pick<Telemetry, 'refresh'>;
  reached: ((point: RefreshPoint) => void) | undefined;
  random: () => number;
  clock: Clock;
  log: Logger;
}

export function createRefreshOutcomes(parts: Parts): RefreshOutcomes {
  const { store, vault, tokenCache, committer, circuitBreakers, concurrentRefreshes, pacing, telemetry, clock, log } =
    parts;

  /** Seconds of life that the token had left when its refresh was done; null when it does not expire. */
  const lifeLeft = ({ expiresAt }: Connection): number | null =>
    expiresAt === null ? null : (expiresAt - clock.now()) / 1_000;

  /** `result` is what the readers get, unless a concurrent refresh has superseded this one. */
  async function record<R>(
    { connection, fence }: Claimed,
    failure: RefreshFailure,
    result: R,
  ): Promise<R | RefreshResult> {
    const { id, integration, owner, generation } = connection;
    const { reason, error } = failure;
    const action = reason === null ? 'connection.refresh_failed' : 'connection.needs_reauth';
    const subject = { integration, owner, connectionId: id, detail: reason ?? error.code };
    const by = parts.access.recordSystem(action, subject, 'failed');
    const recorded = await store.recordRefreshFailure(id, { fence, generation }, failure, by);
    if (recorded !== 'recorded') return concurrentRefreshes.result(connection);
    if (reason !== null) tokenCache.invalidate(connection, generation + 1);
    return result;
  }

  /** The integration was changed while the refresh was under way: what failed may not fail again, and is due. */
  async function afterChange(failure: RefreshFailure, { integration }: CircuitKey): Promise<RefreshFailure> {
    if (failure.reason !== null || !failure.resolved) return failure;
    const current = await parts.targets.find(integration.id);
    if (current instanceof Refusal || ageOf(integration, current.integration) <= 0) return failure;
    return { ...failure, error: { ...failure.error, retryAt: null }, nextRefreshAt: clock.now() };
  }

  /** A dead grant that is still dead has not changed: it stays what it was, and since when. */
  const stillDead = (failure: RefreshFailure, { reason, updatedAt }: RetriedGrant): RefreshFailure =>
    failure.reason === null ? failure : { ...failure, reason, updatedAt };

  return {
    async succeeded({ claimed, auth, of, namesTokens, fields }, response, spent) {
      const { connection, fence } = claimed;
      const { id, generation, integration, owner, label, params } = connection;
      const receivedAt = clock.monotonic();
      pacing.succeeded(id);
      const change = rotationFrom(connection, auth, response, clock.now());
      const { captured, expiresAt } = change;
      const credentials: Credentials = {
        accessToken: response.accessToken,
        refreshToken: response.refreshToken ?? spent.refreshToken,
        idToken: response.idToken ?? null,
        credentials: withSource(withDpopKey(spent.credentials, response.dpopKey), response.source),
      };
      const grant = encryptCredentials(vault, connection, credentials, namesTokens);
      const ticket = tokenCache.ticket();
      const outcome = await committer.commit({
        attempt: fields.attempt,
        connectionId: id,
        integration,
        of,
        owner,
        label,
        params,
        captured,
        held: {
          fence,
          generation,
          keepsValues: keepsCapturedValues(connection, change),
          isRoutine: changesTimesOnly(connection, change),
        },
        replaces: { issuedAt: connection.issuedAt },
        change,
        grant,
      });
      parts.reached?.('committed');
      telemetry.refresh(integration, outcome === 'committed' ? 'ok' : outcome, lifeLeft(connection));
      log.info({ ...fields, outcome, generation: generation + 1, expires_at: expiresAt }, COMMIT_MESSAGES[outcome]);
      if (outcome === 'held' || outcome === 'superseded' || outcome === 'gone')
        return concurrentRefreshes.result(connection);
      const renewed = { ...connection, ...change, generation: generation + 1, failures: 0, lastRefreshError: null };
      const served = {
        ...toServedToken(renewed, response.accessToken, clock),
        until: receivedAt + (lifetime(renewed) ?? Number.POSITIVE_INFINITY),
        ofUnknownAge: false,
      };
      tokenCache.put(served, ticket);
      if (served.until > clock.monotonic()) return served;
      const detail = 'the token expired before the store could commit it';
      return unavailable(connection, 'store_unavailable', detail, MIN_RETRY_AFTER_MS);
    },

    async failed({ claimed, auth, fields }, { fault, isDoubted, key, retried }, sent) {
      const { connection } = claimed;
      const { id: connectionId, integration } = connection;
      await keepUnreadableResponse(parts, { integration, connectionId }, fault.unreadable);
      const [now, monotonic] = [clock.now(), clock.monotonic()];
      const open = circuitBreakers.blocked(key);
      const asked = pacing.wait(connectionId, fault);
      const random = parts.random();
      const classified = classifyRefreshFailure({ fault, claimed, auth, open, asked, sent, now, monotonic, random });
      const { lostAt } = classified;
      const failure = await afterChange(retried ? stillDead(classified.failure, retried) : classified.failure, key);
      const { reason } = failure;
      const outcome = reason ?? (isDoubted ? 'dead_grant_doubted' : fault.kind);
      telemetry.refresh(connection.integration, outcome, lifeLeft(connection));
      const { kind, code, detail } = fault;
      log.warn(
        { ...fields, kind, code, detail, reason },
        reason === null ? 'refresh: failed, will retry' : 'refresh: failed, the owner must connect again',
      );
      const refusal = reason === null ? classified.refusal : reauthorizationRequired(connection.id, reason);
      const result = await record(claimed, failure, lostAt === undefined ? refusal : { lostAt, refusal });
      if (reason !== null) await parts.deadGrants.recorded(key, connection, reason);
      return result;
    },

    async notRefreshable({ claimed, fields }) {
      const { connection } = claimed;
      const now = clock.now();
      const isOver = hasExpired(connection, now);
      const code = isOver ? 'grant_expired' : 'not_refreshable';
      const error = { code, detail: 'the provider issued no refresh token', at: now, retryAt: null };
      const reason = isOver ? ('grant_expired' as const) : null;
      const failure = { reason, error, nextRefreshAt: null, resolved: true };
      // No token was replaced, so its remaining lifetime is not measured.
      telemetry.refresh(connection.integration, code, null);
      log.warn(
        { ...fields, code, detail: error.detail, reason },
        isOver
          ? 'refresh: no refresh token and the access token has expired, the owner must connect again'
          : 'refresh: no refresh token, the stored token is served until it expires',
      );
      return record(claimed, failure, reauthorizationRequired(connection.id, code));
    },
  };
}
