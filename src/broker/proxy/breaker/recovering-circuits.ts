// Circuits that recover slowly: when a probe has worked, few calls go at once, and more with each that succeeds. Callers leave
// one another a place, or the connections of one caller.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import type { Integration } from '../../../domain/integration.ts';
import type { CircuitView } from '../../../domain/limits-state.ts';
import { createRecentCallers, type RecentCallers } from '../../../domain/recent-callers.ts';
import { createSlowStart, type SlowStart } from '../../../domain/slow-start.ts';
import { MIN_RETRY_AFTER_MS } from '../../../domain/time-limits.ts';
import type { Clock, ProviderFault } from '../../../ports/index.ts';

/** What came of a call. `failed`: a 5xx, no connection, or no answer in time. A 4xx shows that the host works: `ok`. */
export type UpstreamOutcome = 'ok' | 'failed';

/** Permission to send one request. Its holder calls `release` with what came of it, once; undefined: it was not sent. */
export interface BreakerPermit {
  release(outcome: UpstreamOutcome | undefined): void;
}

/** The version of an integration: what a circuit knows of another one says nothing. */
export type Place = Pick<Integration, 'id' | 'version' | 'createdAt'>;

export interface CircuitKey {
  integration: Place;
  endpoint: string;
  /** Whose failures are counted together, and who leaves others a place when it recovers. */
  connection: string;
}

interface CircuitPermit {
  probe: boolean;
}

export type CircuitState = 0.25 | 0.5 | 1;

/** See `CircuitBreakers` of the refresh room. */
export interface HostCircuits {
  blocked(key: CircuitKey): { retryIn: number } | undefined;
  admit(key: CircuitKey): CircuitPermit | { retryIn: number };
  report(permit: CircuitPermit, report: 'answered' | { cause: 'outage'; fault: ProviderFault }): void;
  release(permit: CircuitPermit): void;
  reset(integration: string, current?: Place): void;
  open(): { integration: string; endpoint: string; state: 0.5 | 1 }[];
  views(): CircuitView[];
}

export interface RecoveringCircuits {
  /** Milliseconds to wait; undefined: none, as far as this is known. */
  blocked(key: CircuitKey): number | undefined;
  /** A permit, or milliseconds to wait. */
  admit(key: CircuitKey): BreakerPermit | number;
  /** Forgets what is known of older versions; without `current`, of all. */
  reset(integration: string, current: Place | undefined): void;
  /** Those that are not closed. 0.25: it has closed, and lets few calls pass. */
  states(): { integration: string; endpoint: string; state: CircuitState }[];
  /** The same, with why and for how long. */
  views(): CircuitView[];
}

/** After a probe that worked, so many calls go at once; the circuit is as before when so many more have worked. */
const RECOVERY = { first: 2, until: 32 };
const MAX_RECOVERIES = 1_000;

const OUTAGE: ProviderFault = {
  kind: 'transient',
  code: 'upstream_failed',
  detail: 'calls through the proxy fail',
  retryAfter: undefined,
  outcomeUnknown: false,
};

interface Recovery {
  integration: Place;
  endpoint: string;
  slow: SlowStart;
}

export function createRecoveringCircuits(circuits: HostCircuits, clock: Pick<Clock, 'monotonic'>): RecoveringCircuits {
  const recoveries = new LRUCache<string, Recovery>(upTo(MAX_RECOVERIES));
  /** Who has called while a circuit was not closed. */
  const callers = new LRUCache<string, RecentCallers>(upTo(MAX_RECOVERIES));
  const nameOf = ({ integration, endpoint }: CircuitKey) => `${integration.id}\n${endpoint}`;

  function recoveryOf(key: CircuitKey): SlowStart | undefined {
    const known = recoveries.size > 0 ? recoveries.get(nameOf(key)) : undefined;
    return known && isSame(known.integration, key.integration) ? known.slow : undefined;
  }

  function callersOf(key: CircuitKey): RecentCallers {
    const known = callers.get(nameOf(key));
    if (known) return known;
    const made = createRecentCallers(clock);
    callers.set(nameOf(key), made);
    return made;
  }

  return {
    blocked(key) {
      const retryIn = circuits.blocked(key)?.retryIn;
      if (retryIn !== undefined) callersOf(key).note(key.connection);
      return retryIn;
    },

    admit(key) {
      const permit = circuits.admit(key);
      if ('retryIn' in permit) {
        callersOf(key).note(key.connection);
        recoveries.delete(nameOf(key));
        return permit.retryIn;
      }
      const recovery = recoveryOf(key);
      if (recovery) {
        callersOf(key).note(key.connection);
        if (!recovery.isFree(key.connection, false)) {
          circuits.release(permit);
          return MIN_RETRY_AFTER_MS;
        }
        recovery.take(key.connection);
      }
      let isReleased = false;
      return {
        release(outcome) {
          if (isReleased) return;
          isReleased = true;
          if (recovery) {
            recovery.giveBack(key.connection, outcome === 'ok');
            const name = nameOf(key);
            if (recovery.isOver() && recoveries.peek(name)?.slow === recovery) recoveries.delete(name);
          }
          if (outcome === undefined) return circuits.release(permit);
          circuits.report(permit, outcome === 'ok' ? 'answered' : { cause: 'outage', fault: OUTAGE });
          if (permit.probe && outcome === 'ok')
            recoveries.set(nameOf(key), {
              integration: key.integration,
              endpoint: key.endpoint,
              slow: createSlowStart(RECOVERY, callersOf(key)),
            });
        },
      };
    },

    reset(integration, current) {
      circuits.reset(integration, current);
      for (const [name, known] of recoveries)
        if (known.integration.id === integration && !(current && isSame(known.integration, current)))
          recoveries.delete(name);
    },

    states: () => [
      ...circuits.open(),
      ...[...recoveries.values()].map(({ integration, endpoint }) => ({
        integration: integration.id,
        endpoint,
        state: 0.25 as const,
      })),
    ],

    views: () => [
      ...circuits.views(),
      ...[...recoveries.values()].map(({ integration, endpoint }) => ({
        id: integration.id,
        endpoint,
        state: 'recovering' as const,
        openForMs: null,
        probeInMs: null,
      })),
    ],
  };
}

const isSame = (one: Place, other: Place): boolean =>
  one.version === other.version && one.createdAt === other.createdAt;
