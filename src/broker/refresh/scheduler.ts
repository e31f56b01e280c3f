// The scheduler: refreshes tokens before they expire. A tick asks which integrations have due connections, and gives each as
// much work as it has capacity for, so that none waits behind another's outage or backlog.
import { LRUCache } from 'lru-cache';
import { isInDoubt } from '../../domain/backoff.ts';
import { upTo } from '../../domain/cache-bounds.ts';
import type { Connection } from '../../domain/connection.ts';
import { Refusal } from '../../domain/errors.ts';
import { SCHEDULER_HOLD_MS, SCHEDULER_TICK_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import type { Targets } from '../integrations/index.ts';
import type { CircuitBreakers } from './failures/circuits/circuit-breaker.ts';
import { hasSeveralEndpoints } from './failures/token-endpoint.ts';
import type { RateLimiter } from './limits/rate-limiter.ts';
import type { Refresher } from './refresher.ts';

export interface Scheduler {
  /** Begins no due refreshes for `SCHEDULER_HOLD_MS`. Refreshes in doubt are still resolved: they cannot wait. */
  hold(): void;
  /** Begins no more, from this call on; resolves when the tick under way has ended. */
  stop(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'dueIntegrations' | 'dueConnections' | 'postponeDue' | 'unresolvedRefreshes'>;
  refresher: Pick<Refresher, 'refreshAhead' | 'resolve'>;
  rateLimiter: Pick<RateLimiter, 'capacity'>;
  circuitBreakers: Pick<CircuitBreakers, 'capacity'>;
  targets: Pick<Targets, 'known'>;
  /** After a failed tick it holds: the store may come back without the last commits. */
  mayLoseCommits: boolean;
  clock: Clock;
  log: Logger;
}

/** Connections whose due times are remembered. One that is forgotten is begun once more, for nothing. */
const MAX_REMEMBERED = 10_000;

/** Starts at once. What an earlier process left unresolved goes first, at the rate of its integration. */
export function startScheduler({
  store,
  refresher,
  rateLimiter,
  circuitBreakers,
  targets,
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

  /** By integration, the connections whose refresh this scheduler has begun, until it ends. */
  const begun = new Map<string, Set<string>>();
  /** When they were due that were begun last: what is still due then could not be refreshed, and moved nothing on. */
  const begunWhenDue = new LRUCache<string, number>(upTo(MAX_REMEMBERED));

  const ended = (id: string, refresh: Promise<unknown>): Promise<unknown> =>
    refresh.catch((error: unknown) => {
      log.error({ err: error, connection: id }, 'refresh: stopped by an error, will be due again');
    });

  function begunOf(integration: string): Set<string> {
    const known = begun.get(integration) ?? new Set();
    begun.set(integration, known);
    return known;
  }

  function begin(connection: Connection, dueAt: number, isFull: boolean): void {
    const { id, integration } = connection;
    const underWay = begunOf(integration);
    underWay.add(id);
    begunWhenDue.set(id, dueAt);
    void ended(id, refresher.refreshAhead(connection)).then(() => {
      underWay.delete(id);
      if (underWay.size === 0) begun.delete(integration);
      if (!isFull || isStopped) return;
      toRefill.add(integration);
      wake();
    });
  }

  /**
   * How many may be sent as far as its circuits are concerned. Where all that are known are open, others may be due at an endpoint
   * that nothing was sent to yet: those that are not permitted are put off, to get at them.
   */
  async function permittedBy(integration: string): Promise<number> {
    const permitted = circuitBreakers.capacity(integration);
    if (permitted === Number.POSITIVE_INFINITY) return permitted;
    const found = await targets.known(integration);
    return !(found instanceof Refusal) && hasSeveralEndpoints(found) ? Number.POSITIVE_INFINITY : permitted;
  }

  /**
   * Begins as many of an integration as it has capacity for. When enough of them have ended, more are begun before the next
   * tick, by a refill.
   */
  async function beginDue(integration: string, isRefill: boolean): Promise<void> {
    const permitted = await permittedBy(integration);
    const capacity = Math.min(rateLimiter.capacity(integration, isRefill), permitted);
    if (capacity < 1) return;
    const now = clock.now();
    const due = await store.dueConnections(integration, now, capacity, [...(begun.get(integration) ?? [])]);
    if (isStopped) return;
    const stuck = due.filter(({ connection, dueAt }) => begunWhenDue.get(connection.id) === dueAt);
    for (const one of due) if (!stuck.includes(one)) begin(one.connection, one.dueAt, due.length >= capacity);
    if (stuck.length === 0) return;
    await store.postponeDue(
      stuck.map(({ connection }) => connection.id),
      now,
    );
    if (due.length >= capacity) toRefill.add(integration);
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
    for (const { integration } of due) if (!isStopped) await beginDue(integration, false);
  }

  async function refill(): Promise<void> {
    const integrations = [...toRefill];
    toRefill.clear();
    if (isHeld()) return;
    for (const integration of integrations) if (!isStopped) await beginDue(integration, true);
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
