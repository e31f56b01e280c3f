// The causes for which connections do not work, each with who can fix it and how. A reason without a row is a type error;
// codes of providers are an open set, and have words for those that are known.
import type { Cause } from './cause.ts';
import { discoveryCause } from './discovery-causes.ts';
import type { HoldReason, ReauthReason } from './errors.ts';
import type { DisabledReason } from './webhook-endpoint.ts';

/** What opened the circuit of a token endpoint: see `FailureCause` of the circuit breakers. */
export type CircuitCause = 'outage' | 'throttled' | 'client_fault' | 'dead_grants';

/** Why no request of an integration can be made. */
export type IntegrationProblem =
  /** It was deleted. */
  | 'absent'
  /** Something else than a broker has changed its row. */
  | 'not_authentic'
  /** The catalogue of this deployment has not its provider, or its mode. */
  | 'unknown_provider'
  /** Its secrets do not open with the key ring. */
  | 'secrets_do_not_open';

/** Why a check has failed. */
export type CheckReason =
  /** The API does not accept the token, and a refresh brought no other one that it accepts. */
  | 'token_rejected'
  /** It is another account's. The connection is `needs_reauth`. */
  | 'identity_changed'
  /** The API accepts it, perhaps, and not for this call. */
  | 'forbidden'
  | 'rate_limited'
  /** The API, or what renews the token, has failed or cannot be reached. */
  | 'provider_unavailable'
  /** An answer that the catalogue's entry does not know. */
  | 'unexpected_answer'
  /** The provider has ended the grant when the token was renewed. */
  | ReauthReason;

const RECONNECT = 'Send the owner a connect link: create a connect session with this connection_id.';
const WAIT = 'Wait: the broker tries again by itself.';

const owner = (summary: string, how = RECONNECT): Cause => ({ summary, fixableBy: 'owner', how });
const vendor = (summary: string, how = WAIT): Cause => ({ summary, fixableBy: 'vendor', how });
const passing = (summary: string): Cause => ({ summary, fixableBy: 'no_one', how: WAIT });
const admin = (summary: string, how: string): Cause => ({ summary, fixableBy: 'admin', how });
const operator = (summary: string, how: string): Cause => ({ summary, fixableBy: 'operator', how });

export const REAUTH_CAUSES: Record<ReauthReason, Cause> = {
  grant_revoked: owner(
    '{provider} says that the grant is gone: the owner, or an administrator there, has withdrawn it.',
  ),
  grant_expired: owner('The grant has expired, and only the owner can give another.'),
  deauthorized: owner('{provider} has said that the app was uninstalled, or that its access was withdrawn.'),
  identity_changed: owner(
    'The token turned out to be of another account than the one that was connected.',
    'Send the owner a connect link (a connect session with this connection_id), to sign in with the account that was connected.',
  ),
  authorization_server_changed: owner(
    'The server names another authorization server than the one that the connection is of, and the old grant is never sent there.',
  ),
  refresh_outcome_unknown: owner('The answer to a refresh was lost, and the refresh token is spent.'),
  credentials_rejected: owner(
    '{provider} rejects the imported credentials, such as an API key or a client of its own.',
    'Import credentials that are valid for this connection, or send the owner a connect link with this connection_id.',
  ),
  not_refreshable: owner('The access token has expired or is about to, and the provider has issued no refresh token.'),
};

export const HOLD_CAUSES: Record<HoldReason, Cause> = {
  account_disabled: vendor(
    '{provider} has suspended the account.',
    'It works again as soon as the provider enables the account, or once the owner has connected again.',
  ),
};

const KEYS =
  'Start the broker with the key that encrypted them; if that is lost, set the integration up again with its secrets.';

export const INTEGRATION_CAUSES: Record<IntegrationProblem, Cause> = {
  absent: admin(
    'The integration of the connection was deleted.',
    'Set the integration up again under the same id, or revoke the connection.',
  ),
  not_authentic: admin(
    'The stored settings of the integration are not authentic, and not used: something else than a broker has changed them, or their key is not in the key ring.',
    'Start the broker with all keys of the database; if it has them, set the integration up again, with its secrets.',
  ),
  unknown_provider: operator(
    'The catalogue of this deployment has no such provider or mode any more.',
    'Add the entry again to the catalogue of this deployment, or set the integration up with another provider or mode.',
  ),
  secrets_do_not_open: operator('The secrets of the integration do not open with the keys of this broker.', KEYS),
};

