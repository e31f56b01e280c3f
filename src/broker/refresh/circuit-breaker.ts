// One circuit for each integration: when its provider fails for everybody, or its client is misconfigured, one request
// at a time finds out whether that has passed, and all others are spared.
import { breakerPause } from '../../domain/backoff.ts';
import type { Clock, Logger, ProviderFault } from '../../ports/index.ts';

/** So many failures in a row, of any connections, open the circuit. */
const OPEN_AFTER = 5;
/** Milliseconds that a `Retry-After` keeps it open at the most: it may be about one owner only. */
const MOST_ASKED_MS = 60_000;
/** What the whole client is guilty of (RFC 6749 5.2): it opens the circuit at once. */
const CLIENT_FAULTS = new Set(['invalid_client', 'unauthorized_client']);

interface State {
  /** The integration's version that it was seen with: a mended integration starts afresh. */
  version: number;
  failures: number;
  /** Undefined: closed. */
  open: { until: number; times: number; fault: ProviderFault; probing: boolean } | undefined;
}

export interface OpenCircuit {
  /** Milliseconds until the next probe may go. */
  retryIn: number;
  fault: ProviderFault;
}

/** Leave to send one request; to be given back with what came of it. */
export interface Permit {
  integration: string;
  version: number;
  probe: boolean;
  /** It went although the circuit was open: what comes of it says nothing that the circuit waits to hear. */
  past: boolean;
}

export type CircuitBreakers = ReturnType<typeof createCircuitBreakers>;

interface Parts {
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
  random: () => number;
}

export function createCircuitBreakers({ clock, log, random }: Parts) {
  const states = new Map<string, State>();

  function stateOf(integration: string, version: number): State {
    const known = states.get(integration);
    if (known?.version === version) return known;
    const fresh: State = { version, failures: 0, open: undefined };
    states.set(integration, fresh);
    return fresh;
  }

  function open(integration: string, state: State, fault: ProviderFault): void {
    const times = (state.open?.times ?? 0) + 1;
    const asked = Math.min((fault.retryAfter ?? 0) * 1_000, MOST_ASKED_MS);
    const until = clock.monotonic() + Math.max(asked, breakerPause(times, random()));
    // One alert for all of its connections, not one for each, nor for each probe.
    if (!state.open)
      log.error({ integration, kind: fault.kind, code: fault.code, detail: fault.detail }, 'circuit: open');
    state.open = { until, times, fault, probing: false };
  }

  /** Whether it is worth standing in line; undefined when it is. */
  function blocked(integration: string, version: number): OpenCircuit | undefined {
    const { open } = stateOf(integration, version);
    if (!open) return undefined;
    const left = open.until - clock.monotonic();
    return left > 0 || open.probing ? { retryIn: Math.max(left, 1_000), fault: open.fault } : undefined;
  }

  return {
    blocked,

    /** While it is open, whoever comes first after its pause is the probe; and what cannot wait goes past it. */
    admit(integration: string, version: number, cannotWait = false): Permit | OpenCircuit {
      const refusal = blocked(integration, version);
      if (refusal) return cannotWait ? { integration, version, probe: false, past: true } : refusal;
      const { open } = stateOf(integration, version);
      if (open) open.probing = true;
      return { integration, version, probe: open !== undefined, past: false };
    },

    /** `fault` undefined: the provider answered as it should. A dead grant is such an answer too. */
    report({ integration, version, probe, past }: Permit, fault: ProviderFault | undefined): void {
      const state = stateOf(integration, version);
      if (past && state.open) return;
      if (fault?.kind !== 'transient' && fault?.kind !== 'misconfigured') {
        if (state.open) log.info({ integration }, 'circuit: closed');
        state.failures = 0;
        state.open = undefined;
        return;
      }
      state.failures++;
      // What was sent before it opened tells nothing new.
      if (state.open && !probe) return;
      const throttled = fault.retryAfter !== undefined;
      if (probe || throttled || CLIENT_FAULTS.has(fault.code) || state.failures >= OPEN_AFTER)
        open(integration, state, fault);
    },

    /** The request was not sent after all. */
    release({ integration, version, probe }: Permit): void {
      const { open } = stateOf(integration, version);
      if (probe && open) open.probing = false;
    },

    /** How many it is worth sending just now: none, one probe, or as many as one likes. */
    room(integration: string): number {
      const open = states.get(integration)?.open;
      if (!open) return Number.POSITIVE_INFINITY;
      return open.probing || open.until > clock.monotonic() ? 0 : 1;
    },

    /** The integration was changed: whatever was wrong with it may be mended. */
    reset: (integration: string): void => void states.delete(integration),

    /** For metrics: 0 closed, 0.5 while a probe is under way, 1 open. */
    states: (): { integration: string; state: 0 | 0.5 | 1 }[] =>
      [...states].map(([integration, { open }]) => ({ integration, state: open ? (open.probing ? 0.5 : 1) : 0 })),
  };
}
