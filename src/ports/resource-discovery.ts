// Protected resources of third parties (RFC 9728): which authorization server one has, and a client there (RFC 7591).
import type { ServerMetadata, SourceClient } from '../domain/grant-source.ts';
import type { Target } from '../domain/target.ts';
import type { ProviderResult } from './provider-client.ts';

/** An answer of a resource that rejects a token, or wants more scopes (RFC 6750 3). */
export interface ResourceChallenge {
  status: number;
  /** The field `WWW-Authenticate`. */
  wwwAuthenticate: string;
}

/** A resource and its authorization server, as they describe themselves, checked. */
export interface FoundResource {
  /** As it is published, byte for byte (RFC 8707). */
  resource: string;
  server: ServerMetadata;
  /** Those to ask for where no one names others: the challenge's, or else all of the resource. */
  scopes: string[];
}

export interface RegisteredClient {
  client: Extract<SourceClient, { kind: 'registered' }>;
  /** When its secret expires, in ms since the epoch; null: never. */
  expiresAt: number | null;
}

/**
 * Never rejects for anything that a server does: that is a fault, whose code is the reason and whose detail names the step and the
 * URL, never what was answered. Nothing but the URLs of the specifications is requested, and no redirect followed; sizes and
 * the time in all are bounded.
 */
export interface ResourceDiscovery {
  /**
   * Asks the resource of the target for a challenge, then reads its metadata (RFC 9728) and those of its authorization server
   * (RFC 8414). With a `challenge` that it has answered with before, it is not asked again.
   */
  discover(target: Target, challenge?: ResourceChallenge): Promise<ProviderResult<FoundResource>>;
  /** RFC 7591 3. Precondition: the server has a registration endpoint. */
  register(
    server: ServerMetadata,
    client: { name: string; uri: string; redirectUri: string },
  ): Promise<ProviderResult<RegisteredClient>>;
}
