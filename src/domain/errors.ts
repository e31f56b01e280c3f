// Every way in which the broker says no, as one tagged union. `http/problem.ts` maps it, exhaustively, to answers.
import type { MissingPermission, RateLimit } from './caller.ts';

/** Why a connection needs its owner again. Shown to callers as `reason`. */
export type ReauthReason =
  | 'grant_revoked'
  | 'grant_expired'
  | 'identity_changed'
  | 'refresh_outcome_unknown'
  /** What an import brought (a key, a client of its own) is refused by the provider. */
  | 'credentials_rejected'
  | 'not_refreshable';

/** One thing that is wrong with an input, and where (a JSON path such as `params.issuer`). */
export interface InputIssue {
  path: string;
  message: string;
}

export type Fault =
  | { code: 'invalid_request'; detail: string; issues?: InputIssue[] }
  /** `missing`, `mistyped`, `unknown` or `expired`; of a workload's token, what is wrong with that. */
  | { code: 'unauthenticated'; reason: string }
  | { code: 'forbidden'; missing: MissingPermission }
  | { code: 'not_found'; what: string; id: string }
  | { code: 'ambiguous_connection'; candidates: { connection_id: string; label: string | null }[] }
  | { code: 'connection_exists'; connection_id: string }
  | { code: 'connection_revoked'; connection_id: string }
  | { code: 'reauthorization_required'; connection_id: string; reason: ReauthReason }
  | { code: 'integration_misconfigured'; integration: string; detail: string }
  | { code: 'integration_in_use'; integration: string; connections: number; pending_revocations: number }
  /** `retryAfter` in whole seconds. */
  | { code: 'provider_unavailable'; integration: string; detail: string; retryAfter: number }
  /** Of an address, whose requests fail to authenticate. */
  | { code: 'too_many_requests'; retryAfter: number }
  /** Of a caller. */
  | { code: 'rate_limited'; limit: RateLimit; retryAfter: number };

export type FaultCode = Fault['code'];

/**
 * A refusal as a value: use cases return `T | Refusal` and their callers narrow with `instanceof`.
 * It is not an `Error`, since nothing unexpected happened; what is thrown is a defect or a broken store.
 */
export class Refusal {
  readonly fault: Fault;
  constructor(fault: Fault) {
    this.fault = fault;
  }
}

export const refuse = (fault: Fault): Refusal => new Refusal(fault);
