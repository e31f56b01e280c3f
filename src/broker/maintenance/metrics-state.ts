// The state of the broker for the metrics; answers in time even when the store does not.
import { setTimeout as pause } from 'node:timers/promises';
import { METRICS_STORE_WAIT_MS } from '../../domain/time-limits.ts';
import type { Clock, MetricsState, Store } from '../../ports/index.ts';
import type { AuditBuffer } from '../audit/index.ts';
import type { Cache } from '../cache/index.ts';
import type { RefreshEngine } from '../refresh/index.ts';

interface Parts {
  store: Pick<Store, 'countConnections' | 'countDue' | 'ping'>;
  engine: Pick<RefreshEngine, 'state'>;
  auditBuffer: Pick<AuditBuffer, 'state'>;
  cache: Pick<Cache, 'changeFeedLagMs'>;
  clock: Clock;
}

/** Never rejects: what the store does not answer in time is left out. */
export async function metricsState({ store, engine, auditBuffer, cache, clock }: Parts): Promise<MetricsState> {
  const now = clock.now();
  const [connections, due, storeUp] = await Promise.all([
    inTime(store.countConnections(), []),
    inTime(store.countDue(now), []),
    inTime(
      store.ping().then(() => true),
      false,
    ),
  ]);
  return {
    connections,
    due: due.map(({ integration, count, dueAt }) => ({ integration, count, oldestMs: now - dueAt })),
    storeUp,
    changeFeedLagMs: cache.changeFeedLagMs(),
    audit: auditBuffer.state(),
    ...engine.state(),
    circuitBreakers: withClosed(engine.state().circuitBreakers, connections),
  };
}

/** An integration without failures, or one that was changed since, has a closed circuit breaker, not none. */
function withClosed(
  known: MetricsState['circuitBreakers'],
  connections: MetricsState['connections'],
): MetricsState['circuitBreakers'] {
  const named = new Set(known.map(({ integration }) => integration));
  const others = new Set(connections.map(({ integration }) => integration).filter((name) => !named.has(name)));
  return [...known, ...[...others].map((integration) => ({ integration, state: 0 as const }))];
}

const inTime = <T>(answer: Promise<T>, otherwise: T): Promise<T> =>
  Promise.race([answer.catch(() => otherwise), pause(METRICS_STORE_WAIT_MS, otherwise, { ref: false })]);
