// What a fault means for the caller: the text of the answer, its members, and its headers.
import type { Fault, InputIssue } from '../../domain/errors.ts';
import { type Explanation, explainDiscovery, explainReason, explainRefreshError } from '../../domain/explanation.ts';
import { redactSecrets } from '../../domain/redaction.ts';

export interface FaultDetails {
  detail: string;
  members?: Record<string, unknown>;
  headers?: Record<string, string>;
}

export function faultDetails(fault: Fault): FaultDetails {
  switch (fault.code) {
    case 'invalid_request':
      return { detail: fault.detail, members: fault.issues ? { issues: fault.issues.map(redacted) } : {} };
    case 'unauthenticated':
      return {
        detail: UNAUTHENTICATED[fault.reason] ?? `The workload token was not accepted: ${fault.reason}.`,
        members: { reason: fault.reason },
        headers: { 'www-authenticate': challenge(fault.reason) },
      };
    case 'forbidden': {
      const { missing } = fault;
      const { action, integration, owner, scopes, min_ttl, method, path, tool, audience } = missing;
      const what = [
        `${action} on integration ${integration}, owner ${owner}`,
        ...(scopes ? [scopes[0] === '*' ? 'with unknown scopes' : `with ${scopes.join(', ')}`] : []),
        ...(min_ttl === undefined ? [] : [`with a min_ttl of ${min_ttl} seconds`]),
        ...(method === undefined ? [] : [`with the method ${method}`]),
        ...(path === undefined ? [] : [`at the path ${path}`]),
        ...(tool === undefined ? [] : [tool === '*' ? 'with a tool that is not known' : `with the tool ${tool}`]),
        ...(audience === undefined ? [] : [`for tokens of sessions with the audience ${audience}`]),
      ].join(' ');
      return { detail: `This caller has no grant for ${what}.`, members: { missing } };
    }
    case 'not_found':
      return { detail: `There is no ${fault.what} "${fault.id}".` };
    case 'ambiguous_connection':
      return {
        detail:
          'This owner has several connections at this integration. Add a label (an empty label= selects the one without a label), or use a connection id.',
        members: { candidates: fault.candidates },
      };
    case 'connection_exists':
      return {
        detail:
          'This owner already has a connection with this label at this integration. Use another label, revoke the connection, or renew it with a connect session.',
        members: { connection_id: fault.connection_id },
      };
    case 'identity_mismatch':
      return {
        detail:
          'This is another account than the one that is connected, so nothing was changed. Use another label, or revoke the connection first.',
        members: { connection_id: fault.connection_id },
      };
    case 'connection_revoked':
      return {
        detail: 'The connection was revoked and its secrets were deleted. Create a connect session for a new one.',
        members: { connection_id: fault.connection_id },
      };
    case 'reauthorization_required':
      return {
        detail: sentenceOf(explainReason(fault.reason)),
        members: { connection_id: fault.connection_id, reason: fault.reason },
      };
    case 'step_up_exhausted':
      return {
        detail:
          'The owner has authorized this connection three times within an hour. If the server still wants more, it is not the owner who can give it: look at what it asks for.',
        members: { connection_id: fault.connection_id },
        headers: retryAfter(fault.retryAfter),
      };
    case 'connection_on_hold':
      return {
        detail: sentenceOf(explainReason(fault.reason)),
        members: { connection_id: fault.connection_id, reason: fault.reason },
      };
    case 'owner_mismatch':
      return {
        detail: fault.isConnected
          ? 'The connect session is for another owner, for whom it was finished already: their connection stays as it is. Create a connect session for the owner who is signed in.'
          : 'The connect session is for another owner: its link was opened by someone else. Nothing was connected, and the grant is given up. Create a connect session for the owner who is signed in.',
        members: { connect_session_id: fault.connect_session_id },
      };
    case 'invalid_finish_code':
      return {
        detail: `The finish code is not that of this connect session. ${attemptsLeft(fault.attemptsLeft)}`,
        members: { connect_session_id: fault.connect_session_id, attempts_left: fault.attemptsLeft },
      };
    case 'invalid_code_verifier':
      return {
        detail: `The code verifier is missing, is not that of the code challenge, or was given though there is none. ${attemptsLeft(fault.attemptsLeft)}`,
        members: { connect_session_id: fault.connect_session_id, attempts_left: fault.attemptsLeft },
      };
    case 'session_expired':
      return {
        detail: 'The connect session cannot be finished any more. Create a new one.',
        members: { connect_session_id: fault.connect_session_id, session_status: fault.status },
      };
    case 'check_unsupported':
      return { detail: fault.detail, members: { integration: fault.integration } };
    case 'not_ready':
      return {
        detail: 'The owner has not consented yet. Finish the session when the browser comes to the return URL.',
        members: { connect_session_id: fault.connect_session_id },
      };
    case 'integration_misconfigured': {
      const { integration, reason } = fault;
      return { detail: misconfigured(fault), members: { integration, ...(reason !== undefined && { reason }) } };
    }
    case 'integration_in_use': {
      const { integration, connections, pending_revocations } = fault;
      return {
        detail: `The integration "${integration}" has ${connections} live connections and ${pending_revocations} pending revocations. Revoke the connections first.`,
        members: { connections, pending_revocations },
      };
    }
    case 'provider_unavailable':
      return {
        detail:
          fault.cause === undefined
            ? fault.detail
            : `${sentenceOf(explainRefreshError(fault.cause))} The last attempt: ${fault.detail}`,
        members: { integration: fault.integration },
        headers: retryAfter(fault.retryAfter),
      };
    case 'too_many_requests':
      return {
        detail: 'Too many requests from this address failed to authenticate. Wait, then use a valid key.',
        headers: retryAfter(fault.retryAfter),
      };
    case 'rate_limited': {
      const { requests, window } = fault.limit;
      return {
        detail: `This caller may send ${requests} requests in ${window} seconds.`,
        members: { limit: fault.limit },
        headers: retryAfter(fault.retryAfter),
      };
    }
    case 'invalid_path':
      return { detail: fault.detail };
    case 'upstream_rate_limited':
      return {
        detail: `The API limits how often it is called, and that is used up for this ${LIMITED[fault.scope]}. Wait, or send Valetkey-Max-Wait to have the broker wait.`,
        members: {
          integration: fault.integration,
          scope: fault.scope,
          retry_after: Math.max(1, Math.ceil(fault.retryAfter)),
        },
        headers: retryAfter(fault.retryAfter),
      };
    case 'upstream_unavailable':
      return {
        detail: fault.detail,
        members: { integration: fault.integration },
        headers: retryAfter(fault.retryAfter),
      };
    case 'upstream_timeout':
      return { detail: fault.detail, members: { integration: fault.integration } };
    case 'upgrade_not_supported':
      return {
        detail:
          'The proxy passes on requests and responses, and no WebSockets or tunnels. Read the token, and connect to the API yourself.',
      };
  }
}

