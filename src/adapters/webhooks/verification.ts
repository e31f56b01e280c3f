// What checking a request comes to, for every scheme.
import type { Scope } from './values.ts';

/** A word for metrics and the log. */
export type RefusalReason =
  | 'no_endpoint'
  | 'method'
  | 'no_key'
  | 'no_hook'
  | 'no_signature'
  | 'stale'
  | 'wrong_signature'
  | 'wrong_token'
  | 'requirement'
  | 'certificate'
  | 'keys_unavailable'
  | 'not_expected'
  | 'too_large'
  | 'malformed';

/** `scope`: what templates may speak of from now on. */
export type Verification = { ok: true; scope: Partial<Scope> } | { ok: false; reason: RefusalReason };

export const refused = (reason: RefusalReason): Verification => ({ ok: false, reason });
export const accepted = (scope: Partial<Scope> = {}): Verification => ({ ok: true, scope });
