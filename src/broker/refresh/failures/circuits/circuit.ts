// The state of circuits, and where they are kept: one for each token endpoint of an integration.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../../domain/cache-bounds.ts';
import type { CircuitCause } from '../../../../domain/explanation.ts';
import type { Integration } from '../../../../domain/integration.ts';
import type { ProviderFault } from '../../../../ports/index.ts';
import type { FailureRate } from './failure-rate.ts';

/** Whose request goes where. A circuit belongs to a version of its integration: a changed one starts closed. */
export interface CircuitKey {
  integration: Pick<Integration, 'id' | 'version' | 'createdAt'>;
  /** Origin and path of the token endpoint. */
  endpoint: string;
  connection: string;
}

/** `dead_grants`: `dead-grant-breaker.ts` decides that. */
export type FailureCause = CircuitCause;

const MAX_CIRCUITS = 10_000;

export interface Open {
  cause: FailureCause;
  fault: ProviderFault;
  /** By the monotonic clock, like all times here. */
  since: number;
  until: number;
  /** How long it is from the opening to `until`. */
  pause: number;
  /** Opened in a row. */
  times: number;
  newcomers: number;
  probe: { ended: Promise<void>; end: () => void; isNewcomer: boolean } | undefined;
  /** The connection whose probe failed last: others go first. */
  lastProber: string | undefined;
}

/** The state of one endpoint, since its last answer. */
export interface Circuit {
  key: Omit<CircuitKey, 'connection'>;
  epoch: number;
  failures: number;
  /** Of each connection, where the policy bounds them. */
  counted: Map<string, number>;
  /** Undefined: since the last answer, none has failed. */
  lastFailureAt: number | undefined;
  failed: Record<FailureCause, Set<string>>;
  /** Undefined: only failures in a row count. */
  rate: FailureRate | undefined;
  open: Open | undefined;
  /** Another one has taken its place, or may. */
  isForgotten: boolean;
}

export interface Circuits {
  /** Made if there is none; undefined: a newer version of the integration is known. */
  of(key: CircuitKey): Circuit | undefined;
  /** Those of an integration. */
  ofIntegration(id: string): Circuit[];
  all(): Iterable<[integration: string, circuits: ReadonlySet<Circuit>]>;
  forget(circuit: Circuit): void;
}

/** Above 0: the other one is newer. One that was deleted and set up again begins with version 1. */
export const ageOf = (known: CircuitKey['integration'], other: CircuitKey['integration']): number =>
  other.createdAt - known.createdAt || other.version - known.version;

/** Those of a process, in memory; beyond a number of them, the one that was not used for longest is forgotten. */
export function createCircuits(newRate: () => FailureRate | undefined): Circuits {
  const byIntegration = new Map<string, Set<Circuit>>();
  const circuits = new LRUCache<string, Circuit>({
    ...upTo(MAX_CIRCUITS),
    dispose(circuit) {
      circuit.isForgotten = true;
      const { id } = circuit.key.integration;
      const all = byIntegration.get(id);
      all?.delete(circuit);
      if (all?.size === 0) byIntegration.delete(id);
    },
  });
  const nameOf = ({ integration, endpoint }: Circuit['key']) => `${integration.id}\n${endpoint}`;

  return {
    of({ integration, endpoint }) {
      const name = nameOf({ integration, endpoint });
      const known = circuits.get(name);
      if (known) {
        const age = ageOf(known.key.integration, integration);
        if (age === 0) return known;
        if (age < 0) return undefined;
      }
      const { id, version, createdAt } = integration;
      const circuit: Circuit = {
        key: { integration: { id, version, createdAt }, endpoint },
        epoch: 0,
        failures: 0,
        counted: new Map(),
        lastFailureAt: undefined,
        failed: { outage: new Set(), throttled: new Set(), client_fault: new Set(), dead_grants: new Set() },
        rate: newRate(),
        open: undefined,
        isForgotten: false,
      };
      circuits.set(name, circuit);
      byIntegration.set(id, (byIntegration.get(id) ?? new Set()).add(circuit));
      return circuit;
    },
    ofIntegration: (id) => [...(byIntegration.get(id) ?? [])],
    all: () => byIntegration,
    forget(circuit) {
      circuits.delete(nameOf(circuit.key));
    },
  };
}
