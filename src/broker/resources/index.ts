// The resources room: protected resources of third parties, whose authorization servers are found when someone connects, and the
// clients that the broker has there.
import type { ClientAssertions, ProviderClient, ResourceDiscovery } from '../../ports/index.ts';
import { type Challenges, type ChallengesParts, createChallenges } from './challenges.ts';
import { type ClientDocuments, createClientDocuments } from './clients/client-documents.ts';
import { redirectUris } from './clients/redirect-uris.ts';
import { refreshWithRegisteredClients } from './clients/registered-clients.ts';
import { createRegistrations, type RegistrationParts, type Registrations } from './clients/registrations.ts';
import { createGrantSources, type GrantSources } from './grant-sources.ts';

export type { Challenges } from './challenges.ts';
export type { ClientDocuments } from './clients/client-documents.ts';
export { type DocumentMethod, type RedirectUriToRegister, redirectUriToRegister } from './clients/redirect-uris.ts';
export { isUnknownClient } from './clients/registered-clients.ts';
export type { Registrations } from './clients/registrations.ts';
export type { GrantSources } from './grant-sources.ts';
export { refusalOf } from './refusals.ts';

export interface Resources {
  sources: GrantSources;
  registrations: Pick<Registrations, 'replace'>;
  challenges: Challenges;
  documents: ClientDocuments;
  /** As that of the provider; a client that the server does not know any more is registered again. */
  refresh: ProviderClient['refresh'];
}

interface Parts extends RegistrationParts, ChallengesParts {
  store: RegistrationParts['store'] & ChallengesParts['store'];
  vault: RegistrationParts['vault'];
  discovery: ResourceDiscovery;
  clientAssertions: Pick<ClientAssertions, 'algorithm'>;
  provider: Pick<ProviderClient, 'refresh'>;
}

export function createResources(parts: Parts): Resources {
  const registrations = createRegistrations(parts);
  const sources = createGrantSources({ ...parts, registrations, uris: redirectUris(parts.publicUrl) });
  return {
    sources,
    registrations,
    challenges: createChallenges({ ...parts, sources }),
    documents: createClientDocuments(parts),
    refresh: refreshWithRegisteredClients({ ...parts, registrations }),
  };
}