export const CIRCUIT_CAUSES: Record<Exclude<CircuitCause, 'client_fault'>, Cause> = {
  outage: vendor('{provider} fails to answer for several connections, and only probes are sent until one works.'),
  throttled: vendor('{provider} asks to wait with refreshes.'),
  dead_grants: admin(
    '{provider} refuses unlikely many grants at once, which is doubted: only probes are sent until one works.',
    'Look at the vendor whether the app was changed, replaced or suspended; the broker goes on by itself once a refresh works.',
  ),
};

export const CHECK_CAUSES: Record<CheckReason, Cause> = {
  ...REAUTH_CAUSES,
  token_rejected: owner('The API of the provider does not accept the token, nor a renewed one.'),
  forbidden: admin(
    'The API of the provider accepts the token, and forbids the call that checks it.',
    'Look whether the scopes of the integration, and the plan and settings of the account, allow that call.',
  ),
  rate_limited: vendor(
    'The API of the provider asked to wait when the connection was checked.',
    'Wait, then check it again.',
  ),
  provider_unavailable: vendor(
    'The API of the provider could not be reached, or failed, when the connection was checked.',
    'Wait, then check the connection again.',
  ),
  unexpected_answer: operator(
    'The API of the provider answered the check in a way that the catalogue does not know.',
    'Compare api_base_url and the call that checks a token, in the catalogue, with the documentation of the API.',
  ),
};

const REVIVE = 'Correct its URL or bring the receiver back, enable the endpoint again, and replay what it has missed.';

export const DISABLED_CAUSES: Record<DisabledReason, Cause> = {
  disabled_by_caller: admin('The caller has disabled the webhook endpoint.', 'Enable the endpoint again.'),
  gone: admin('The webhook endpoint has answered 410, which says that it is gone, and was disabled.', REVIVE),
  failing: admin('Deliveries to the webhook endpoint have only failed for five days, and it was disabled.', REVIVE),
};

export const OTHER_CAUSES = {
  failing_endpoint: admin(
    'Deliveries to the webhook endpoint fail, and are tried again.',
    'Look at its deliveries for what it answers, and repair the receiver before the endpoint is disabled.',
  ),
  revoked: {
    summary: 'The connection was revoked, and its secrets were deleted.',
    fixableBy: 'no_one',
    how: 'Create a connect session for a new connection.',
  },
  limited: vendor('The API of the provider has asked not to be called for now.'),
  failing_host: vendor('The API of the provider fails, and only probes are sent until one works.'),
} as const satisfies Record<string, Cause>;

const SECRET = 'Set the client secret of the integration to the one that is valid at the vendor.';
const REFUSED = '{provider} refuses the client of the integration';
const SETTINGS =
  'Compare the settings of the integration with those of the app at the vendor, and correct what differs.';

/** By the code that is stored: of RFC 6749 5.2, of RFC 8414, or ours. */
const MISCONFIGURED_CAUSES: Readonly<Record<string, Cause>> = {
  invalid_client: admin(`${REFUSED}: its secret is wrong, has expired or was replaced there.`, SECRET),
  http_401: admin(`${REFUSED}: its secret is wrong, has expired or was replaced there.`, SECRET),
  missing_client_secret: admin('The integration has no client secret, and {provider} requires one.', SECRET),
  unauthorized_client: admin(
    `${REFUSED}: it may not refresh tokens.`,
    'Allow the app at the vendor to use refresh tokens, or set up the client that may.',
  ),
  unsupported_grant_type: admin(`${REFUSED}: it may not refresh tokens.`, SETTINGS),
  invalid_scope: admin(
    '{provider} refuses the scopes of the integration.',
    'Request only scopes that the app has been granted at the vendor.',
  ),
  invalid_client_key: admin(
    'The private key of the integration cannot be used to sign with.',
    'Set the private key of the integration, and its key_id, as they are registered at the vendor.',
  ),
  invalid_private_key: admin(
    'The private key of the integration cannot be used to sign with.',
    'Set the private key of the integration, and its key_id, as they are registered at the vendor.',
  ),
  missing_credentials: admin('The integration lacks credentials that its mode needs.', SETTINGS),
  missing_endpoint: admin('The metadata of the provider names no endpoint for this.', SETTINGS),
  invalid_endpoint: admin('The token endpoint of the integration is not an https URL.', SETTINGS),
  insecure_endpoint: admin('The endpoint of the integration is not an https URL.', SETTINGS),
  invalid_issuer: admin('The issuer of the integration is not a URL.', SETTINGS),
  issuer_mismatch: admin('The metadata of the provider names another issuer than the integration.', SETTINGS),
  redirect: admin('The token endpoint redirects elsewhere, where secrets are not sent.', SETTINGS),
  outbound_blocked: operator(
    'This deployment does not connect to the address of the token endpoint.',
    'Add the host to VALETKEY_OUTBOUND_ALLOW if it is meant, or correct the URL in the settings of the integration.',
  ),
};

