// From an integration's id to where its requests go and with which decrypted secrets.
import { LRUCache } from 'lru-cache';
import type { AuthMode } from '../../domain/auth-modes.ts';
import { upTo } from '../../domain/cache-bounds.ts';
import type { Ciphertext, Connection } from '../../domain/connection.ts';
import { type Fault, Refusal, refuse } from '../../domain/errors.ts';
import type { Values } from '../../domain/fields.ts';
import type { Integration } from '../../domain/integration.ts';
import { authMode, type Provider } from '../../domain/provider.ts';
import { connectionParams, resolveTarget, type Target } from '../../domain/target.ts';
import { KNOWN_INTEGRATION_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, Store, Vault } from '../../ports/index.ts';

/** Every refresh needs an integration and a target, and they hardly ever change. */
const MAX_TARGETS = 1_000;

export interface ResolvedIntegration {
  integration: Integration;
  provider: Provider;
  /** The mode that the integration is set up for. */
  auth: AuthMode;
}

export interface Targets {
  /**
   * The integration with its provider. Refuses with `not_found`, or with `integration_misconfigured` if the catalogue
   * does not have its provider or mode any more. Reads of one turn of the event loop are shared. Rejects with `StoreError`.
   */
  find(id: string): Promise<ResolvedIntegration | Refusal>;
  /** The same from memory, if it was found since the last change that is known here. */
  known(id: string): ResolvedIntegration | Promise<ResolvedIntegration | Refusal>;
  /** Undefined: any integration may have changed. What is read meanwhile is not remembered. */
  changed(id: string | undefined): void;
  /**
   * Whether no change was reported since it was read. To be asked before something is sent to where it says, after a wait: who
   * has changed it was answered, and expects that nothing goes to the old place any more.
   */
  isCurrent(found: ResolvedIntegration): boolean;
  /** Where requests about this connection go, from a cache. Throws `VaultError` if a secret cannot be decrypted. */
  targetOf(found: ResolvedIntegration, about: Pick<Connection, 'params' | 'captured'>): Target;
}

/** The row and column that a secret of an integration is encrypted for. */
export const integrationContext = (id: string, column: 'client_secret' | 'private_key') => ({
  row: `integrations/${id}`,
  column,
});

export const notAuthentic = (integration: string): Fault => ({
  code: 'integration_misconfigured',
  integration,
  detail: 'something else than a broker has changed its row: set it up again with PUT, with its secrets',
});

interface Parts {
  store: Pick<Store, 'integration'>;
  vault: Pick<Vault, 'decrypt'>;
  catalogue: ReadonlyMap<string, Provider>;
  clock: Pick<Clock, 'monotonic'>;
}

export function createTargets({ store, vault, catalogue, clock }: Parts): Targets {
  const integrations = new LRUCache<string, ResolvedIntegration>({
    ...upTo(MAX_TARGETS),
    ttl: KNOWN_INTEGRATION_TTL_MS,
    ttlResolution: 0,
    perf: { now: clock.monotonic },
  });
  let changes = 0;
  /** The number of the last change of each integration, and of the last one that may have been of any. */
  const changedAt = new Map<string, number>();
  let allChangedAt = 0;
  /** How many changes had been reported when the read began. */
  const readAt = new WeakMap<ResolvedIntegration, number>();
  const targets = new LRUCache<string, Target>(upTo(MAX_TARGETS));
  /** Reads of this turn of the event loop: refreshes come in bursts that need the same integration. */
  const reads = new Map<string, Promise<ResolvedIntegration | Refusal>>();

  /** By the row that was read, the target that it was asked for last: each of its refreshes needs it several times. */
  const last = new WeakMap<Integration, { params: string; target: Target }>();

  function resolved({ integration, provider }: ResolvedIntegration, params: Values): Target {
    const { id, version, createdAt, clientSecret, privateKey, certificate } = integration;
    // A change by another process shows in the row: another version, creation time or ciphertext.
    const key = JSON.stringify([id, version, createdAt, clientSecret, privateKey, params]);
    const known = targets.get(key);
    if (known) return known;
    const decrypted = (secret: Ciphertext | null, column: 'client_secret' | 'private_key') =>
      secret === null ? null : vault.decrypt(secret, integrationContext(id, column));
    const secrets = {
      secret: decrypted(clientSecret, 'client_secret'),
      privateKey: decrypted(privateKey, 'private_key'),
      certificate,
    };
    const target = resolveTarget(provider, integration, secrets, params);
    targets.set(key, target);
    return target;
  }

  async function read(id: string): Promise<ResolvedIntegration | Refusal> {
    const before = changes;
    const integration = await store.integration(id);
    if (!integration) return refuse({ code: 'not_found', what: 'integration', id });
    if (integration.isAuthentic === false) return refuse(notAuthentic(id));
    const provider = catalogue.get(integration.provider);
    const auth = provider && authMode(provider, integration.params);
    if (auth) {
      const found = { integration, provider, auth };
      readAt.set(found, before);
      return found;
    }
    const missing = provider ? `mode "${integration.params.mode}" of provider` : 'provider';
    const detail = `the catalogue of this deployment does not have the ${missing} "${integration.provider}" any more`;
    return refuse({ code: 'integration_misconfigured', integration: id, detail });
  }

  function find(id: string): Promise<ResolvedIntegration | Refusal> {
    const known = reads.get(id);
    if (known) return known;
    if (reads.size === 0) setImmediate(() => reads.clear());
    const reading = read(id);
    reads.set(id, reading);
    return reading;
  }

  async function findAndRemember(id: string): Promise<ResolvedIntegration | Refusal> {
    const before = changes;
    const found = await find(id);
    if (before === changes && !(found instanceof Refusal)) integrations.set(id, found);
    return found;
  }

  return {
    find,
    known: (id) => integrations.get(id) ?? findAndRemember(id),
    changed(id) {
      changes++;
      reads.clear();
      if (id === undefined) {
        allChangedAt = changes;
        changedAt.clear();
        integrations.clear();
      } else {
        changedAt.set(id, changes);
        integrations.delete(id);
      }
    },
    isCurrent: (found) => (readAt.get(found) ?? 0) >= (changedAt.get(found.integration.id) ?? allChangedAt),

    targetOf(found, about) {
      const values = connectionParams(found.provider, found.auth, about);
      const params = JSON.stringify(values);
      const known = last.get(found.integration);
      if (known?.params === params) return known.target;
      const target = resolved(found, values);
      last.set(found.integration, { params, target });
      return target;
    },
  };
}
