// From an integration's id to where its requests go, with its secret opened.
import { LRUCache } from 'lru-cache';
import type { AuthMode } from '../../domain/auth-modes.ts';
import type { Ciphertext, Connection } from '../../domain/connection.ts';
import { type Refusal, refuse } from '../../domain/errors.ts';
import type { Integration } from '../../domain/integration.ts';
import { authMode, type Provider } from '../../domain/provider.ts';
import { connectionParams, resolveTarget, type Target } from '../../domain/target.ts';
import type { Store, Vault } from '../../ports/index.ts';

/** Targets kept: each refresh wants one, and they hardly ever change. */
const MAX_KEPT = 1_000;

export interface ResolvedIntegration {
  integration: Integration;
  provider: Provider;
  /** The mode that the integration is set up for. */
  auth: AuthMode;
}

export type Targets = ReturnType<typeof createTargets>;

/** Where a secret of an integration is sealed to. */
export const integrationContext = (id: string, column: 'client_secret' | 'private_key') => ({
  row: `integrations/${id}`,
  column,
});

interface Parts {
  store: Pick<Store, 'integration'>;
  vault: Pick<Vault, 'decrypt'>;
  catalogue: ReadonlyMap<string, Provider>;
}

export function createTargets({ store, vault, catalogue }: Parts) {
  const kept = new LRUCache<string, Target>({ max: MAX_KEPT });

  /** What was asked for in this turn of the event loop: refreshes come in crowds, and a crowd wants the same one. */
  const asked = new Map<string, Promise<ResolvedIntegration | Refusal>>();

  function find(id: string): Promise<ResolvedIntegration | Refusal> {
    const known = asked.get(id);
    if (known) return known;
    if (asked.size === 0) setImmediate(() => asked.clear());
    const reading = read(id);
    asked.set(id, reading);
    return reading;
  }

  async function read(id: string): Promise<ResolvedIntegration | Refusal> {
    const integration = await store.integration(id);
    if (!integration) return refuse({ code: 'not_found', what: 'integration', id });
    const provider = catalogue.get(integration.provider);
    const auth = provider && authMode(provider, integration.params);
    if (auth) return { integration, provider, auth };
    const missing = provider ? `mode "${integration.params.mode}" of provider` : 'provider';
    const detail = `the catalogue of this deployment has no ${missing} "${integration.provider}" any more`;
    return refuse({ code: 'integration_misconfigured', integration: id, detail });
  }

  return {
    find,
    targetOf(
      { integration, provider, auth }: ResolvedIntegration,
      about: Pick<Connection, 'params' | 'captured'>,
    ): Target {
      const { id, version, createdAt, clientSecret, privateKey, certificate } = integration;
      const params = connectionParams(provider, auth, about);
      // What another process changes comes with the row: another version, another birth, or a secret sealed anew.
      const key = JSON.stringify([id, version, createdAt, clientSecret, privateKey, params]);
      const known = kept.get(key);
      if (known) return known;
      const opened = (sealed: Ciphertext | null, column: 'client_secret' | 'private_key') =>
        sealed === null ? null : vault.decrypt(sealed, integrationContext(id, column));
      const secrets = {
        secret: opened(clientSecret, 'client_secret'),
        privateKey: opened(privateKey, 'private_key'),
        certificate,
      };
      const target = resolveTarget(provider, integration, secrets, params);
      kept.set(key, target);
      return target;
    },
  };
}
