// Why connections and integrations do not work: gathers what the store and this process know of them, and has the domain say it.
import type { Connection } from '../../../domain/connection.ts';
import { Refusal } from '../../../domain/errors.ts';
import {
  type Explanation,
  type ExplanationFacts,
  explain,
  explainIntegration,
  type IntegrationProblem,
} from '../../../domain/explanation.ts';
import type { Integration } from '../../../domain/integration.ts';
import { authMode, type Provider } from '../../../domain/provider.ts';
import { type Clock, type MetricsState, type Store, VaultError } from '../../../ports/index.ts';
import type { Targets } from '../../integrations/index.ts';
import type { RefreshEngine } from '../../refresh/index.ts';

/** For those who may read the connection or integration already: it authorises no one. Rejects with `StoreError`. */
export interface Explanations {
  /** Null: it works, as far as is known here. */
  ofConnection(connection: Connection): Promise<Explanation | null>;
  /** Those of these that do not refresh, by id. */
  ofIntegrations(integrations: readonly Integration[]): Promise<Map<string, Explanation>>;
}

interface Parts {
  store: Pick<Store, 'integration' | 'integrationFaults'>;
  targets: Pick<Targets, 'find' | 'targetOf'>;
  catalogue: ReadonlyMap<string, Provider>;
  engine: Pick<RefreshEngine, 'circuitOf'>;
  /** Of calls through the proxy. */
  upstream: {
    upstreamState(): Pick<MetricsState, 'upstreamBreakers'>;
    limitedUntil(connection: Pick<Connection, 'id' | 'integration'>): Promise<number | null>;
  };
  clock: Pick<Clock, 'now'>;
}

type OfIntegration = Pick<ExplanationFacts, 'provider' | 'integration' | 'circuit'>;
const UNNAMED = 'The provider';

export function gatherExplanations({ store, targets, catalogue, engine, upstream, clock }: Parts): Explanations {
  async function factsOf(connection: Connection): Promise<OfIntegration> {
    const { integration: id } = connection;
    const found = await targets.find(id);
    if (found instanceof Refusal) {
      const stored = await store.integration(id);
      const provider = stored && catalogue.get(stored.provider);
      const integration = stored ? (problemOf(stored) ?? 'unknown_provider') : 'absent';
      return { provider: provider?.name ?? UNNAMED, integration, circuit: null };
    }
    const provider = found.provider.name;
    try {
      const about = { id, endpointOf: { found, connection } };
      return { provider, integration: null, circuit: engine.circuitOf(about, clock.now()) };
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      return { provider, integration: 'secrets_do_not_open', circuit: null };
    }
  }

  function problemOf(integration: Integration): IntegrationProblem | null {
    if (integration.isAuthentic === false) return 'not_authentic';
    const provider = catalogue.get(integration.provider);
    return provider && authMode(provider, integration.params) ? null : 'unknown_provider';
  }

  const failingHost = (integration: string) =>
    upstream.upstreamState().upstreamBreakers.find((one) => one.integration === integration && one.state === 1)?.host ??
    null;

  return {
    async ofConnection(connection) {
      const [facts, faults, limitedUntil] = await Promise.all([
        factsOf(connection),
        store.integrationFaults(),
        upstream.limitedUntil(connection),
      ]);
      const refused = faults.find(({ integration }) => integration === connection.integration) ?? null;
      return explain({
        ...facts,
        connection,
        refused,
        failingHost: failingHost(connection.integration),
        limitedUntil,
      });
    },

    async ofIntegrations(integrations) {
      const faults = new Map((await store.integrationFaults()).map((fault) => [fault.integration, fault]));
      const explained = integrations.flatMap((integration): [string, Explanation][] => {
        const { id, provider } = integration;
        const explanation = explainIntegration({
          provider: catalogue.get(provider)?.name ?? UNNAMED,
          integration: problemOf(integration),
          refused: faults.get(id) ?? null,
          circuit: engine.circuitOf({ id }, clock.now()),
        });
        return explanation ? [[id, explanation]] : [];
      });
      return new Map(explained);
    },
  };
}
