// One circuit breaker for each integration. When its provider fails for all connections, or its client is misconfigured, one
// request at a time probes whether that has passed, and no other is sent.
import { circuitBackoff } from '../../domain/backoff.ts';
import { CIRCUIT_RETRY_AFTER_MAX_MS, MIN_RETRY_AFTER_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, ProviderFault } from '../../ports/index.ts';

export interface OpenCircuit {
  /** Milliseconds until the next probe. */
  retryIn: number;
  /** What opened it. */
  fault: ProviderFault;
}

/** Permission to send one request. Its holder calls `report` with the result, or `release` if it was not sent. */
export interface Permit {
  integration: string;
  version: number;
  probe: boolean;
  /** Sent although the circuit was open: while it is, the result does not change it. */
  bypass: boolean;
}

/** `version` is the integration's: a changed integration starts with a closed circuit. */
export interface CircuitBreakers {
  /** The open circuit, if nothing may be sent now; undefined: a request may be queued. */
  blocked(integration: string, version: number): OpenCircuit | undefined;
  /**
   * A permit, unless the circuit is open. The first one after its pause is the probe. `bypass`: the request cannot wait, and
   * is permitted in any case.
   */
  admit(integration: string, version: number, bypass?: boolean): Permit | OpenCircuit;
  /**
   * The result of a permitted request. `fault` undefined: the provider answered as it should. Only `transient` and
   * `misconfigured` count as failures: a dead grant says nothing about the provider.
   */
  report(permit: Permit, fault: ProviderFault | undefined): void;
  /** The request was not sent. */
  release(permit: Permit): void;
  /** How many requests may be sent now: 0, 1 (a probe) or `Infinity`. */
  capacity(integration: string): number;
  /** The integration was changed: closes its circuit. */
  reset(integration: string): void;
  /** For metrics: 0 closed, 0.5 probing, 1 open. */
  states(): { integration: string; state: 0 | 0.5 | 1 }[];
}

/** This many failures in a row, of any connections, open the circuit. */
const FAILURES_TO_OPEN = 5;
/** Errors that concern the whole client (RFC 6749 5.2) open it at once. */
const CLIENT_ERRORS = new Set(['invalid_client', 'unauthorized_client']);

interface State {
  version: number;
  failures: number;
  /** Undefined: closed. `times`: opened in a row. */
  open: { until: number; times: number; fault: ProviderFault; probing: boolean } | undefined;
}

interface Parts {
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
  random: () => number;
}

export function createCircuitBreakers({ clock, log, random }: Parts): CircuitBreakers {
  const states = new Map<string, State>();

  function stateOf(integration: string, version: number): State {
    const known = states.get(integration);
    if (known?.version === version) return known;
    const closed: State = { version, failures: 0, open: undefined };
    states.set(integration, closed);
    return closed;
  }

  function open(integration: string, state: State, fault: ProviderFault): void {
    const times = (state.open?.times ?? 0) + 1;
    const asked = Math.min((fault.retryAfter ?? 0) * 1_000, CIRCUIT_RETRY_AFTER_MAX_MS);
    const until = clock.monotonic() + Math.max(asked, circuitBackoff(times, random()));
    // One alert for all connections and all probes.
    if (!state.open) {
      const fields = { integration, kind: fault.kind, code: fault.code, detail: fault.detail };
      log.error(fields, 'circuit breaker: opened, one request at a time probes the provider');
    }
    state.open = { until, times, fault, probing: false };
  }

  function blocked(integration: string, version: number): OpenCircuit | undefined {
    const { open } = stateOf(integration, version);
    if (!open) return undefined;
    const left = open.until - clock.monotonic();
    return left > 0 || open.probing ? { retryIn: Math.max(left, MIN_RETRY_AFTER_MS), fault: open.fault } : undefined;
  }

  return {
    blocked,

    admit(integration, version, bypass = false) {
      const refusal = blocked(integration, version);
      if (refusal) return bypass ? { integration, version, probe: false, bypass } : refusal;
      const { open } = stateOf(integration, version);
      if (open) open.probing = true;
      return { integration, version, probe: open !== undefined, bypass: false };
    },

    report({ integration, version, probe, bypass }, fault) {
      const state = stateOf(integration, version);
      if (bypass && state.open) return;
      if (fault?.kind !== 'transient' && fault?.kind !== 'misconfigured') {
        if (state.open) log.info({ integration }, 'circuit breaker: closed, requests are sent again');
        state.failures = 0;
        state.open = undefined;
        return;
      }
      state.failures++;
      // A request that was sent before the circuit opened shows nothing new.
      if (state.open && !probe) return;
      const throttled = fault.retryAfter !== undefined;
      if (probe || throttled || CLIENT_ERRORS.has(fault.code) || state.failures >= FAILURES_TO_OPEN)
        open(integration, state, fault);
    },

    release({ integration, version, probe }) {
      const { open } = stateOf(integration, version);
      if (probe && open) open.probing = false;
    },

    capacity(integration) {
      const open = states.get(integration)?.open;
      if (!open) return Number.POSITIVE_INFINITY;
      return open.probing || open.until > clock.monotonic() ? 0 : 1;
    },

    reset(integration) {
      states.delete(integration);
    },

    states: () =>
      [...states].map(([integration, { open }]) => ({ integration, state: open ? (open.probing ? 0.5 : 1) : 0 })),
  };
}
