// The refresh engine, put together: pace, circuits, keeper, refresher and scheduler, with one beginning and one end.
import type { Logger, Rescue } from '../../ports/index.ts';
import { createCircuitBreakers } from './circuit-breaker.ts';
import { createCommitter } from './commit.ts';
import { createRateLimiter, type RefreshLimits } from './rate-limiter.ts';
import { createRecentCommits } from './recent-commits.ts';
import { createRefresher, type RefresherParts } from './refresher.ts';
import { type Scheduler, startScheduler } from './scheduler.ts';

export { refusalOf } from './concurrent-refresh.ts';
export type { Refresher, RefreshPoint } from './refresher.ts';

export type RefreshEngine = ReturnType<typeof createRefreshEngine>;

interface Parts extends Omit<RefresherParts, 'committer' | 'rateLimiter' | 'circuitBreakers' | 'random'> {
  rescue: Rescue;
  limits: RefreshLimits;
  /** False: only what is read is refreshed. */
  ahead?: boolean | undefined;
  /** A standby may take the store over, and lack the last commits. */
  mayGoBack: boolean;
  log: Logger;
}

export function createRefreshEngine({ rescue, limits, ahead = true, mayGoBack, ...parts }: Parts) {
  const { store, access, clock, log } = parts;
  const random = Math.random;
  const rateLimiter = createRateLimiter({ store, clock, ...limits });
  const circuitBreakers = createCircuitBreakers({ clock, log, random });
  const recentCommits = mayGoBack ? createRecentCommits({ store, clock }) : undefined;
  const committer = createCommitter({ store, rescue, recentCommits, access, clock, log });
  const refresher = createRefresher({ ...parts, committer, rateLimiter, circuitBreakers, random });
  let scheduler: Scheduler | undefined;

  return {
    refresher,
    /** An integration was changed: what was wrong with it may be mended. */
    resetCircuit: circuitBreakers.reset,
    /** What an earlier run could not keep first, then what it left unresolved, then what is due. */
    async start(): Promise<void> {
      await committer.recover();
      if (ahead) scheduler = startScheduler({ store, refresher, rateLimiter, circuitBreakers, mayGoBack, clock, log });
    },
    /**
     * The store was away, and may have lost the last commits: what this process has kept of them is kept once more, before
     * anybody spends what is over. Rejects when some of it could not be; then it may be called again.
     */
    async recommitLost(): Promise<void> {
      scheduler?.hold();
      const lost = (await recentCommits?.missingFromStore()) ?? [];
      if (lost.length === 0) return;
      log.error({ connections: lost.length }, 'the store has gone back: refreshes are kept once more');
      await Promise.all(lost.map((id) => refresher.resolve(id, clock.now())));
    },
    /** Claims nothing more, and finishes what has been spent. */
    async stop(): Promise<void> {
      await scheduler?.stop();
      rateLimiter.stop();
      await refresher.drain();
      await committer.stop();
    },
    /** For metrics. */
    state: () => ({
      inFlight: rateLimiter.inFlight(),
      circuitBreakers: circuitBreakers.states(),
      rescued: committer.rescuedCount(),
    }),
  };
}
