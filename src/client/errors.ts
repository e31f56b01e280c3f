// What goes wrong, as one class with a stable code. Nothing in it is secret, so that it may be logged whole.
import type { ProblemCode } from './types.ts';

/** What this client finds out by itself; `ProblemCode` is what the broker answers. */
export type ClientCode =
  /** The broker gave no answer: unreachable, cut off, or too slow. */
  | 'network'
  /** Something answered in the place of the broker. */
  | 'invalid_answer'
  /** The caller key is empty, or cannot stand in a header. */
  | 'invalid_key'
  /** Neither https nor loopback, nor among `allowHttp`: nothing was sent. */
  | 'insecure_url'
  /** `fetch` cannot send this kind of token: it signs requests, or goes into the body. Take it with `token`. */
  | 'unsupported_token'
  /** The owner's visit ended without a connection; `reason` says how. */
  | 'not_connected';

/** A newer broker may send codes that this version does not list. */
export type ErrorCode = ProblemCode | ClientCode;

/** The right that a caller lacks. */
export interface Missing {
  action: string;
  integration: string;
  owner: string;
  scopes?: string[];
  min_ttl?: number;
}

export interface ErrorFacts {
  code: ErrorCode;
  /** The HTTP status; 0 where there was no answer. */
  status: number;
  /** For people. */
  detail: string;
  /** The broker's log has it under this id. */
  requestId?: string;
  /** Seconds. */
  retryAfter?: number;
  /** What it is about: of `reauthorization_required`, `connection_revoked`, `connection_exists`. */
  connectionId?: string;
  /** Why: of `reauthorization_required`, `unauthenticated`, `not_connected`. */
  reason?: string;
  /** Of `forbidden`. */
  missing?: Missing;
  /** Of `ambiguous_connection`: name one of these. */
  candidates?: { connection_id: string; label: string | null }[];
  /** Of `invalid_request`: what is wrong, and where. */
  issues?: { path: string; message: string }[];
}

// The members of the class are those of the facts, without repeating them.
export interface ValetkeyError extends Readonly<ErrorFacts> {}
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the constructor assigns all of them
export class ValetkeyError extends Error {
  constructor(facts: ErrorFacts) {
    super(`${facts.detail} (${facts.code}${facts.requestId === undefined ? '' : `, request ${facts.requestId}`})`);
    // Not a member of its own for each error: they are shown whole.
    Object.defineProperty(this, 'name', { value: 'ValetkeyError', configurable: true });
    Object.assign(this, facts);
  }

  toJSON(): object {
    return { ...this, name: this.name, message: this.message };
  }
}

/** The owner must connect again, and the connection keeps its id: `connectUrl(…, error)`. */
export const isReauthorizationRequired = (
  error: unknown,
): error is ValetkeyError & { code: 'reauthorization_required'; connectionId: string; reason: string } =>
  error instanceof ValetkeyError && error.code === 'reauthorization_required';

/** Not connected yet, or not any more: a visit to `connectUrl(…, error)` mends it. */
export const mustConnect = (error: unknown): error is ValetkeyError =>
  error instanceof ValetkeyError && MENDED_BY_CONNECTING.includes(error.code);

const MENDED_BY_CONNECTING: ErrorCode[] = ['not_found', 'reauthorization_required', 'connection_revoked'];
