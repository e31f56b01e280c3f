// The refresh engine, put together: pace, circuits, keeper, refresher and scheduler, with one beginning and one end.
import type { Logger, Rescue } from '../../ports/index.ts';
import { createCircuits } from './circuit-breaker.ts';
import { createKeeper } from './commit.ts';
import { createLately } from './recent-commits.ts';
import { createPace, type PaceLimits } from './rate-limiter.ts';
import { createRefresher, type RefresherParts } from './refresher.ts';
import { type Scheduler, startScheduler } from './scheduler.ts';

export type Engine = ReturnType<typeof createEngine>;

interface Parts extends Omit<RefresherParts, 'keeper' | 'pace' | 'circuits' | 'random'> {
  rescue: Rescue;
  limits: PaceLimits;
  /** False: only what is read is refreshed. */
  ahead?: boolean | undefined;
  /** A standby may take the store over, and lack the last commits. */
  mayGoBack: boolean;
  log: Logger;
}

export function createEngine({ rescue, limits, ahead = true, mayGoBack, ...parts }: Parts) {
  const { store, access, clock, log } = parts;
  const random = Math.random;
  const pace = createPace({ store, clock, ...limits });
  const circuits = createCircuits({ clock, log, random });
  const lately = mayGoBack ? createLately({ store, clock }) : undefined;
  const keeper = createKeeper({ store, rescue, lately, access, clock, log });
  const refresher = createRefresher({ ...parts, keeper, pace, circuits, random });
  let scheduler: Scheduler | undefined;

  return {
    refresher,
    /** An integration was changed: what was wrong with it may be mended. */
    forget: circuits.forget,
    /** What an earlier run could not keep first, then what it left unresolved, then what is due. */
    async start(): Promise<void> {
      await keeper.begin();
      if (ahead) scheduler = startScheduler({ store, refresher, pace, circuits, mayGoBack, clock, log });
    },
    /**
     * The store was away, and may have lost the last commits: what this process has kept of them is kept once more, before
     * anybody spends what is over. Rejects when some of it could not be; then it may be called again.
     */
    async lookBack(): Promise<void> {
      scheduler?.hold();
      const lost = (await lately?.lost()) ?? [];
      if (lost.length === 0) return;
      log.error({ connections: lost.length }, 'the store has gone back: refreshes are kept once more');
      await Promise.all(lost.map((id) => refresher.resolve(id, clock.now())));
    },
    /** Claims nothing more, and finishes what has been spent. */
    async stop(): Promise<void> {
      await scheduler?.stop();
      pace.dismiss();
      await refresher.drain();
      await keeper.stop();
    },
    /** For metrics. */
    state: () => ({ inFlight: pace.inFlight(), circuits: circuits.states(), rescued: keeper.waiting() }),
  };
}
