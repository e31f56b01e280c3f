// Refreshing ahead of expiry. A tick asks which integrations have something due, gives each as much as it has room for,
// and so lets none wait behind another's outage or backlog.
import { isInDoubt } from '../../domain/backoff.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import type { CircuitBreakers } from './circuit-breaker.ts';
import { type RateLimiter, RateLimiterStopped } from './rate-limiter.ts';
import type { Refresher } from './refresher.ts';

const TICK_MS = 1_000;
/** What was claimed and, after all, not refreshed is due again after so long. */
const AGAIN_MS = 30_000;
/**
 * After a store was away that may have gone back: so long, whoever has kept what it lost can keep it once more. What is in
 * doubt is resolved meanwhile: the store has not lost the intent of that, and it cannot wait.
 */
const HOLD_MS = 4_000;

interface Parts {
  store: Pick<Store, 'dueIntegrations' | 'claimDue' | 'unresolvedRefreshes'>;
  refresher: Pick<Refresher, 'refreshAhead' | 'resolve'>;
  rateLimiter: Pick<RateLimiter, 'room'>;
  circuitBreakers: Pick<CircuitBreakers, 'room'>;
  mayGoBack: boolean;
  clock: Clock;
  log: Logger;
}

export interface Scheduler {
  /** Takes nothing that is only due for a moment. */
  hold(): void;
  /** Takes nothing more; fulfilled when the tick under way has ended. */
  stop(): Promise<void>;
}

/** Begins at once: what an earlier process left unresolved goes first, at the pace of its integration. */
export function startScheduler({
  store,
  refresher,
  rateLimiter,
  circuitBreakers,
  mayGoBack,
  clock,
  log,
}: Parts): Scheduler {
  let stopped = false;
  let running: Promise<void> | undefined;
  let waking: NodeJS.Timeout | undefined;
  let tickIsDue = true;
  let heldUntil = Number.NEGATIVE_INFINITY;
  /** The last one has failed: that is told once, however long it lasts. */
  let isFailing = false;
  /** Had more due than there was room for, and have room again. */
  const hungry = new Set<string>();
  let orphans: ReadonlySet<string> | undefined;

  const finished = (id: string, refresh: Promise<unknown>): Promise<unknown> =>
    refresh.catch((error: unknown) => {
      if (!(error instanceof RateLimiterStopped)) log.error({ err: error, connection: id }, 'refresh: not finished');
    });

  /** Claims for one integration what it has room for; as that is worked off, more is claimed before the next tick. */
  async function feed(integration: string): Promise<void> {
    const room = Math.min(rateLimiter.room(integration), circuitBreakers.room(integration));
    if (room === 0) return;
    const now = clock.now();
    const dueBy = now + AGAIN_MS;
    const ids = await store.claimDue(integration, now, dueBy, room);
    for (const id of ids) {
      void finished(id, refresher.refreshAhead(id, dueBy)).then(() => {
        if (ids.length < room || stopped) return;
        hungry.add(integration);
        wake();
      });
    }
  }

  /**
   * What nobody holds and is unresolved, be it ours, of an earlier process or of another replica: soon, since its answer
   * can be had again for a few seconds only, and as often as it may be asked for in these. Of what is older, each once;
   * then its time is a matter of its own.
   */
  async function resolveOrphans(): Promise<void> {
    const left = await store.unresolvedRefreshes();
    if (!orphans && left.length > 0)
      log.warn({ connections: left.length }, 'scheduler: refreshes of an earlier run are resolved first');
    const now = clock.now();
    for (const { id, startedAt } of left)
      if (isInDoubt(startedAt, now) || !orphans?.has(id)) void finished(id, refresher.resolve(id, startedAt));
    orphans = new Set(left.map(({ id }) => id));
  }

  async function tick(): Promise<void> {
    await resolveOrphans();
    if (isHeld()) return;
    const due = await store.dueIntegrations(clock.now());
    for (const { integration } of due) if (!stopped) await feed(integration);
  }

  async function refill(): Promise<void> {
    const those = [...hungry];
    hungry.clear();
    if (isHeld()) return;
    for (const integration of those) if (!stopped) await feed(integration);
  }

  const hold = () => {
    heldUntil = clock.monotonic() + HOLD_MS;
  };
  const isHeld = () => clock.monotonic() < heldUntil;

  function run(): void {
    if (running) return;
    const work = tickIsDue ? tick : refill;
    tickIsDue = false;
    running = work()
      .then(
        () => {
          if (isFailing) log.info({}, 'scheduler: it goes on');
          isFailing = false;
        },
        (error: unknown) => {
          if (!isFailing) log.error({ err: error }, 'scheduler: this tick failed');
          isFailing = true;
          if (mayGoBack) hold();
        },
      )
      .finally(() => {
        running = undefined;
        if (tickIsDue || hungry.size > 0) wake();
      });
  }

  /** After this turn of the loop, so that what ends together is followed by one claim. */
  function wake(): void {
    if (stopped) return;
    waking ??= setTimeout(() => {
      waking = undefined;
      run();
    }, 0);
  }

  run();
  const ticking = setInterval(() => {
    tickIsDue = true;
    run();
  }, TICK_MS);

  return {
    hold,
    async stop() {
      stopped = true;
      clearInterval(ticking);
      clearTimeout(waking);
      await running;
    },
  };
}
