// Which proxied calls may be sent again, and when.
import { UPSTREAM_BACKOFF_FIRST_MS, UPSTREAM_BACKOFF_MAX_MS } from './time-limits.ts';

/** RFC 9110 9.2.2, but for `TRACE`. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
const RETRIED: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** What `Valetkey-Retry` may ask for. */
export const MAX_RETRIES = 5;

/**
 * Whether a request has no other effect when it is sent twice: by each of the methods that its server may take it for, or by the key
 * that the API knows it by.
 */
export const isRepeatable = (methods: readonly string[], hasIdempotencyKey: boolean): boolean =>
  hasIdempotencyKey || methods.every((method) => IDEMPOTENT.has(method));

/** Whether a response of this status may be another one a moment later. */
export const isRetriedStatus = (status: number): boolean => RETRIED.has(status);

/** Full jitter: anything between nothing and a bound that doubles with each attempt. `attempt` counts from 1. */
export const backoffMs = (attempt: number, random: () => number): number =>
  random() * Math.min(UPSTREAM_BACKOFF_MAX_MS, UPSTREAM_BACKOFF_FIRST_MS * 2 ** (attempt - 1));

/** Ms from now; undefined: the response does not say (RFC 9110 10.2.3). */
export function retryAfterMs(value: string | undefined, now: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,9}(?:\.\d+)?$/.test(text)) return Number(text) * 1_000;
  const at = /^[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/** Whether a 401 says that the token is not good any more, rather than that it may not do this (RFC 6750 3.1). */
export const rejectsToken = (status: number, wwwAuthenticate: string | undefined): boolean =>
  status === 401 && !/\binsufficient_scope\b/.test(wwwAuthenticate ?? '');

/** RFC 9449 9: the API wants a nonce in the proof. */
export const wantsNonce = (status: number, wwwAuthenticate: string | undefined): boolean =>
  status === 401 && /\buse_dpop_nonce\b/.test(wwwAuthenticate ?? '');
