// The limits and circuits of the process that answers, for operators.
import type { Refusal } from '../../../domain/errors.ts';
import type { CircuitView, LimitsMet, LimitView, RefreshQueueView } from '../../../domain/limits-state.ts';
import type { Access, Call } from '../../audit/index.ts';
import type { RefreshEngine } from '../../refresh/index.ts';

/** Other processes know of other failures; a limit that an API has told one of them is known to all. */
export interface LimitsState {
  /** By integration and token endpoint. */
  refreshes: { circuits: CircuitView[]; queues: RefreshQueueView[] };
  /** Of calls through the proxy. */
  apis: { limits: LimitView[]; met: LimitsMet[]; circuits: CircuitView[] };
  /** By webhook endpoint. */
  deliveries: CircuitView[];
}

/** For callers with `admin:read` on all integrations. */
export type ReadLimits = (call: Call) => LimitsState | Refusal;

interface Parts {
  engine: Pick<RefreshEngine, 'limitsState'>;
  apis: () => LimitsState['apis'];
  deliveries: () => CircuitView[];
  access: Pick<Access, 'denied'>;
}

/** Hosts and endpoints may be as many as tenants: what has been open longest comes first. */
const MAX_CIRCUITS = 100;
const longest = (all: CircuitView[]): CircuitView[] =>
  all.sort((one, other) => (other.openForMs ?? 0) - (one.openForMs ?? 0)).slice(0, MAX_CIRCUITS);

export const limitsReader =
  ({ engine, apis, deliveries, access }: Parts): ReadLimits =>
  (call) => {
    const denied = access.denied(call, 'admin:read', '*', '*');
    if (denied) return denied;
    const [refreshes, called] = [engine.limitsState(), apis()];
    return {
      refreshes: { ...refreshes, circuits: longest(refreshes.circuits) },
      apis: { ...called, circuits: longest(called.circuits) },
      deliveries: longest(deliveries()),
    };
  };
