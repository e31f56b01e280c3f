// Why the authorization server of a protected resource cannot be used, each with who can fix it and how. The codes are the
// `reason` of `integration_misconfigured`.
import type { Cause } from './cause.ts';

const admin = (summary: string, how: string): Cause => ({ summary, fixableBy: 'admin', how });
const server = (summary: string): Cause =>
  admin(summary, 'Tell who runs the server; nothing was sent there, and nothing is stored.');

export const DISCOVERY_CAUSES = {
  resource_mismatch: server('The server publishes metadata of another resource than the one that is asked for.'),
  issuer_mismatch: server(
    'The metadata of the authorization server names another issuer than the one that was expected.',
  ),
  issuer_required: admin(
    'The integration has a client secret and does not say which authorization server it is for.',
    'Set params.issuer of the integration to the one where the client is registered.',
  ),
  pkce_unsupported: admin(
    'The authorization server does not announce PKCE with S256.',
    'If it supports it nevertheless, set params.pkce of the integration to "assumed".',
  ),
  outbound_refused: {
    summary: 'This deployment does not connect to an address that the discovery leads to.',
    fixableBy: 'operator',
    how: 'Add the host to VALETKEY_OUTBOUND_ALLOW if it is meant; private addresses and plain http are refused otherwise.',
  },
  redirect: server('The server answers the discovery with a redirect, which is not followed.'),
  invalid_metadata: server('The server answers the discovery with something that is no metadata document.'),
  not_protected: admin('The server answers without a token.', 'Call it directly: it needs no connection.'),
  no_resource_metadata: server('The server publishes no metadata of a protected resource (RFC 9728).'),
  no_authorization_server: server('The metadata of the server name no authorization server.'),
  no_server_metadata: server('The authorization server publishes no metadata (RFC 8414).'),
  registration_refused: admin(
    'The authorization server refuses to register the client of the broker.',
    'Register a client there by hand, and set client_id of the integration.',
  ),
  client_not_registered: admin(
    'The authorization server does not take clients that it does not know.',
    'Register a client there by hand with the redirect URI that is named, and set client_id of the integration.',
  ),
  public_url_not_https: {
    summary:
      'The authorization server reads the client from a document, and that of this deployment is not at an https URL.',
    fixableBy: 'operator',
    how: 'Set VALETKEY_PUBLIC_URL to an https URL that the server reaches, or register a client there by hand.',
  },
  signing_alg_unsupported: {
    summary:
      'The authorization server wants client assertions of another algorithm than the one that this deployment signs with.',
    fixableBy: 'operator',
    how: 'Set VALETKEY_SIGNING_ALG to one that the server takes, or register a client there by hand.',
  },
} as const satisfies Record<string, Cause>;

/** Undefined: it is none of them. */
export const discoveryCause = (code: string): Cause | undefined =>
  Object.hasOwn(DISCOVERY_CAUSES, code) ? DISCOVERY_CAUSES[code as keyof typeof DISCOVERY_CAUSES] : undefined;
