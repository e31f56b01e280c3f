// Circuit breakers of APIs: one for each host of an integration, apart from those of its token endpoints. An open one answers
// at once; one call at a time probes the host; when that works, few calls go at once, and more with each that succeeds.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { Integration } from '../../../domain/integration.ts';
import { createSlowStart, type SlowStart } from '../../../domain/slow-start.ts';
import {
  MIN_RETRY_AFTER_MS,
  UPSTREAM_BREAKER_PAUSE_MAX_MS,
  UPSTREAM_BREAKER_PAUSE_MIN_MS,
  UPSTREAM_BREAKER_WINDOW_MS,
} from '../../../domain/time-limits.ts';
import type { ProviderFault } from '../../../ports/index.ts';

/** What came of a call. `failed`: a 5xx, no connection, or no answer in time. A 4xx shows that the host works: `ok`. */
export type UpstreamOutcome = 'ok' | 'failed';

/** Permission to send one request. Its holder calls `release` with what came of it, once; undefined: it was not sent. */
export interface BreakerPermit {
  release(outcome: UpstreamOutcome | undefined): void;
}

type Place = Pick<Integration, 'id' | 'version' | 'createdAt'>;

/** A call that was permitted before a breaker opened neither opens it further nor closes it. */
export interface UpstreamBreakers {
  /** Why nothing may be sent now; undefined: it may, as far as this is known. For those who would wait before they send. */
  blocked(integration: Place, host: string, connectionId: string): Refusal | undefined;
  /** Just before a request is sent. Refuses with `upstream_unavailable` while the breaker is open, or opens slowly again. */
  admit(integration: Place, host: string, connectionId: string): BreakerPermit | Refusal;
  /** The integration was changed: its breakers close. */
  reset(integration: string): void;
  /** For metrics: those that are not closed, up to `MAX_SHOWN`. 0.25: it has closed, and lets few calls pass. */
  states(): { integration: string; host: string; state: BreakerState }[];
}

export type BreakerState = 0.25 | 0.5 | 1;

/** See `CircuitBreakers` of the refresh room, by `UPSTREAM_POLICY`. */
export interface HostCircuits {
  blocked(key: CircuitKey): { retryIn: number } | undefined;
  admit(key: CircuitKey): CircuitPermit | { retryIn: number };
  report(permit: CircuitPermit, report: 'answered' | { cause: 'outage'; fault: ProviderFault }): void;
  release(permit: CircuitPermit): void;
  reset(integration: string): void;
  open(): { integration: string; endpoint: string; state: 0.5 | 1 }[];
}

interface CircuitKey {
  integration: Place;
  endpoint: string;
  connection: string;
}

interface CircuitPermit {
  probe: boolean;
}

/** For `HostCircuits`. The pause grows with each probe that fails, and jitter spreads the probes of replicas. */
export const UPSTREAM_POLICY = {
  failures: 5,
  connections: 2,
  rate: { windowMs: UPSTREAM_BREAKER_WINDOW_MS, requests: 20, share: 1 / 2 },
  pause: (openings: number, random: number): number => {
    const longest = Math.min(
      UPSTREAM_BREAKER_PAUSE_MIN_MS * 2 ** Math.min(openings, 10),
      UPSTREAM_BREAKER_PAUSE_MAX_MS,
    );
    return Math.round(UPSTREAM_BREAKER_PAUSE_MIN_MS + random * (longest - UPSTREAM_BREAKER_PAUSE_MIN_MS));
  },
};

/** After a probe that worked, so many calls go at once; the breaker is as before when so many more have worked. */
const RECOVERY = { first: 2, until: 32 };
const MAX_RECOVERIES = 1_000;
/** Hosts may be as many as tenants: series of metrics are not. */
const MAX_SHOWN = 100;

const OUTAGE: ProviderFault = {
  kind: 'transient',
  code: 'upstream_failed',
  detail: 'calls through the proxy fail',
  retryAfter: undefined,
  outcomeUnknown: false,
};

export function createUpstreamBreakers({ circuits }: { circuits: HostCircuits }): UpstreamBreakers {
  const recoveries = new LRUCache<string, { integration: string; host: string; slow: SlowStart }>(upTo(MAX_RECOVERIES));
  const nameOf = ({ id }: Place, host: string) => `${id}\n${host}`;

  const unavailable = ({ id }: Place, host: string, retryInMs: number): Refusal =>
    refuse({
      code: 'upstream_unavailable',
      integration: id,
      detail: `${host} fails, and is not called for now: the broker tries it again by itself`,
      retryAfter: Math.max(1, Math.ceil(retryInMs / 1_000)),
    });

  return {
    blocked(integration, host, connection) {
      const open = circuits.blocked({ integration, endpoint: host, connection });
      return open && unavailable(integration, host, open.retryIn);
    },

    admit(integration, host, connection) {
      const name = nameOf(integration, host);
      const permit = circuits.admit({ integration, endpoint: host, connection });
      if ('retryIn' in permit) {
        recoveries.delete(name);
        return unavailable(integration, host, permit.retryIn);
      }
      const recovery = recoveries.get(name)?.slow;
      if (recovery && !recovery.enter()) {
        circuits.release(permit);
        return unavailable(integration, host, MIN_RETRY_AFTER_MS);
      }
      let isReleased = false;
      return {
        release(outcome) {
          if (isReleased) return;
          isReleased = true;
          recovery?.leave(outcome === 'ok');
          if (recovery?.isOver() && recoveries.peek(name)?.slow === recovery) recoveries.delete(name);
          if (outcome === undefined) return circuits.release(permit);
          circuits.report(permit, outcome === 'ok' ? 'answered' : { cause: 'outage', fault: OUTAGE });
          if (permit.probe && outcome === 'ok')
            recoveries.set(name, { integration: integration.id, host, slow: createSlowStart(RECOVERY) });
        },
      };
    },

    reset(integration) {
      circuits.reset(integration);
      for (const [name, recovery] of recoveries) if (recovery.integration === integration) recoveries.delete(name);
    },

    states: () => {
      const open = circuits.open().map(({ integration, endpoint: host, state }) => ({ integration, host, state }));
      const slow = [...recoveries.values()].map(({ integration, host }) => ({
        integration,
        host,
        state: 0.25 as const,
      }));
      return [...open, ...slow].slice(0, MAX_SHOWN);
    },
  };
}
