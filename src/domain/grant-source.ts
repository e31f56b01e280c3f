// Where a grant comes from, where that was found when its owner connected: the authorization server, the resource, and the client
// there. It is stored, encrypted, with the grant: refreshes and revocations go there, and nowhere else, without discovery.
import { z } from 'zod';
import { CLIENT_AUTH } from './client-auth-values.ts';

const Methods = z.array(z.string()).optional();

/** Authorization server metadata (RFC 8414 2, RFC 9207 3, RFC 9126 5), as far as it is used. */
export const ServerMetadata = z.object({
  issuer: z.string(),
  authorization_endpoint: z.string(),
  token_endpoint: z.string(),
  revocation_endpoint: z.string().optional(),
  registration_endpoint: z.string().optional(),
  pushed_authorization_request_endpoint: z.string().optional(),
  require_pushed_authorization_requests: z.boolean().optional(),
  token_endpoint_auth_methods_supported: Methods,
  token_endpoint_auth_signing_alg_values_supported: Methods,
  code_challenge_methods_supported: Methods,
  scopes_supported: Methods,
  authorization_response_iss_parameter_supported: z.boolean().optional(),
  client_id_metadata_document_supported: z.boolean().optional(),
});
export type ServerMetadata = z.infer<typeof ServerMetadata>;

export const OFFLINE_ACCESS = 'offline_access';
/** `self_signed_tls_client_auth` (RFC 8705 2.2) is the same for the client. */
const AUTH_METHODS: readonly string[] = [...CLIENT_AUTH, 'self_signed_tls_client_auth'];
const MOST_ALGORITHMS = 20;

/** Without what nothing is done with: metadata are stored with each grant, and a document of a stranger has 100 kB. */
export function usedOf(metadata: ServerMetadata): ServerMetadata {
  const {
    scopes_supported: scopes,
    code_challenge_methods_supported: pkce,
    token_endpoint_auth_methods_supported: methods,
    token_endpoint_auth_signing_alg_values_supported: algorithms,
  } = metadata;
  return {
    ...metadata,
    scopes_supported: scopes && among([OFFLINE_ACCESS], scopes),
    code_challenge_methods_supported: pkce && among(['S256', 'plain'], pkce),
    token_endpoint_auth_methods_supported: methods && [...new Set(methods.filter((one) => AUTH_METHODS.includes(one)))],
    token_endpoint_auth_signing_alg_values_supported: algorithms
      ?.filter((one) => /^[A-Za-z0-9-]{1,20}$/.test(one))
      .slice(0, MOST_ALGORITHMS),
  };
}

const among = (known: readonly string[], named: readonly string[]): string[] =>
  known.filter((one) => named.includes(one));

/**
 * - `integration`: the integration's own client, registered by hand
 * - `document`: its id is the URL of a client id metadata document; without a method, it does not authenticate. The key of
 *   `private_key_jwt` is the one that signs JWTs at that time
 * - `registered`: by RFC 7591, one for all connections of the integration at this issuer
 */
export type SourceClient =
  | { kind: 'integration' }
  | { kind: 'document'; id: string; method?: 'private_key_jwt' }
  | { kind: 'registered'; id: string; secret: string | null; method: string };

export interface GrantSource {
  /** As the resource publishes it, byte for byte (RFC 8707). */
  resource: string;
  /** Its `issuer` is what authorization responses are compared with. */
  server: ServerMetadata;
  client: SourceClient;
  /** What the client is registered with. */
  redirectUri: string;
  /** The scopes of the authorization request. */
  asked: string[];
}

/**
 * Whether a refresh token of one may be sent to the other. Undefined: where the provider's endpoints are those of the catalogue
 * or the integration.
 */
export function isSameSource(one: GrantSource | undefined, other: GrantSource | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return (
    one.server.issuer === other.server.issuer &&
    one.server.token_endpoint === other.server.token_endpoint &&
    one.resource === other.resource &&
    clientIdOf(one.client) === clientIdOf(other.client)
  );
}

/** Null: the integration's. */
export const clientIdOf = (client: SourceClient): string | null => (client.kind === 'integration' ? null : client.id);
