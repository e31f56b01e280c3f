// OAuth errors (RFC 6749 5.2, RFC 8693 2.2.2): from a refusal or an unexpected error to the answer of the `/oauth2/` endpoints.
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { ExchangeFault } from '../../broker/tokens/index.ts';
import type { Fault } from '../../domain/errors.ts';
import { redactSecrets } from '../../domain/redaction.ts';
import { StoreBusyError, StoreError, VaultError } from '../../ports/index.ts';
import type { Answer } from '../answer.ts';
import { faultDetails, retryAfter, STORE_BUSY } from './fault-details.ts';
import { PROBLEMS } from './problem-table.ts';

export interface OAuthError {
  status: ContentfulStatusCode;
  error: string;
  description: string;
  /** Members of our own, which say what to do. */
  members?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** A refusal in OAuth's form, as a value: functions return `T | OAuthRefusal` and their callers narrow with `instanceof`. */
export class OAuthRefusal {
  readonly error: OAuthError;
  constructor(error: OAuthError) {
    this.error = error;
  }
}

export const invalidRequest = (description: string): OAuthRefusal =>
  new OAuthRefusal({ status: 400, error: 'invalid_request', description });

const FAULTS = {
  invalid_request: [400, 'invalid_request'],
  unauthenticated: [401, 'invalid_client'],
  forbidden: [400, 'invalid_target'],
  not_found: [400, 'invalid_target'],
  ambiguous_connection: [400, 'invalid_request'],
  connection_exists: [400, 'invalid_request'],
  identity_mismatch: [400, 'invalid_request'],
  connection_revoked: [400, 'interaction_required'],
  reauthorization_required: [400, 'interaction_required'],
  connection_on_hold: [503, 'temporarily_unavailable'],
  owner_mismatch: [400, 'invalid_request'],
  invalid_finish_code: [400, 'invalid_request'],
  invalid_code_verifier: [400, 'invalid_request'],
  session_expired: [400, 'invalid_request'],
  check_unsupported: [400, 'invalid_request'],
  not_ready: [400, 'invalid_request'],
  step_up_exhausted: [400, 'invalid_request'],
  integration_misconfigured: [502, 'server_error'],
  integration_in_use: [400, 'invalid_request'],
  provider_unavailable: [503, 'temporarily_unavailable'],
  too_many_requests: [429, 'temporarily_unavailable'],
  rate_limited: [429, 'temporarily_unavailable'],
  invalid_path: [400, 'invalid_request'],
  upstream_rate_limited: [429, 'temporarily_unavailable'],
  upstream_unavailable: [503, 'temporarily_unavailable'],
  upstream_timeout: [503, 'temporarily_unavailable'],
  upgrade_not_supported: [400, 'invalid_request'],
} as const satisfies Record<Fault['code'], [ContentfulStatusCode, string]>;

export function oauthErrorOfFault(fault: Fault): OAuthError {
  const [status, error] = FAULTS[fault.code];
  const { detail, members = {}, headers = {} } = faultDetails(fault);
  // RFC 8693 has `invalid_target` for tokens; of other actions, the token that the caller presents lacks the scope.
  if (fault.code === 'forbidden' && fault.missing.action !== 'token')
    return { status: 403, error: 'insufficient_scope', description: detail, members };
  return { status, error, description: detail, members, headers };
}

/** `what`: whose issuer cannot be reached. */
export const issuerUnavailable = (what: string): OAuthError => ({
  status: 503,
  error: 'temporarily_unavailable',
  description: `The keys of the issuer of ${what} cannot be fetched at the moment. Try again.`,
  headers: retryAfter(5),
});

export function oauthErrorOfExchange(fault: ExchangeFault): OAuthError {
  switch (fault.code) {
    case 'invalid_subject':
      if (fault.reason === 'issuer_unavailable') return issuerUnavailable(`the ${fault.token} token`);
      return {
        status: 400,
        error: 'invalid_grant',
        description: [`The ${fault.token} token is not accepted: ${fault.reason}.`, ...whatToDo(fault)].join(' '),
        members: { reason: fault.reason },
      };
    case 'unknown_integration':
      return { status: 400, error: 'invalid_target', description: 'There is no such integration.' };
    case 'insufficient_scopes':
      return {
        status: 400,
        error: 'invalid_scope',
        description: `The connection was not granted: ${fault.missing.join(' ')}`,
        // Scopes repeat what was sent: perhaps a token in the wrong parameter.
        members: { missing_scopes: fault.missing.map(redactSecrets) },
      };
    case 'connection_required': {
      const { reason, connectionId, url } = fault;
      const what = connectionId === null ? 'connect the account' : 'connect the account again';
      const how =
        url === null
          ? 'it is imported, not connected in a browser'
          : 'send the user to connect_url, then repeat the request';
      return {
        status: 400,
        error: 'interaction_required',
        description: `The owner must ${what} (${reason}): ${how}.`,
        members: {
          reason,
          connect_url: url,
          interaction_uri: url,
          ...(connectionId !== null && { connection_id: connectionId }),
        },
      };
    }
  }
}

/** What the operator has to change, if anything. Names an issuer only if it is trusted for something. */
function whatToDo({ reason, token, issuer, claim }: Extract<ExchangeFault, { code: 'invalid_subject' }>): string[] {
  const list = `list {"issuer": "${issuer ?? '…'}"${token === 'subject' ? ', "exchange": true' : ''}} in trusted_issuers of the file of VALETKEY_CONFIG`;
  switch (reason) {
    case 'untrusted_issuer':
      return issuer === undefined
        ? ['Its issuer is not listed in trusted_issuers of the file of VALETKEY_CONFIG.']
        : [
            `${issuer} is trusted as the issuer of an OpenID integration only, for its client id. If its tokens count here, ${list}.`,
          ];
    case 'exchange_not_allowed':
      return [
        `${issuer} is not listed as one that says who owners are. If it does, add "exchange": true to its entry in trusted_issuers of the file of VALETKEY_CONFIG.`,
      ];
    case 'invalid_owner':
      return [
        `The claim ${claim} must be one text that is an owner, and verified if another claim says whether it is.`,
      ];
    case 'actor_not_allowed':
      return ['Its may_act names another party: present the token of that party as actor_token.'];
    case 'lives_too_long':
    case 'too_old':
      return [
        `For tokens that live longer, set max_age of ${issuer} in trusted_issuers of the file of VALETKEY_CONFIG.`,
      ];
    case 'sender_constrained':
      return ['It is bound to a key (cnf), and cannot be used as a bearer token.'];
    default:
      return [];
  }
}

/** For what a handler threw: a broken store, or a defect. Says nothing of the error itself. */
export function oauthErrorOfThrown(thrown: unknown): OAuthError {
  if (thrown instanceof StoreError)
    return {
      status: 503,
      error: 'temporarily_unavailable',
      description: thrown instanceof StoreBusyError ? STORE_BUSY : PROBLEMS.store_unavailable.example.detail,
      headers: retryAfter(1),
    };
  const { detail } = (thrown instanceof VaultError ? PROBLEMS.not_authentic : PROBLEMS.internal).example;
  return { status: 500, error: 'server_error', description: detail };
}

const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' };

/** 200 with JSON, or a text of this type, that must not be stored (RFC 6749 5.1). */
export const oauthSuccess = (body: object | string, type = 'application/json'): Answer => ({
  status: 200,
  headers: { 'content-type': type, ...NO_STORE },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

/** `authorization`: the header as it was sent. */
export function oauthAnswer(error: OAuthError, requestId: string, authorization?: string): Answer {
  const { status, headers } = error;
  return {
    status,
    headers: {
      'content-type': 'application/json',
      ...NO_STORE,
      ...headers,
      // RFC 6749 5.2: the challenge names the scheme that the client used.
      ...(status === 401 && /^Basic\b/i.test(authorization ?? '') && { 'www-authenticate': 'Basic realm="valetkey"' }),
    },
    body: JSON.stringify(oauthBody(error, requestId)),
  };
}

export const oauthBody = ({ error, description, members }: OAuthError, requestId: string) => ({
  error,
  error_description: plainAscii(description),
  request_id: requestId,
  ...members,
});

/** RFC 6749 5.2: printable ASCII without quotes and backslashes. */
const plainAscii = (text: string): string =>
  redactSecrets(text)
    .replaceAll('"', "'")
    .replace(/[^\x20-\x7e]|\\/g, '?');
