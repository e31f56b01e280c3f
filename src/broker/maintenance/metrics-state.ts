// How things stand, for the metrics: told in time, also when the store is away.
import { setTimeout as pause } from 'node:timers/promises';
import { METRICS_STORE_WAIT_MS } from '../../domain/time-limits.ts';
import type { ChangeFeed, Clock, MetricsState, Store } from '../../ports/index.ts';
import type { AuditBuffer } from '../audit/index.ts';
import type { RefreshEngine } from '../refresh/index.ts';

interface Parts {
  store: Pick<Store, 'countConnections' | 'countDue' | 'ping'>;
  engine: Pick<RefreshEngine, 'state'>;
  auditBuffer: Pick<AuditBuffer, 'state'>;
  invalidation: Pick<ChangeFeed, 'lagMs'>;
  clock: Clock;
}

/** A store that cannot be read leaves its part out. */
export async function metricsState({ store, engine, auditBuffer, invalidation, clock }: Parts): Promise<MetricsState> {
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
    changeFeedLagMs: invalidation.lagMs(),
    audit: auditBuffer.state(),
    ...engine.state(),
    circuitBreakers: withClosed(engine.state().circuitBreakers, connections),
  };
}

/** An integration that has failed nowhere yet, or was changed since, has a circuit that is closed: not none. */
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
