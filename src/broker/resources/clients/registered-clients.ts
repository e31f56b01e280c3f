// Refreshes of registered clients: one that the authorization server does not know any more is registered again, once, and the
// refresh is repeated as the new client.
import type { GrantSource } from '../../../domain/grant-source.ts';
import { parseStoredCredentials, withSource } from '../../../domain/imported-credentials.ts';
import type { Logger, ProviderClient, ProviderFault } from '../../../ports/index.ts';
import type { Registrations } from './registrations.ts';

/** The server refuses a client that the broker has registered, and has not read the rest of the request (RFC 6749 5.2). */
export const isUnknownClient = (
  { code, outcomeUnknown }: Pick<ProviderFault, 'code' | 'outcomeUnknown'>,
  source: GrantSource | undefined,
): boolean => code === 'invalid_client' && !outcomeUnknown && source?.client.kind === 'registered';

interface Parts {
  provider: Pick<ProviderClient, 'refresh'>;
  registrations: Pick<Registrations, 'replace'>;
  log: Logger;
}

/** As that of the provider. */
export function refreshWithRegisteredClients({ provider, registrations, log }: Parts): ProviderClient['refresh'] {
  const refreshAsRegistered: ProviderClient['refresh'] = async (target, request) => {
    const answer = await provider.refresh(target, request);
    const { credentials } = request.credentials;
    const { source } = answer.ok ? { source: undefined } : parseStoredCredentials(credentials);
    if (answer.ok || source?.client.kind !== 'registered' || !isUnknownClient(answer.fault, source)) return answer;
    const { server, redirectUri } = source;
    const { integration } = target;
    const replaced = await registrations.replace({ integration, server, redirectUri }, source.client.id);
    if (!replaced.ok) {
      const { code, detail } = replaced.fault;
      log.warn({ integration, issuer: server.issuer, code, detail }, 'registration: the client could not be replaced');
      return answer;
    }
    const renewed: GrantSource = { ...source, client: replaced.value };
    const again = { ...request.credentials, credentials: withSource(credentials, renewed) };
    const second = await provider.refresh(target, { ...request, credentials: again });
    return second.ok ? { ok: true, value: { ...second.value, source: renewed } } : second;
  };
  // Most are stored without where they come from.
  return (target, request) =>
    (request.credentials.credentials === null ? provider.refresh : refreshAsRegistered)(target, request);
}
