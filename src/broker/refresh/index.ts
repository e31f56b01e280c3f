// The room that refreshes tokens: scheduler, rate limiter, circuit breakers, refresher and committer, started and stopped
// together.
import type { RecordedRefreshes } from '../../domain/audit.ts';
import type { Connection } from '../../domain/connection.ts';
import type { OpenCircuitFacts } from '../../domain/explanation.ts';
import type { CircuitView, RefreshQueueView } from '../../domain/limits-state.ts';
import type { Logger, MetricsState, Rescue } from '../../ports/index.ts';
import { closeOutdated, type ResolvedIntegration } from '../integrations/index.ts';
import { createCommitter } from './commit.ts';
import { type EndedGrants, startEndedGrants } from './ended-grants.ts';
import { type CircuitBreakers, createCircuitBreakers } from './failures/circuits/circuit-breaker.ts';
import { createClientFaults } from './failures/client-faults.ts';
import { createDeadGrantBreaker } from './failures/dead-grant-breaker.ts';
import { createFailedRetries } from './failures/failed-retries.ts';
import { createFailureEvidence } from './failures/failure-evidence.ts';
import { tokenEndpoint } from './failures/token-endpoint.ts';
import { createRateLimiter, type RefreshLimits } from './limits/rate-limiter.ts';
import { createRecentCommits } from './recent-commits.ts';
import { createRefresher, type Refresher, type RefresherParts } from './refresher.ts';
import { type Scheduler, startScheduler } from './scheduler.ts';

export { createCircuitBreakers as circuitBreakers } from './failures/circuits/circuit-breaker.ts';
export type { RefreshPoint } from './refresh-outcome.ts';
export type { Refresher } from './refresher.ts';
export { refusalOf } from './refusals.ts';

export interface RefreshEngine {
  refresher: Refresher;
  /**
   * An integration was changed, and the cause of its failures may be fixed: circuits of its older versions close, connections
   * whose refreshes have failed are due, and dead grants that no success has followed are tried again. Once for each change, however
   * often it is reported.
   */
  integrationChanged(integration: string): void;
  /** Commits what an earlier run left in the rescue file, then resolves what it left unresolved, then refreshes what is due. */
  start(): Promise<void>;
  /**
   * The store was away and may have lost the last commits: those that this process remembers are committed again, before
   * any process spends an old refresh token. Rejects when that fails for some; then it may be called again.
   */
  recommitLost(): Promise<void>;
  /**
   * Synchronous, the first thing when the process is asked to stop: from now on neither the scheduler nor a read claims or
   * sends a refresh token. Reads get the valid token, or a refusal.
   */
  stopClaiming(): void;
  /** Claims no more, and finishes what has been spent. */
  stop(): Promise<void>;
  /**
   * Why nothing but probes is sent to a token endpoint now: to that of a connection, or to any of the integration. Null: it is
   * not so in this process. Throws `VaultError` if a secret of the integration cannot be decrypted.
   */
  circuitOf(
    about: { id: string; endpointOf?: { found: ResolvedIntegration; connection: Connection } | undefined },
    now: number,
  ): OpenCircuitFacts | null;
  /** For metrics. */
  state(): Pick<MetricsState, 'inFlight' | 'circuitBreakers' | 'rescued'>;
  /** For operators. */
  limitsState(): { circuits: CircuitView[]; queues: RefreshQueueView[] };
}

interface Parts
  extends Omit<RefresherParts, 'committer' | 'rateLimiter' | 'circuitBreakers' | 'evidence' | 'deadGrants' | 'random'> {
  rescue: Rescue;
  limits: RefreshLimits;
  /** False: there is no scheduler, and only reads refresh. */
  ahead?: boolean | undefined;
  /** A standby may take the store over without the last commits. */
  mayLoseCommits: boolean;
  recordedRefreshes: RecordedRefreshes;
  log: Logger;
}

export function createRefreshEngine({ rescue, limits, ahead = true, mayLoseCommits, ...parts }: Parts): RefreshEngine {
  const { store, vault, access, clock, log } = parts;
  const random = Math.random;
  const rateLimiter = createRateLimiter({ store, clock, ...limits });
  const breakers = createCircuitBreakers({ clock, log, random });
  const clientFaults = createClientFaults({ store, circuitBreakers: breakers, access, log });
  const circuitBreakers: CircuitBreakers = {
    ...breakers,
    report(permit, report) {
      breakers.report(permit, report);
      clientFaults.note(permit.key, report);
    },
  };
  const recentCommits = mayLoseCommits ? createRecentCommits({ store, clock }) : undefined;
  const { recordedRefreshes } = parts;
  const committer = createCommitter({ store, vault, rescue, recentCommits, access, recordedRefreshes, clock, log });
  const evidence = createFailureEvidence({ clock });
  const deadGrants = createDeadGrantBreaker({ ...parts, circuitBreakers, evidence });
  const failedRetries = createFailedRetries({ store, targets: parts.targets, clock, log });
  const refresher = createRefresher({
    ...parts,
    committer,
    rateLimiter,
    circuitBreakers,
    evidence,
    deadGrants,
    random,
  });
  let scheduler: Scheduler | undefined;
  let endedGrants: EndedGrants | undefined;
  let schedulerStopped: Promise<void> | undefined;

  function stopClaiming(): void {
    schedulerStopped ??= scheduler?.stop();
    refresher.stopClaiming();
  }

  return {
    refresher,
    integrationChanged(integration) {
      void closeOutdated(circuitBreakers, parts.targets, integration);
      void failedRetries.integrationChanged(integration);
      void deadGrants.integrationChanged(integration);
    },
    async start() {
      await committer.recover();
      // Not before: others may then spend what earlier processes of this machine had claimed.
      await store.reportEnded(committer.recover);
      await clientFaults.start();
      if (!ahead) return;
      void failedRetries.start();
      const { targets } = parts;
      scheduler = startScheduler({
        store,
        refresher,
        rateLimiter,
        circuitBreakers,
        targets,
        mayLoseCommits,
        clock,
        log,
      });
      endedGrants = startEndedGrants({ store, refresher, clock, log });
    },
    async recommitLost() {
      scheduler?.hold();
      const lost = (await recentCommits?.missingFromStore()) ?? [];
      if (lost.length === 0) return;
      log.error({ connections: lost.length }, 'recent commits: the store has lost some, committing them again');
      await Promise.all(lost.map((id) => refresher.resolve(id, clock.now())));
    },
    stopClaiming,
    async stop() {
      stopClaiming();
      await Promise.all([schedulerStopped, endedGrants?.stop()]);
      await refresher.drain();
      await committer.stop();
      await clientFaults.stop();
    },
    circuitOf({ id, endpointOf }, now) {
      const target = endpointOf && parts.targets.targetOf(endpointOf.found, endpointOf.connection);
      return circuitBreakers.whyOpen(id, target && tokenEndpoint(target), now);
    },
    limitsState: () => ({ circuits: circuitBreakers.views(), queues: rateLimiter.views() }),
    state: () => ({
      inFlight: rateLimiter.inFlight(),
      circuitBreakers: circuitBreakers.states(),
      rescued: committer.rescuedCount(),
    }),
  };
}
