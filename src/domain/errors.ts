// All expected errors, as one tagged union. `http/errors/` maps each to an answer.
import type { MissingPermission, RateLimit } from './caller.ts';

/** Why the owner must connect again. Shown to callers as `reason`. */
export type ReauthReason =
  | 'grant_revoked'
  | 'grant_expired'
  /** The provider has said so: the app was uninstalled, or its access was withdrawn. */
  | 'deauthorized'
  | 'identity_changed'
  /** The resource names another authorization server than the one that the grant is of. */
  | 'authorization_server_changed'
  | 'refresh_outcome_unknown'
  /** The provider rejects the imported credentials (an API key, a client of its own). */
  | 'credentials_rejected'
  | 'not_refreshable';

/** Why a connection is on hold: the provider has suspended the account. */
export type HoldReason = 'account_disabled';

/** One invalid part of an input. `path`: where, such as `params.issuer`. */
export interface InputIssue {
  path: string;
  message: string;
}

/** Whose calls a limit of an API counts. `captured`: those of all connections to one tenant. */
export type UpstreamLimitScope = 'integration' | 'connection' | 'captured' | 'caller';

export type Fault =
  | { code: 'invalid_request'; detail: string; issues?: InputIssue[] }
  /** `missing`, `mistyped`, `unknown` or `expired`; for a workload token, what is wrong with it. */
  | { code: 'unauthenticated'; reason: string }
  | { code: 'forbidden'; missing: MissingPermission }
  | { code: 'not_found'; what: string; id: string }
  | { code: 'ambiguous_connection'; candidates: { connection_id: string; label: string | null }[] }
  | { code: 'connection_exists'; connection_id: string }
  /** The import is of another account than the connection. */
  | { code: 'identity_mismatch'; connection_id: string }
  | { code: 'connection_revoked'; connection_id: string }
  | { code: 'reauthorization_required'; connection_id: string; reason: ReauthReason }
  /** A connection was authorized for further scopes too often. `retryAfter` in seconds. */
  | { code: 'step_up_exhausted'; connection_id: string; retryAfter: number }
  | { code: 'connection_on_hold'; connection_id: string; reason: HoldReason }
  /** Another owner is signed in than the connect session is for: its grant is given up, unless it `isConnected` already. */
  | { code: 'owner_mismatch'; connect_session_id: string; isConnected: boolean }
  /** `attemptsLeft`: 0, the session has ended. */
  | { code: 'invalid_finish_code'; connect_session_id: string; attemptsLeft: number }
  | { code: 'invalid_code_verifier'; connect_session_id: string; attemptsLeft: number }
  /** It cannot be finished any more. `status`: what has become of it. */
  | { code: 'session_expired'; connect_session_id: string; status: 'failed' | 'expired' | 'cancelled' }
  /** The owner has not consented yet. */
  | { code: 'not_ready'; connect_session_id: string }
  /** The catalogue has no call that tells whether a token of this connection works. */
  | { code: 'check_unsupported'; integration: string; detail: string }
  /**
   * `cause`: the code of a failed refresh, as it is stored; undefined: the detail says all. `reason`: why the authorization server
   * of a protected resource is not used, told to callers.
   */
  | { code: 'integration_misconfigured'; integration: string; detail: string; cause?: string; reason?: string }
  | { code: 'integration_in_use'; integration: string; connections: number; pending_revocations: number }
  /** `retryAfter` in whole seconds; `cause` as above. */
  | { code: 'provider_unavailable'; integration: string; detail: string; retryAfter: number; cause?: string }
  /** The address has too many failed authentications. `retryAfter` in seconds. */
  | { code: 'too_many_requests'; retryAfter: number }
  /** The caller has exceeded its rate limit. `retryAfter` in seconds. */
  | { code: 'rate_limited'; limit: RateLimit; retryAfter: number }
  /** A call through the proxy leads elsewhere than below the API, or servers read its path differently. */
  | { code: 'invalid_path'; detail: string }
  /** The limit of an API is used up. `scope`: whose calls it counts. `retryAfter` in seconds. */
  | { code: 'upstream_rate_limited'; integration: string; scope: UpstreamLimitScope; retryAfter: number }
  /** The API cannot be reached, or fails. `retryAfter` in seconds. */
  | { code: 'upstream_unavailable'; integration: string; detail: string; retryAfter: number }
  /** The API took too long. */
  | { code: 'upstream_timeout'; integration: string; detail: string }
  /** WebSockets and other protocols go past the proxy. */
  | { code: 'upgrade_not_supported' };

export type FaultCode = Fault['code'];

/**
 * A refusal as a value: use cases return `T | Refusal` and their callers narrow with `instanceof`.
 * It is not an `Error`, since it is expected. Only defects and store failures are thrown.
 */
export class Refusal {
  readonly fault: Fault;
  constructor(fault: Fault) {
    this.fault = fault;
  }
}

export const refuse = (fault: Fault): Refusal => new Refusal(fault);
