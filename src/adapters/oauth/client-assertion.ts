// Client authentication with the broker's own keys, where its client id is the URL of a metadata document that names them
// (RFC 7523 2.2, draft-ietf-oauth-rfc7523bis).
import type { ClientAuth } from 'openid-client';
import type { GrantSource } from '../../domain/grant-source.ts';
import type { ClientAssertions, ProviderFault } from '../../ports/index.ts';
import { fault } from './provider-errors.ts';

type OwnKeysSource = GrantSource & { client: { kind: 'document'; method: 'private_key_jwt' } };

export const usesOwnKeys = (source: GrantSource | undefined): source is OwnKeysSource =>
  source?.client.kind === 'document' && source.client.method === 'private_key_jwt';

/** Each request has an assertion of its own: servers take one once. */
export const ownAssertion =
  (assertions: ClientAssertions, { client: { id }, server: { issuer } }: OwnKeysSource): ClientAuth =>
  async (_as, client, body) => {
    const assertion = await assertions.sign({ id, issuer });
    body.set('client_id', client.client_id);
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    body.set('client_assertion', assertion);
  };

/** Why no assertion for this server can be signed now: known before a code or a refresh token is spent. */
export async function ownKeysFault(
  assertions: ClientAssertions,
  source: GrantSource,
): Promise<ProviderFault | undefined> {
  if (!usesOwnKeys(source)) return undefined;
  let alg: string;
  try {
    alg = await assertions.algorithm();
  } catch {
    return fault('transient', 'keys_unavailable', 'the key that signs client assertions could not be had');
  }
  const accepted = source.server.token_endpoint_auth_signing_alg_values_supported;
  if (accepted === undefined || accepted.includes(alg)) return undefined;
  const detail = `the authorization server ${source.server.issuer} takes no client assertions that are signed with ${alg}`;
  return fault('misconfigured', 'signing_alg_unsupported', detail);
}
