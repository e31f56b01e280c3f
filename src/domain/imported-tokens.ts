// Imported tokens: in our own members, or a token response as it was received (RFC 6749 5.1), or both.
import type { InputIssue } from './errors.ts';
import { isInTimeRange } from './time-range.ts';

export interface GivenTokens {
  refreshToken?: string | null | undefined;
  accessToken?: string | null | undefined;
  /** A time, or seconds or milliseconds since the epoch, as libraries store it beside a response. */
  expiresAt?: string | number | null | undefined;
  /** Seconds, a number or a numeric string. */
  expiresIn?: string | number | null | undefined;
  scopes?: string[] | undefined;
  scope?: string | string[] | null | undefined;
  tokenType?: string | null | undefined;
  idToken?: string | null | undefined;
}

export interface ImportedTokens {
  refreshToken: string | null;
  accessToken: string | null;
  idToken: string | null;
  /** Of the access token, ms since the epoch; undefined: not said. */
  expiresAt: number | undefined;
  /** Undefined: not said. */
  scopes: string[] | undefined;
}

/**
 * `expires_at` counts before `expires_in`, which is taken as counted from `now`: the import does not say when the response was
 * received.
 */
export function readImportedTokens(given: GivenTokens, now: number): { tokens: ImportedTokens; issues: InputIssue[] } {
  const issues: InputIssue[] = [];
  const report = (name: string, message: string) => issues.push({ path: `credentials.${name}`, message });
  const listed = given.scope == null ? undefined : splitScopes(given.scope);
  if (listed && given.scopes && !sameMembers(listed, given.scopes))
    report('scope', 'differs from scopes: give one of them');
  if (listed && (listed.length > MAX_SCOPES || !listed.every((scope) => /^[\x21-\x7e]{1,512}$/.test(scope))))
    report('scope', `must be at most ${MAX_SCOPES} scopes, separated by spaces`);
  if (given.tokenType?.toLowerCase() === 'dpop')
    report('token_type', 'DPoP tokens are bound to a key that the broker does not have: connect the owner instead');
  const seconds = given.expiresIn == null ? undefined : Number(given.expiresIn);
  if (seconds !== undefined && !Number.isFinite(seconds)) report('expires_in', 'must be seconds');
  const at = given.expiresAt == null ? undefined : epochMs(given.expiresAt);
  const end = seconds === undefined || !Number.isFinite(seconds) ? undefined : endOf(seconds, now);
  if (at !== undefined && !isInTimeRange(at)) report('expires_at', 'must be a time before the year 10000');
  if (at === undefined && end !== undefined && !isInTimeRange(end))
    report('expires_in', 'must end before the year 10000');
  return {
    tokens: {
      refreshToken: given.refreshToken ?? null,
      accessToken: given.accessToken ?? null,
      idToken: given.idToken ?? null,
      expiresAt: at ?? end,
      scopes: given.scopes ?? listed,
    },
    issues,
  };
}

const MAX_SCOPES = 200;

/** Of the year 2001: from here on, `expires_in` is a point in time in seconds, as some servers send it. */
const FIRST_EPOCH = 1_000_000_000;

const endOf = (seconds: number, now: number): number =>
  seconds > FIRST_EPOCH ? epochMs(seconds) : now + Math.max(0, Math.floor(seconds)) * 1_000;

/** Seconds since the epoch would be past the year 5000. */
const epochMs = (at: string | number): number =>
  typeof at === 'string' ? Date.parse(at) : Math.floor(at > 1e11 ? at : at * 1_000);

/** Separated by spaces (RFC 6749 3.3) or commas. */
const splitScopes = (scope: string | string[]): string[] => [
  ...new Set([scope].flat().flatMap((text) => text.split(/,?\s+|,/).filter((one) => one !== ''))),
];

const sameMembers = (a: string[], b: string[]): boolean =>
  a.every((one) => b.includes(one)) && b.every((one) => a.includes(one));
