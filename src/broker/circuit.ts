// One circuit for each integration: when its provider fails for everybody, or its client is misconfigured, one request
// at a time finds out whether that has passed, and all others are spared.
import { breakerPause } from '../domain/resilience.ts';
import type { Clock, Logger, ProviderFault } from '../ports.ts';

/** So many failures in a row, of any connections, open the circuit. */
const OPEN_AFTER = 5;
/** What the whole client is guilty of (RFC 6749 5.2): it opens the circuit at once. */
const CLIENT_FAULTS = new Set(['invalid_client', 'unauthorized_client']);

interface State {
  /** The integration's version that it was seen with: a mended integration starts afresh. */
  version: number;
  failures: number;
  /** How often it has opened since it was last closed. */
  openings: number;
  /** Monotonic ms; undefined: closed. */
  openUntil: number | undefined;
  probing: boolean;
  fault: ProviderFault | undefined;
}

export interface Open {
  /** Milliseconds until the next probe may go. */
  retryIn: number;
  fault: ProviderFault;
}

export type Circuits = ReturnType<typeof createCircuits>;

interface Parts {
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
  random: () => number;
}

export function createCircuits({ clock, log, random }: Parts) {
  const states = new Map<string, State>();

  function stateOf(integration: string, version: number): State {
    const known = states.get(integration);
    if (known && known.version >= version) return known;
    const fresh: State = { version, failures: 0, openings: 0, openUntil: undefined, probing: false, fault: undefined };
    states.set(integration, fresh);
    return fresh;
  }

  function open(integration: string, state: State, fault: ProviderFault): void {
    const asked = (fault.retryAfter ?? 0) * 1_000;
    const first = state.openUntil === undefined;
    state.openUntil = clock.monotonic() + Math.max(asked, breakerPause(++state.openings, random()));
    state.fault = fault;
    // One alert for all of its connections, not one for each.
    if (first) log.error({ integration, kind: fault.kind, code: fault.code, detail: fault.detail }, 'circuit: open');
  }

  return {
    /** Undefined: go ahead (and `report` what came of it). While it is open, one at a time goes ahead as the probe. */
    admit(integration: string, version: number): Open | undefined {
      const state = stateOf(integration, version);
      if (state.openUntil === undefined || !state.fault) return undefined;
      const retryIn = state.openUntil - clock.monotonic();
      if (retryIn > 0 || state.probing) return { retryIn: Math.max(retryIn, 1_000), fault: state.fault };
      state.probing = true;
      return undefined;
    },

    /** `fault` undefined: the provider answered as it should. A dead grant is such an answer too. */
    report(integration: string, version: number, fault: ProviderFault | undefined): void {
      const state = stateOf(integration, version);
      state.probing = false;
      if (fault?.kind !== 'transient' && fault?.kind !== 'misconfigured') {
        if (state.openUntil !== undefined) log.info({ integration }, 'circuit: closed');
        Object.assign(state, { failures: 0, openings: 0, openUntil: undefined, fault: undefined });
        return;
      }
      state.failures++;
      const wasOpen = state.openUntil !== undefined;
      const throttled = fault.retryAfter !== undefined;
      if (wasOpen || throttled || CLIENT_FAULTS.has(fault.code) || state.failures >= OPEN_AFTER)
        open(integration, state, fault);
    },

    /** A probe that was not sent after all (the connection was gone, its lease taken). */
    abstain(integration: string, version: number): void {
      stateOf(integration, version).probing = false;
    },

    /** For metrics: 0 closed, 1 open, 0.5 while a probe is under way. */
    states: (): { integration: string; state: 0 | 0.5 | 1 }[] =>
      [...states].map(([integration, s]) => ({
        integration,
        state: s.openUntil === undefined ? 0 : s.probing ? 0.5 : 1,
      })),
  };
}
