// Errors: one class with a stable code. It holds no secrets, so that it may be logged as a whole.
import type { ProblemCode } from './types.ts';

/** Codes of this client's own; `ProblemCode` has those of the broker. */
export type ClientCode =
  /** The broker did not answer: unreachable, disconnected, or too slow. */
  | 'network'
  /** Another server answered. */
  | 'invalid_answer'
  /** The caller key is empty, or has characters that are not allowed in a header. */
  | 'invalid_key'
  /** The URL is neither https nor loopback, and its host is not in `allowHttp`: nothing was sent. */
  | 'insecure_url'
  /** `fetch` cannot send this kind of token: it signs requests, or belongs into the body. Get it with `token`. */
  | 'unsupported_token'
  /** The connect session ended without a connection; `reason` says why. */
  | 'not_connected'
  /** A list cannot be continued; `reason` says why: `unknown`, `by_caller`, `ambiguous_list`, `foreign_link` or `repeated`. */
  | 'pagination'
  /** A request to a webhook endpoint is not from the broker, or is too old; `reason` says what is wrong with it. */
  | 'invalid_webhook';

/** A newer broker may send codes that this version does not list. */
export type ErrorCode = ProblemCode | ClientCode;

/** The permission that a caller lacks. */
export interface MissingPermission {
  action: string;
  integration: string;
  owner: string;
  scopes?: string[];
  min_ttl?: number;
  /** Of a call through the proxy, where a permission is limited to others. */
  method?: string;
  path?: string;
}

export interface ErrorDetails {
  code: ErrorCode;
  /** The HTTP status of the broker's response; 0 without one. */
  status: number;
  /** An explanation for people. */
  detail: string;
  /** The request's id in the broker's log. */
  requestId?: string;
  /** Seconds to wait before the next attempt. */
  retryAfter?: number;
  /** With `reauthorization_required`, `connection_revoked`, `identity_mismatch` and `connection_exists`. */
  connectionId?: string;
  /** The cause, with `reauthorization_required`, `unauthenticated`, `not_connected`, `pagination` and `invalid_webhook`. */
  reason?: string;
  /** With `forbidden`. */
  missing?: MissingPermission;
  /** With `ambiguous_connection`: select one of these. */
  candidates?: { connection_id: string; label: string | null }[];
  /** With `invalid_request`: each error, and its path in the request. */
  issues?: { path: string; message: string }[];
  /** With `upstream_rate_limited`: whose calls the limit counts. */
  scope?: 'integration' | 'connection' | 'captured' | 'caller';
}

// Declares the members of the class, which are those of the details.
export interface ValetkeyError extends Readonly<ErrorDetails> {}
/**
 * The error of every call of the client, unless a signal was aborted.
 *
 * @example
 * try {
 *   await valetkey.token({ integration: 'github', owner: 'user_42' });
 * } catch (error) {
 *   if (error instanceof ValetkeyError && error.code === 'forbidden') console.log(error.missing);
 *   throw error;
 * }
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the constructor assigns all of them
export class ValetkeyError extends Error {
  constructor(details: ErrorDetails) {
    super(
      `${details.detail} (${details.code}${details.requestId === undefined ? '' : `, request ${details.requestId}`})`,
    );
    // Not enumerable, since errors are printed with their own members.
    Object.defineProperty(this, 'name', { value: 'ValetkeyError', configurable: true });
    Object.assign(this, details);
  }

  toJSON(): object {
    return { ...this, name: this.name, message: this.message };
  }
}

/**
 * Whether the owner must connect again. The connection keeps its id: pass the error to `connectUrl`.
 *
 * @example
 * if (isReauthorizationRequired(error)) log.warn({ connection: error.connectionId, reason: error.reason });
 */
export const isReauthorizationRequired = (
  error: unknown,
): error is ValetkeyError & { code: 'reauthorization_required'; connectionId: string; reason: string } =>
  error instanceof ValetkeyError && error.code === 'reauthorization_required';

/**
 * Whether the owner is not connected, or not any more, so that connecting resolves the error: pass it to `connectUrl`.
 *
 * @example
 * if (mustConnect(error)) return redirect((await valetkey.connectUrl(who, error)).url);
 */
export const mustConnect = (error: unknown): error is ValetkeyError =>
  error instanceof ValetkeyError && RESOLVED_BY_CONNECTING.includes(error.code);

const RESOLVED_BY_CONNECTING: ErrorCode[] = ['not_found', 'reauthorization_required', 'connection_revoked'];

/** Whether the same request may succeed later: no answer, a limit, or a fault of the broker or of what is in front of it. */
export const isTemporary = (error: unknown): boolean =>
  error instanceof ValetkeyError && (error.code === 'network' || error.status === 429 || error.status >= 500);
