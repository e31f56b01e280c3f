// Challenges that callers bring back from a protected resource: whether it still has the authorization server that granted the
// connection. A refresh token is never sent to another one: the owner connects again there.
import type { Connection } from '../../domain/connection.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import type { GrantSource } from '../../domain/grant-source.ts';
import { parseStoredCredentials } from '../../domain/imported-credentials.ts';
import type { Target } from '../../domain/target.ts';
import type { Logger, ProviderResult, ResourceChallenge, Store, Vault } from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import type { Cache, TokenCache } from '../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../integrations/index.ts';
import { decryptKeyMaterial } from '../secrets/index.ts';
import type { GrantSources } from './grant-sources.ts';
import { refusalOf } from './refusals.ts';

export interface Challenges {
  /**
   * Reads the metadata of the resource once more. Where they lead to another issuer, and the resource says the same when it is
   * asked without a token, the connection is `needs_reauth` from now on, and this refuses with `reauthorization_required`; where
   * they cannot be accepted, with `integration_misconfigured`. Of a resource that cannot be reached now nothing is known, and of a
   * provider without one nothing is asked.
   */
  check(connection: Connection, challenge: ResourceChallenge): Promise<Refusal | undefined>;
  /** Where the connection's grant comes from. Undefined: from the endpoints of the catalogue. Throws `VaultError`. */
  sourceOf(connection: Connection): Promise<GrantSource | undefined>;
}

export interface ChallengesParts {
  store: Pick<Store, 'storedCredentials' | 'deauthorize'>;
  vault: Pick<Vault, 'decrypt'>;
  targets: Targets;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  untilApplied: Cache['untilApplied'];
  access: Pick<Access, 'recordSystem'>;
  log: Logger;
}

export function createChallenges(
  parts: ChallengesParts & { sources: Pick<GrantSources, 'discover' | 'challengedIssuer'> },
): Challenges {
  const { store, vault, targets, sources, tokenCache, untilApplied, access, log } = parts;

  async function sourceOf(connection: Connection): Promise<GrantSource | undefined> {
    const stored = await store.storedCredentials(connection.id);
    if (!stored?.credentials) return undefined;
    return parseStoredCredentials(decryptKeyMaterial(vault, connection, stored.credentials)).source;
  }

  async function ownIssuer(found: ResolvedIntegration, target: Target): Promise<ProviderResult<{ issuer: string }>> {
    const answer = await sources.discover(found, target);
    return answer.ok ? { ok: true, value: { issuer: answer.value.server.issuer } } : answer;
  }

  return {
    sourceOf,
    async check(connection, challenge) {
      const { id, integration, owner, generation } = connection;
      const found = await targets.find(integration);
      if (found instanceof Refusal) return found;
      const target = targets.targetOf(found, connection);
      const source = target.resource === null ? undefined : await sourceOf(connection);
      if (!source) return undefined;
      const told = await sources.challengedIssuer(found, target, challenge);
      // A caller may have invented it, with a document of someone else at the same host: the resource itself decides.
      const leadsElsewhere = told.ok && told.value.issuer !== source.server.issuer;
      const answer = leadsElsewhere ? await ownIssuer(found, target) : told;
      if (!answer.ok && answer.fault.kind === 'transient') {
        const { code, detail } = answer.fault;
        log.warn({ connection: id, integration, code, detail }, 'challenge: the resource cannot be asked now');
        return undefined;
      }
      if (!answer.ok) return refusalOf(integration, answer.fault);
      const { issuer } = answer.value;
      if (issuer === source.server.issuer) return undefined;
      const reason = 'authorization_server_changed';
      const by = access.recordSystem(
        'connection.needs_reauth',
        { integration, owner, connectionId: id, detail: reason },
        'failed',
      );
      if ((await store.deauthorize(id, generation, reason, by)) === 'deauthorized') {
        tokenCache.invalidate(connection, generation + 1);
        await untilApplied();
        const fields = { connection: id, integration, from: source.server.issuer, to: issuer };
        log.warn(fields, 'challenge: the resource has another authorization server, the owner must connect again');
      }
      return refuse({ code: 'reauthorization_required', connection_id: id, reason });
    },
  };
}