/** `code`: without the prefix that it is stored with. */
export const misconfiguredCause = (code: string): Cause =>
  named(MISCONFIGURED_CAUSES, code) ??
  discoveryCause(code) ??
  admin(`${REFUSED}, or what it asks for (${code}).`, SETTINGS);

const DOWN = '{provider} has an outage: its token endpoint answers with errors.';
const BUSY = '{provider} asks to wait with refreshes.';

/** Codes that pass by themselves; and those of answers that are not believed. */
const REFRESH_ERROR_CAUSES: Readonly<Record<string, Cause>> = {
  network_error: vendor('{provider} cannot be reached: the connection to its token endpoint fails.'),
  timeout: vendor('{provider} does not answer refreshes in time.'),
  slow: vendor('{provider} does not answer refreshes in time.'),
  server_error: vendor(DOWN),
  temporarily_unavailable: vendor(DOWN),
  slow_down: vendor(BUSY),
  rate_limited: vendor(BUSY),
  ratelimited: vendor(BUSY),
  rate_limit_exceeded: vendor(BUSY),
  too_many_requests: vendor(BUSY),
  http_429: vendor(BUSY),
  use_dpop_nonce: vendor('{provider} asks for one nonce after the other, and refreshes nothing.'),
  answer_too_large: vendor('{provider} answers refreshes with more than a token response may have.'),
  keys_unavailable: vendor('The keys of the provider, which its ID tokens are verified with, cannot be fetched.'),
  withheld: vendor('The last refresh was held back before anything was sent.'),
  invalid_answer: vendor(
    '{provider} answers refreshes with something in which no token is found.',
    'Wait, since the broker tries again; if it stays so, an admin can read the stored response.',
  ),
  invalid_response: vendor('{provider} answers refreshes in a way that cannot be trusted.'),
  invalid_id_token: vendor('{provider} answers refreshes with an ID token that is not valid.'),
  refresh_in_progress: passing('Another refresh of this connection is under way.'),
  refresh_in_doubt: passing('Another process that has stopped answering may have refreshed this connection.'),
  stopping: passing('This replica of the broker is stopping.'),
  store_unavailable: operator(
    'The new token could not be stored in time.',
    'Look whether the database of the broker takes writes; the broker tries again by itself.',
  ),
  unexpected_error: operator(
    'A refresh failed in an unexpected way, and is tried again.',
    'Look at the log of the broker for this connection, and report it.',
  ),
  not_refreshable: REAUTH_CAUSES.not_refreshable,
  grant_expired: REAUTH_CAUSES.grant_expired,
};

export const MISCONFIGURED_PREFIX = 'misconfigured:';

/** `code`: of the last failed refresh, as it is stored. */
export function refreshErrorCause(code: string): Cause {
  if (code.startsWith(MISCONFIGURED_PREFIX)) return misconfiguredCause(code.slice(MISCONFIGURED_PREFIX.length));
  if (/^http_5\d\d$/.test(code)) return vendor(DOWN);
  return named(REFRESH_ERROR_CAUSES, code) ?? vendor(`{provider} does not refresh the token for now (${code}).`);
}

const named = (causes: Readonly<Record<string, Cause>>, code: string): Cause | undefined =>
  Object.hasOwn(causes, code) ? causes[code] : undefined;