function misconfigured({ detail, cause, reason }: Extract<Fault, { code: 'integration_misconfigured' }>): string {
  if (cause !== undefined)
    return `${sentenceOf(explainRefreshError(cause))} Its connections stay. The last attempt: ${detail}`;
  if (reason !== undefined) return `${sentenceOf(explainDiscovery(reason))} What failed: ${detail}`;
  return `${detail}. Fix the integration's settings; its connections stay.`;
}

const LIMITED = {
  integration: 'integration',
  connection: 'connection',
  captured: 'account',
  caller: 'caller',
} as const satisfies Record<Extract<Fault, { code: 'upstream_rate_limited' }>['scope'], string>;

/** Why, and what is to be done: the same words as in the explanation of the connection. */
const sentenceOf = ({ summary, how }: Pick<Explanation, 'summary' | 'how'>): string => `${summary} ${how}`;

const attemptsLeft = (left: number): string =>
  left === 0 ? 'There is no further attempt.' : `Attempts left: ${left}.`;

const UNAUTHENTICATED: Record<string, string | undefined> = {
  missing: 'Send a caller key ("Authorization: Bearer vk_…"), or a workload token that a caller is bound to.',
  mistyped: 'This is not a valid caller key or session token: characters are missing, wrong or added. Copy it again.',
  unknown: 'This caller key or session does not exist, or it was deleted.',
  expired: 'This caller key, session or token has expired.',
  ended: 'This session has ended, or the caller or key that made it is gone. Make a new one.',
  used_up: 'This session, or one above it, has been used as often as it may be. Make a new one.',
  untrusted_issuer:
    'The issuer of this token is not listed in trusted_issuers of the file of VALETKEY_CONFIG, or no caller is bound to it.',
  sender_constrained: 'The token is bound to a key (cnf), and cannot be used as a bearer token. Send one that is not.',
  id_token:
    'The token is the ID token of a login, which authenticates no service. Send an access token, or a token of the platform.',
  too_old:
    'The token is older than max_age allows. Get a new one, or set max_age of the binding or of the trusted issuer.',
  lives_too_long:
    'The token lives too long to be used as a credential. Issue one for two days at most, or set max_age of the binding or of the trusted issuer.',
  no_matching_workload: 'The token is valid, but no caller is bound to its claims.',
  ambiguous_workload: 'The token is valid, but several callers are bound to its claims. Bind them to more claims.',
};

/** RFC 6750 3.1: no error code where no credentials were sent. */
const challenge = (reason: string): string =>
  `Bearer realm="valetkey"${reason === 'missing' ? '' : ', error="invalid_token"'}`;

/** Whole seconds, at least one (RFC 9110 10.2.3). */
/** Of `StoreBusyError`. */
export const STORE_BUSY =
  'The store is busy: every connection of this process to its database is in use. Nothing was done. Try again.';

export const retryAfter = (seconds: number) => ({ 'retry-after': String(Math.max(1, Math.ceil(seconds))) });

const redacted = ({ path, message }: InputIssue): InputIssue => ({
  path: redactSecrets(path),
  message: redactSecrets(message),
});
