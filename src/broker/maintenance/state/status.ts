// The state of the broker, by integration, for operators.
import type { Refusal } from '../../../domain/errors.ts';
import type { Explanation } from '../../../domain/explanation.ts';
import type { MetricsState, Store } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import type { Explanations } from './explanations.ts';

export interface IntegrationStatus {
  id: string;
  provider: string;
  /** Of the process that answers. */
  circuit: 'closed' | 'half_open' | 'open';
  /** `failing`: of those that are active, whose last refresh failed. */
  connections: { active: number; failing: number; needsReauth: number; onHold: number; revoked: number };
  refreshesDue: number;
  /** Milliseconds; null: none is due. */
  oldestDueMs: number | null;
  /** Why it does not refresh; null: it does, as far as is known. */
  explanation: Explanation | null;
}

export interface BrokerStatus {
  /** The database takes writes, no circuit is open, and nothing waits in the rescue file. */
  isHealthy: boolean;
  state: MetricsState;
  integrations: IntegrationStatus[];
}

/** For callers with `admin:read` on all integrations. Rejects with `StoreError` if the integrations cannot be read. */
export type ReadStatus = (call: Call) => Promise<BrokerStatus | Refusal>;

interface Parts {
  store: Pick<Store, 'integrations' | 'countConnections'>;
  state: () => Promise<MetricsState>;
  explanations: Pick<Explanations, 'ofIntegrations'>;
  access: Pick<Access, 'denied'>;
}

const PAGE = 500;
const CIRCUITS = { 0: 'closed', 0.5: 'half_open', 1: 'open' } as const;

export function statusReader({ store, state, explanations, access }: Parts): ReadStatus {
  return async (call) => {
    const denied = access.denied(call, 'admin:read', '*', '*');
    if (denied) return denied;
    const known = await state();
    // What is known may be some seconds old, and who has just repaired a connection looks.
    const now = known.storeUp ? { ...known, connections: await store.countConnections() } : known;
    const integrations: IntegrationStatus[] = [];
    let after: string | undefined;
    do {
      const { data, next } = await store.integrations({ limit: PAGE, after });
      const explained = await explanations.ofIntegrations(data);
      for (const { id, provider } of data)
        integrations.push({ id, provider, ...statusOf(id, now), explanation: explained.get(id) ?? null });
      after = next ?? undefined;
    } while (after !== undefined);
    const isHealthy = now.storeUp && now.rescued === 0 && integrations.every(({ circuit }) => circuit === 'closed');
    return { isHealthy, state: now, integrations };
  };
}

function statusOf(id: string, { connections, circuitBreakers, due }: MetricsState) {
  const isOfIt = ({ integration }: { integration: string }) => integration === id;
  const ofStatus = (status: string) => connections.find((row) => isOfIt(row) && row.status === status);
  const count = (status: string) => ofStatus(status)?.count ?? 0;
  const waiting = due.find(isOfIt);
  return {
    circuit: CIRCUITS[circuitBreakers.find(isOfIt)?.state ?? 0],
    connections: {
      active: count('active'),
      failing: ofStatus('active')?.failing ?? 0,
      needsReauth: count('needs_reauth'),
      onHold: count('on_hold'),
      revoked: count('revoked'),
    },
    refreshesDue: waiting?.count ?? 0,
    oldestDueMs: waiting === undefined || waiting.count === 0 ? null : waiting.oldestMs,
  };
}
