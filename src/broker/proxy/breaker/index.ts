// Circuit breakers of APIs: for each host of an integration one that is for all callers, and one for each caller, apart from
// those of its token endpoints. An open one answers at once; one call at a time probes the host. What a single caller meets
// opens its own breaker alone: it may have caused the failures, and the others shall not pay for it.
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { CircuitView } from '../../../domain/limits-state.ts';
import {
  UPSTREAM_BREAKER_PAUSE_MAX_MS,
  UPSTREAM_BREAKER_PAUSE_MIN_MS,
  UPSTREAM_BREAKER_WINDOW_MS,
} from '../../../domain/time-limits.ts';
import type { Clock } from '../../../ports/index.ts';
import {
  type BreakerPermit,
  type CircuitKey,
  type CircuitState,
  createRecoveringCircuits,
  type HostCircuits,
  type Place,
} from './recovering-circuits.ts';

export type { BreakerPermit, HostCircuits, UpstreamOutcome } from './recovering-circuits.ts';

/** Whose call goes where. */
export interface BreakerPlace {
  integration: Place;
  host: string;
  caller: string;
  connectionId: string;
}

/** A call that was permitted before a breaker opened neither opens it further nor closes it. */
export interface UpstreamBreakers {
  /** Why nothing may be sent now; undefined: it may, as far as this is known. For those who would wait before they send. */
  blocked(place: BreakerPlace): Refusal | undefined;
  /** Just before a request is sent. Refuses with `upstream_unavailable` while a breaker is open, or opens slowly again. */
  admit(place: BreakerPlace): BreakerPermit | Refusal;
  /** The integration was changed: breakers of its older versions close. `current` undefined: it was deleted. */
  integrationChanged(id: string, current: Place | undefined): void;
  /** Whether something is known of one of its hosts that is not closed. */
  concerns(integration: string): boolean;
  /** For metrics: those that are not closed, up to `MAX_SHOWN`; of those of callers, the worst of each host. */
  states(): BreakerView[];
  /** The same, with why and for how long. */
  views(): CircuitView[];
}

export interface BreakerView {
  integration: string;
  host: string;
  /** Whom it refuses: all callers, or some of them. */
  scope: 'all' | 'caller';
  /** 0.25: it has closed, and lets few calls pass. 0.5: it is probed. */
  state: CircuitState;
}

/** The pause grows with each probe that fails, and jitter spreads the probes of replicas. */
const pause = (openings: number, random: number): number => {
  const longest = Math.min(UPSTREAM_BREAKER_PAUSE_MIN_MS * 2 ** Math.min(openings, 10), UPSTREAM_BREAKER_PAUSE_MAX_MS);
  return Math.round(UPSTREAM_BREAKER_PAUSE_MIN_MS + random * (longest - UPSTREAM_BREAKER_PAUSE_MIN_MS));
};
const RATE = { windowMs: UPSTREAM_BREAKER_WINDOW_MS, requests: 20, share: 1 / 2 };

/** Of all callers, by caller: several have to fail, and three failures in a row of one count. */
const OF_ALL = { failures: 5, connections: 2, failuresEach: 3, rate: RATE, pause };
/** Of each caller, by connection. */
const OF_CALLER = { failures: 5, connections: 2, rate: RATE, pause };

/** Hosts may be as many as tenants: series of metrics are not. */
const MAX_SHOWN = 100;

export interface UpstreamBreakersParts {
  circuits: (policy: typeof OF_ALL | typeof OF_CALLER) => HostCircuits;
  clock: Pick<Clock, 'monotonic'>;
}

export function createUpstreamBreakers({ circuits, clock }: UpstreamBreakersParts): UpstreamBreakers {
  const all = createRecoveringCircuits(circuits(OF_ALL), clock);
  const own = createRecoveringCircuits(circuits(OF_CALLER), clock);
  /** Of a place that calls come from again and again. */
  const keys = new WeakMap<BreakerPlace, { ofAll: CircuitKey; ofOwn: CircuitKey }>();

  function keysOf(place: BreakerPlace): { ofAll: CircuitKey; ofOwn: CircuitKey } {
    const known = keys.get(place);
    if (known) return known;
    const { integration, host, caller, connectionId } = place;
    const made = {
      ofAll: { integration, endpoint: host, connection: caller },
      ofOwn: { integration, endpoint: `${host} for ${caller}`, connection: connectionId },
    };
    keys.set(place, made);
    return made;
  }

  const unavailable = ({ integration, host }: BreakerPlace, retryInMs: number): Refusal =>
    refuse({
      code: 'upstream_unavailable',
      integration: integration.id,
      detail: `${host} fails, and is not called for now: the broker tries it again by itself`,
      retryAfter: Math.max(1, Math.ceil(retryInMs / 1_000)),
    });

  return {
    blocked(place) {
      const key = keysOf(place);
      const ofAll = all.blocked(key.ofAll);
      const ofOwn = own.blocked(key.ofOwn);
      if (ofAll === undefined && ofOwn === undefined) return undefined;
      return unavailable(place, Math.max(ofAll ?? 0, ofOwn ?? 0));
    },

    admit(place) {
      const key = keysOf(place);
      const ofAll = all.admit(key.ofAll);
      if (typeof ofAll === 'number') return unavailable(place, ofAll);
      const ofOwn = own.admit(key.ofOwn);
      if (typeof ofOwn === 'number') {
        ofAll.release(undefined);
        return unavailable(place, ofOwn);
      }
      return {
        release(outcome) {
          ofAll.release(outcome);
          ofOwn.release(outcome);
        },
      };
    },

    integrationChanged(id, current) {
      all.reset(id, current);
      own.reset(id, current);
    },

    concerns: (integration) => [...all.states(), ...own.states()].some((one) => one.integration === integration),

    states() {
      const shared = all.states().map((one) => viewOf(one, one.endpoint, 'all'));
      const worst = new Map<string, BreakerView>();
      for (const one of own.states()) {
        const view = viewOf(one, hostOf(one.endpoint), 'caller');
        const name = `${view.integration}\n${view.host}`;
        if (view.state > (worst.get(name)?.state ?? 0)) worst.set(name, view);
      }
      return [...shared, ...worst.values()].slice(0, MAX_SHOWN);
    },

    views: () => [
      ...all.views().map((one) => ({ ...one, scope: 'all' as const })),
      ...own.views().map((one) => ({ ...one, endpoint: hostOf(one.endpoint), scope: 'caller' as const })),
    ],
  };
}

/** Of a circuit of one caller. */
const hostOf = (endpoint: string): string => endpoint.slice(0, endpoint.indexOf(' '));

const viewOf = (
  { integration, state }: { integration: string; state: CircuitState },
  host: string,
  scope: BreakerView['scope'],
): BreakerView => ({ integration, host, scope, state });
