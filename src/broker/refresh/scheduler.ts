// The scheduler: refreshes tokens before they expire. A tick asks which integrations have due connections, and gives each as
// much work as it has capacity for, so that none waits behind another's outage or backlog.
import { isInDoubt } from '../../domain/backoff.ts';
import { CLAIMED_DUE_AGAIN_MS, SCHEDULER_HOLD_MS, SCHEDULER_TICK_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import type { CircuitBreakers } from './failures/circuits/circuit-breaker.ts';
import type { RateLimiter } from './limits/rate-limiter.ts';
import type { Refresher } from './refresher.ts';

export interface Scheduler {
  /** Claims no due connections for `SCHEDULER_HOLD_MS`. Refreshes in doubt are still resolved: they cannot wait. */
  hold(): void;
  /** Claims no more, from this call on; resolves when the tick under way has ended. */
  stop(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'dueIntegrations' | 'claimDue' | 'unresolvedRefreshes'>;
  refresher: Pick<Refresher, 'refreshAhead' | 'resolve'>;
  rateLimiter: Pick<RateLimiter, 'capacity'>;
  circuitBreakers: Pick<CircuitBreakers, 'capacity'>;
  /** After a failed tick it holds: the store may come back without the last commits. */
  mayLoseCommits: boolean;
  clock: Clock;
  log: Logger;
}

/** Starts at once. What an earlier process left unresolved goes first, at the rate of its integration. */
export function startScheduler({
  store,
  refresher,
  rateLimiter,
  circuitBreakers,
  mayLoseCommits,
  clock,
  log,
}: Parts): Scheduler {
  let isStopped = false;
  let running: Promise<void> | undefined;
  let waking: NodeJS.Timeout | undefined;
  let tickIsDue = true;
  let heldUntil = Number.NEGATIVE_INFINITY;
  /** The last tick has failed: an outage is logged once. */
  let isFailing = false;
  /** Integrations that had more due than they had capacity for, and have capacity again. */
  const toRefill = new Set<string>();
  let unresolvedBefore: ReadonlySet<string> | undefined;

  const ended = (id: string, refresh: Promise<unknown>): Promise<unknown> =>
    refresh.catch((error: unknown) => {
      log.error({ err: error, connection: id }, 'refresh: stopped by an error, will be due again');
    });

  /** Claims as much for an integration as it has capacity for. When some of it ends, more is claimed before the next tick. */
  async function claimFor(integration: string): Promise<void> {
    const capacity = Math.min(rateLimiter.capacity(integration), circuitBreakers.capacity(integration));
    if (capacity === 0) return;
    const now = clock.now();
    const dueBy = now + CLAIMED_DUE_AGAIN_MS;
    const ids = await store.claimDue(integration, now, dueBy, capacity);
    for (const id of ids) {
      void ended(id, refresher.refreshAhead(id, dueBy)).then(() => {
        if (ids.length < capacity || isStopped) return;
        toRefill.add(integration);
        wake();
      });
    }
  }

  /**
   * Refreshes that no living process holds and that are unresolved, of this process, an earlier one or another replica. Those
   * in doubt are resolved at every tick: their response can be requested again for a few seconds only. Older ones are tried
   * once here, and then when they are due.
   */
  async function resolveUnresolved(): Promise<void> {
    const unresolved = await store.unresolvedRefreshes();
    if (isStopped) return;
    if (!unresolvedBefore && unresolved.length > 0)
      log.warn(
        { connections: unresolved.length },
        'scheduler: resolving refreshes that an earlier run left unresolved',
      );
    const now = clock.now();
    for (const { id, startedAt } of unresolved)
      if (isInDoubt(startedAt, now) || !unresolvedBefore?.has(id)) void ended(id, refresher.resolve(id, startedAt));
    unresolvedBefore = new Set(unresolved.map(({ id }) => id));
  }

  async function tick(): Promise<void> {
    await resolveUnresolved();
    if (isHeld() || isStopped) return;
    const due = await store.dueIntegrations(clock.now());
    for (const { integration } of due) if (!isStopped) await claimFor(integration);
  }

  async function refill(): Promise<void> {
    const integrations = [...toRefill];
    toRefill.clear();
    if (isHeld()) return;
    for (const integration of integrations) if (!isStopped) await claimFor(integration);
  }

  const hold = () => {
    heldUntil = clock.monotonic() + SCHEDULER_HOLD_MS;
  };
  const isHeld = () => clock.monotonic() < heldUntil;

  function run(): void {
    if (running) return;
    const work = tickIsDue ? tick : refill;
    tickIsDue = false;
    running = work()
      .then(
        () => {
          if (isFailing) log.info({}, 'scheduler: ticks succeed again');
          isFailing = false;
        },
        (error: unknown) => {
          if (!isFailing) log.error({ err: error }, 'scheduler: tick failed, will retry every second');
          isFailing = true;
          if (mayLoseCommits) hold();
        },
      )
      .finally(() => {
        running = undefined;
        if (tickIsDue || toRefill.size > 0) wake();
      });
  }

  /** After this turn of the event loop, so that refreshes that end together are followed by one claim. */
  function wake(): void {
    if (isStopped) return;
    waking ??= setTimeout(() => {
      waking = undefined;
      run();
    }, 0);
  }

  run();
  const ticking = setInterval(() => {
    tickIsDue = true;
    run();
  }, SCHEDULER_TICK_MS);

  return {
    hold,
    async stop() {
      isStopped = true;
      clearInterval(ticking);
      clearTimeout(waking);
      await running;
    },
  };
}
