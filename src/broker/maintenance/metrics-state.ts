// How things stand, for the metrics: told in time, also when the store is away.
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock, State, Store, Watch } from '../../ports/index.ts';
import type { Engine } from '../refresh/index.ts';
import type { Journal } from '../audit/audit-buffer.ts';

/** Milliseconds that the store is waited for: whoever asks gives up after some ten seconds. */
const STORE_WITHIN_MS = 3_000;

interface Parts {
  store: Pick<Store, 'countConnections' | 'countDue' | 'ping'>;
  engine: Pick<Engine, 'state'>;
  journal: Pick<Journal, 'state'>;
  following: Pick<Watch, 'ageMs'>;
  clock: Clock;
}

/** A store that cannot be read leaves its part out. */
export async function stateOf({ store, engine, journal, following, clock }: Parts): Promise<State> {
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
    newsAgeMs: following.ageMs(),
    audit: journal.state(),
    ...engine.state(),
    circuits: withClosed(engine.state().circuits, connections),
  };
}

/** An integration that has failed nowhere yet, or was changed since, has a circuit that is closed: not none. */
function withClosed(known: State['circuits'], connections: State['connections']): State['circuits'] {
  const named = new Set(known.map(({ integration }) => integration));
  const others = new Set(connections.map(({ integration }) => integration).filter((name) => !named.has(name)));
  return [...known, ...[...others].map((integration) => ({ integration, state: 0 as const }))];
}

const inTime = <T>(answer: Promise<T>, otherwise: T): Promise<T> =>
  Promise.race([answer.catch(() => otherwise), pause(STORE_WITHIN_MS, otherwise, { ref: false })]);
