// How the API of a connection is called: its base URLs, how its lists go on, and where an idempotency key goes. For clients,
// which map the links in its answers back to the proxy.
import type { ProviderApi } from '../../../domain/api-dialect.ts';
import { Refusal, refuse } from '../../../domain/errors.ts';
import { destinationOf, NoDestination } from '../../../domain/proxied-destination.ts';
import type { Call } from '../../audit/index.ts';
import type { Targets } from '../../integrations/index.ts';
import type { Selector, TokenReader } from '../../tokens/index.ts';

export interface DescribedApi extends Pick<ProviderApi, 'pagination' | 'idempotency'> {
  connectionId: string;
  integration: string;
  provider: string;
  /** As calls of this connection have it, without a slash at its end. */
  baseUrl: string;
  /** By alias. Those that this connection does not have are left out. */
  otherHosts: Record<string, string>;
}

export interface ApiDescriptions {
  /** Takes a permission for `proxy`, whatever its methods and paths. Refuses as a call would. Rejects with `StoreError`. */
  describe(call: Call, selector: Selector): Promise<DescribedApi | Refusal>;
}

interface Parts {
  reader: Pick<TokenReader, 'read'>;
  targets: Targets;
}

export function createApiDescriptions({ reader, targets }: Parts): ApiDescriptions {
  return {
    async describe(call, selector) {
      const served = await reader.read(call, selector, undefined, { action: 'proxy', audit: 'connection.read' });
      if (served instanceof Refusal) return served;
      const { connection } = served;
      const found = await targets.find(connection.integration);
      if (found instanceof Refusal) return found;
      const { integration, provider, auth } = found;
      const { overrides, id } = integration;
      const { values } = targets.targetOf(found, connection);
      const source = { provider, auth, overrides, values, captured: connection.captured };
      const urlOf = (alias?: string): string | NoDestination => {
        const destination = destinationOf(source, alias);
        return destination instanceof NoDestination ? destination : destination.origin + destination.basePath;
      };
      const baseUrl = urlOf();
      if (baseUrl instanceof NoDestination)
        return refuse({ code: 'integration_misconfigured', integration: id, detail: baseUrl.detail });
      const { other_hosts, pagination, idempotency } = provider.api;
      const hosts = Object.keys(other_hosts).map((alias) => [alias, urlOf(alias)] as const);
      return {
        connectionId: connection.id,
        integration: id,
        provider: provider.id,
        baseUrl,
        otherHosts: Object.fromEntries(hosts.filter((host): host is [string, string] => typeof host[1] === 'string')),
        pagination,
        idempotency,
      };
    },
  };
}
