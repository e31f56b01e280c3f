// The state of the broker for the metrics. It answers in time even when the store does not, and however often it is asked:
// anyone who reaches the port may.
import { setTimeout as pause } from 'node:timers/promises';
import {
  JOB_FAILED_COUNTED_MS,
  LOAD_LATER_MS,
  LOAD_SOON_MS,
  METRICS_COUNT_MAX_AGE_MS,
  METRICS_LOAD_MAX_AGE_MS,
  METRICS_PING_MAX_AGE_MS,
  METRICS_STORE_WAIT_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, MetricsState, Store, Vault } from '../../../ports/index.ts';
import type { AuditBuffer } from '../../audit/index.ts';
import type { Cache } from '../../cache/index.ts';
import type { RefreshEngine } from '../../refresh/index.ts';

/** After a count, the store rests for so many times as long as it took. */
const REST = 200;

/** In ms. Of tokens that live for minutes, the shorter one shows that they come due again and again. */
const LOAD_WINDOWS: Record<MetricsState['refreshLoad'][number]['window'], number> = {
  '5m': LOAD_SOON_MS,
  '1h': LOAD_LATER_MS,
};

interface Parts {
  store: Pick<
    Store,
    | 'countConnections'
    | 'countDue'
    | 'inboxState'
    | 'deliveryState'
    | 'jobState'
    | 'countLiveAgentSessions'
    | 'databaseWaits'
    | 'ping'
  >;
  vault: Pick<Vault, 'protection'>;
  engine: Pick<RefreshEngine, 'state'>;
  /** Refreshes that each integration may have in a second, over all processes. */
  refreshesPerSecond: number;
  auditBuffer: Pick<AuditBuffer, 'state'>;
  cache: Pick<Cache, 'changeFeedLagMs'>;
  /** Of calls through the proxy. */
  upstream: () => Pick<MetricsState, 'upstreamWaiting' | 'upstreamBreakers'>;
  clock: Clock;
}

/** Never rejects: what the store does not answer in time is left out, or is as it was before. */
export function createMetricsState({
  store,
  vault,
  engine,
  refreshesPerSecond,
  auditBuffer,
  cache,
  upstream,
  clock,
}: Parts): () => Promise<MetricsState> {
  const { monotonic: now } = clock;
  const counted = { maxAgeMs: METRICS_COUNT_MAX_AGE_MS, isKept: true, now };
  const connections = rested({ ...counted, read: () => store.countConnections() });
  const due = rested({ ...counted, read: () => store.countDue(clock.now()) });
  const loadWithin = (windowMs: number, maxAgeMs: number) =>
    rested({
      ...{ ...counted, maxAgeMs },
      read: async () =>
        (await store.countDue(clock.now() + windowMs)).map(({ integration, count }) => ({
          integration,
          ratio: count / ((refreshesPerSecond * windowMs) / 1_000),
        })),
    });
  const loadSoon = loadWithin(LOAD_WINDOWS['5m'], METRICS_COUNT_MAX_AGE_MS);
  const loadLater = loadWithin(LOAD_WINDOWS['1h'], METRICS_LOAD_MAX_AGE_MS);
  const inbox = rested({ ...counted, read: () => store.inboxState() });
  const delivered = rested({ ...counted, read: () => store.deliveryState() });
  const jobs = rested({ ...counted, read: () => store.jobState(clock.now() - JOB_FAILED_COUNTED_MS) });
  const sessions = rested({ ...counted, read: () => store.countLiveAgentSessions(clock.now()) });
  const proveWrites = () => store.ping().then(() => true);
  const ping = rested({ read: proveWrites, maxAgeMs: METRICS_PING_MAX_AGE_MS, isKept: false, now });

  return async () => {
    const [stored, dueNow, soon, later, waiting, open, work, live, up] = await Promise.all([
      ...([connections(), due(), loadSoon(), loadLater(), inbox(), delivered(), jobs(), sessions(), ping()] as const),
    ]);
    const oldestAt = waiting?.value.oldestAt ?? null;
    const rows = stored?.value ?? [];
    const state = engine.state();
    return {
      connections: rows,
      connectionsAgeMs: stored?.ageMs ?? null,
      due: (dueNow?.value ?? []).map(({ integration, count, dueAt }) => ({
        integration,
        count,
        oldestMs: clock.now() - dueAt,
      })),
      refreshLoad: [...inWindow('5m', soon?.value), ...inWindow('1h', later?.value)],
      databaseWaits: store.databaseWaits(),
      inbox: { open: waiting?.value.open ?? 0, oldestMs: oldestAt === null ? 0 : clock.now() - oldestAt },
      deliveries: open ? deliveriesOf(open.value, clock.now()) : null,
      jobs: work?.value ?? null,
      agentSessions: live?.value ?? null,
      storeUp: up?.value ?? false,
      rowsEnforced: vault.protection() === 'enforced',
      changeFeedLagMs: cache.changeFeedLagMs(),
      audit: auditBuffer.state(),
      ...upstream(),
      ...state,
      circuitBreakers: withClosed(state.circuitBreakers, rows),
    };
  };
}

type Load = MetricsState['refreshLoad'][number];

const inWindow = (window: Load['window'], loads: readonly Omit<Load, 'window'>[] = []): Load[] =>
  loads.map((load) => ({ ...load, window }));

const deliveriesOf = (
  { oldestAt, ...counts }: Awaited<ReturnType<Store['deliveryState']>>,
  now: number,
): MetricsState['deliveries'] => ({ ...counts, oldestMs: oldestAt === null ? 0 : Math.max(0, now - oldestAt) });

interface Question<T> {
  read: () => Promise<T>;
  maxAgeMs: number;
  isKept: boolean;
  now: () => number;
}

interface Answer<T> {
  value: T;
  ageMs: number;
}

/**
 * The answer to a question that costs the store something: one at a time, and none for `REST` times as long as the last one
 * took, or `maxAgeMs`. `isKept`: while the next one takes long, the last one. Undefined: the store did not answer.
 */
function rested<T>({ read, maxAgeMs, isKept, now }: Question<T>) {
  let last: { value: T; at: number; untilMs: number } | undefined;
  let asking: Promise<void> | undefined;

  async function readAgain(): Promise<void> {
    const at = now();
    try {
      const value = await read();
      last = { value, at, untilMs: now() + Math.min(maxAgeMs, REST * (now() - at)) };
    } catch {
      last = undefined;
    } finally {
      asking = undefined;
    }
  }

  return async (): Promise<Answer<T> | undefined> => {
    if (!last || now() >= last.untilMs) {
      asking ??= readAgain();
      const isLate = pause(METRICS_STORE_WAIT_MS, true, { ref: false });
      if ((await Promise.race([asking, isLate])) && !isKept) return undefined;
    }
    return last && { value: last.value, ageMs: now() - last.at };
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
