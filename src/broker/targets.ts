// From an integration's id to where its requests go, with its secret opened.
import { LRUCache } from 'lru-cache';
import { type Refusal, refuse } from '../domain/errors.ts';
import type { Integration } from '../domain/integration.ts';
import type { Provider } from '../domain/provider.ts';
import { resolveTarget, type Target } from '../domain/target.ts';
import type { Store, Vault } from '../ports.ts';

/** Targets kept: each refresh wants one, and they hardly ever change. */
const MAX_KEPT = 1_000;

export interface Found {
  integration: Integration;
  provider: Provider;
}

export type Targets = ReturnType<typeof createTargets>;

/** Where an integration's client secret is sealed to. */
export const clientSecretContext = (id: string) => ({ row: `integrations/${id}`, column: 'client_secret' });

interface Parts {
  store: Pick<Store, 'integration'>;
  vault: Pick<Vault, 'open'>;
  catalogue: ReadonlyMap<string, Provider>;
}

export function createTargets({ store, vault, catalogue }: Parts) {
  const kept = new LRUCache<string, Target>({ max: MAX_KEPT });

  /** What was asked for in this turn of the event loop: refreshes come in crowds, and a crowd wants the same one. */
  const asked = new Map<string, Promise<Found | Refusal>>();

  function find(id: string): Promise<Found | Refusal> {
    const known = asked.get(id);
    if (known) return known;
    if (asked.size === 0) setImmediate(() => asked.clear());
    const reading = read(id);
    asked.set(id, reading);
    return reading;
  }

  async function read(id: string): Promise<Found | Refusal> {
    const integration = await store.integration(id);
    if (!integration) return refuse({ code: 'not_found', what: 'integration', id });
    const provider = catalogue.get(integration.provider);
    if (provider) return { integration, provider };
    const detail = `the catalogue of this deployment has no provider "${integration.provider}" any more`;
    return refuse({ code: 'integration_misconfigured', integration: id, detail });
  }

  return {
    find,
    /** `params`: the connection's. */
    open({ integration, provider }: Found, params: Record<string, string>): Target {
      const { id, version, createdAt, clientSecret } = integration;
      // What another process changes comes with the row: another version, another birth, or a secret sealed anew.
      const key = JSON.stringify([id, version, createdAt, clientSecret, params]);
      const known = kept.get(key);
      if (known) return known;
      const opened = clientSecret === null ? null : vault.open(clientSecret, clientSecretContext(id));
      const target = resolveTarget(provider, integration, opened, params);
      kept.set(key, target);
      return target;
    },
  };
}
