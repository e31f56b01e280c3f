// Classifies every error of the transport, of openid-client and of the provider into one `ProviderFault`.

import { ClientError, ResponseBodyError } from 'openid-client';
import type { TokenMode } from '../../domain/auth-modes.ts';
import type { ProviderFault } from '../../ports/index.ts';
import { OutboundError, WholeResponse } from '../outbound/outbound.ts';
import { refusesRefreshToken } from './refused-refresh-token.ts';
import { parseRetryAfter } from './retry-after.ts';
import { UnreadableResponse } from './token-response.ts';

type Errors = TokenMode['errors'];

export interface ErrorContext {
  /** The operation, for the fault's detail. */
  what: string;
  /** The secrets of the request: redacted from what the provider says. */
  secrets: readonly (string | null)[];
  /** Milliseconds since the epoch, for `Retry-After` dates. */
  now: number;
  /** The catalogue's error codes of this provider, besides the standard ones. */
  errors?: Errors | undefined;
  /** The request spends a refresh token: a refusal that names it is not the client's fault. */
  isRefresh?: boolean;
}

type Kind = ProviderFault['kind'];

export const fault = (kind: Kind, code: string, detail: string, more: Partial<ProviderFault> = {}): ProviderFault => ({
  kind,
  code,
  detail,
  retryAfter: undefined,
  outcomeUnknown: false,
  ...more,
});

/** Codes of RFC 6749 5.2, and common others, that say the grant is gone for good. */
const GRANT_DEAD_CODES = new Set([
  'invalid_grant',
  'invalid_refresh_token',
  'bad_refresh_token',
  'bad_verification_code',
  'token_revoked',
  'interaction_required',
  'login_required',
  'consent_required',
]);
/** Of several vendors, so that servers without an entry of their own are understood, too. */
const CANCELLED_CODES = [
  'user_cancelled',
  'user_canceled',
  'user_cancelled_login',
  'user_cancelled_authorize',
  'user_denied',
  'user_cancel',
];
const TRANSIENT_CODES = new Set([
  'temporarily_unavailable',
  'server_error',
  // The request was already repeated once with the new nonce (RFC 9449 8).
  'use_dpop_nonce',
  'slow_down',
  'rate_limited',
  'ratelimited',
  'rate_limit_exceeded',
  'too_many_requests',
]);
/** Request timeout, conflict, too early, too many requests: the same request may succeed later. */
const TRANSIENT_STATUSES = new Set([408, 409, 425, 429]);

/**
 * Classifies a failed request to a token, revocation, pushed authorization or discovery endpoint. A 2xx response that
 * cannot be read is transient with an unknown outcome: the provider may have carried the request out. Whatever else a
 * library throws is invalid, with an unknown outcome too.
 */
export function classifyProviderError(error: unknown, context: ErrorContext): ProviderFault {
  const cause = error instanceof ClientError ? error.cause : undefined;
  if (error instanceof OutboundError) return classifyOutboundError(error, context);
  if (cause instanceof OutboundError) return classifyOutboundError(cause, context);
  const unread = [error, cause].find((one) => one instanceof UnreadableResponse);
  if (unread !== undefined) return classifyUnreadable(unread, context);
  if (error instanceof ResponseBodyError)
    return classifyErrorResponse(error.response, error.error, error.error_description, context);
  if (cause instanceof WholeResponse) return classifyErrorResponse(cause, undefined, undefined, context);
  const code = libraryCode(error);
  if (code === 'OAUTH_MISSING_SERVER_METADATA')
    return fault('misconfigured', 'missing_endpoint', `${context.what}: the provider's metadata has no such endpoint`);
  if (code === 'OAUTH_INVALID_SERVER_METADATA' || code === 'OAUTH_REQUEST_PROTOCOL_FORBIDDEN' || isUrlError(error))
    return fault('misconfigured', 'invalid_endpoint', `${context.what}: the endpoint is not an https URL`);
  if (code !== undefined || error instanceof ClientError)
    return fault('invalid', 'invalid_answer', `${context.what}: the response does not follow the protocol`);
  const said = error instanceof Error ? `${error.name}: ${error.message}` : 'not an error';
  const detail = `${context.what}: ${redactSecrets(said, context).slice(0, 300)}`;
  return fault('invalid', UNEXPECTED_ERROR, detail, { outcomeUnknown: true });
}

/** Of a library: a defect, ours or its own. */
export const UNEXPECTED_ERROR = 'unexpected_error';

/** `new URL` of something else. Nothing was sent. */
export const isUrlError = (error: unknown): boolean =>
  error instanceof TypeError && 'code' in error && error.code === 'ERR_INVALID_URL';

function classifyUnreadable({ cause, response }: UnreadableResponse, context: ErrorContext): ProviderFault {
  const { status, isPartial } = response;
  const contentType = response.header('content-type')?.slice(0, 200) ?? null;
  const unreadable = { status, contentType, isPartial, read: () => response.text() };
  if (cause instanceof OutboundError) return { ...classifyOutboundError(cause, context), unreadable };
  const detail = `${context.what}: the response could not be read`;
  return fault('transient', 'invalid_answer', detail, { outcomeUnknown: true, unreadable });
}

/** Some errors are of the library below openid-client, which does not export their class. */
function libraryCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code.startsWith('OAUTH_') ? code : undefined;
}

/** RFC 6749 4.1.2.1: the authorization response is an error. A vendor's own words for cancelling become the standard's. */
export function authorizationDenied(error: string, description: string | null, context: ErrorContext): ProviderFault {
  const detail = detailOf('the provider refused', error, description ?? undefined, context);
  const code = codeOf(error, context);
  const says = description === null ? '' : codeOf(description, context);
  const isCancelled = isListed([...CANCELLED_CODES, ...(context.errors?.cancelled ?? [])], code, says);
  return fault('denied', isCancelled ? 'access_denied' : code, detail);
}

function classifyOutboundError(error: OutboundError, { what }: ErrorContext): ProviderFault {
  const detail = `${what}: ${error.message}`;
  switch (error.code) {
    case 'blocked':
      return fault('misconfigured', 'outbound_blocked', detail);
    case 'redirect':
      return fault('misconfigured', 'redirect', detail);
    case 'timeout':
      return fault('transient', 'timeout', detail, { outcomeUnknown: error.sent });
    case 'too_large':
      return fault('transient', 'answer_too_large', detail, { outcomeUnknown: true });
    case 'withheld':
      return fault('transient', 'withheld', detail);
    case 'network':
      return fault('transient', 'network_error', detail, { outcomeUnknown: error.sent });
  }
}

/** Classifies an error response by its status, and by the code and description in its body. */
export function classifyErrorResponse(
  response: Pick<Response, 'status' | 'headers'>,
  error: string | undefined,
  description: string | undefined,
  context: ErrorContext,
): ProviderFault {
  const code = error === undefined ? `http_${response.status}` : codeOf(error, context);
  const retryAfter = parseRetryAfter(response.headers.get('retry-after'), context.now);
  const detail = detailOf(`${context.what}: answered ${response.status}`, error, description, context);
  // A gateway without an upstream response does not know whether the request was carried out.
  const outcomeUnknown = response.status === 502 || response.status === 504;
  const isTokenRefused =
    context.isRefresh === true &&
    refusesRefreshToken(response.status, code, redactSecrets(`${error ?? ''} ${description ?? ''}`, context));
  const standardKind = kindByStandard(response.status, code, retryAfter, isTokenRefused);
  const catalogueKind = kindByCatalogue(
    context.errors,
    code,
    description === undefined ? '' : codeOf(description, context),
  );
  // A rate limit or an outage is never a misconfiguration, even when the code is listed as one.
  const kind =
    catalogueKind === 'misconfigured' && standardKind === 'transient' ? standardKind : (catalogueKind ?? standardKind);
  return fault(kind, code, detail, { retryAfter, outcomeUnknown });
}

/** The kind that the catalogue gives to this provider's code or description. */
function kindByCatalogue(errors: Errors | undefined, code: string, description: string): Kind | undefined {
  const listed = (known: readonly string[]) => isListed(known, code, description);
  if (errors === undefined) return undefined;
  if (listed(errors.grant_dead)) return 'grant_dead';
  if (listed(errors.misconfigured)) return 'misconfigured';
  return listed(errors.transient) ? 'transient' : undefined;
}

const isListed = (known: readonly string[], code: string, description: string): boolean =>
  known.some((one) => one === code || (description !== '' && description.startsWith(one)));

function kindByStandard(status: number, code: string, retryAfter: number | undefined, isTokenRefused: boolean): Kind {
  if (status >= 500 || TRANSIENT_STATUSES.has(status) || TRANSIENT_CODES.has(code)) return 'transient';
  if (GRANT_DEAD_CODES.has(code)) return 'grant_dead';
  // Some systems rate-limit with 403.
  if (status === 403 && retryAfter !== undefined) return 'transient';
  if (isTokenRefused) return 'grant_dead';
  return status >= 400 ? 'misconfigured' : 'invalid';
}

function codeOf(error: string, context: ErrorContext): string {
  const code = redactSecrets(error, context)
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '_')
    .slice(0, 64);
  return /[a-z0-9]/.test(code) ? code : 'unknown_error';
}

function detailOf(
  start: string,
  error: string | undefined,
  description: string | undefined,
  context: ErrorContext,
): string {
  const providerText = [error, description].filter((part) => part !== undefined && part !== '').join(': ');
  return providerText === '' ? start : `${start} (${redactSecrets(providerText, context).slice(0, 300)})`;
}

/** Shorter values are not secrets, and redacting them would damage ordinary words. */
const SECRET_LENGTH = 6;
const CONTROL = /\p{Cc}+/gu;

/** Characters that are read of what a provider says. Far fewer are shown. */
const MAX_SAID = 4_096;

/** Without the word that the end cuts, which may be the first part of a secret. */
function beginningOf(text: string): string {
  const clean = text.slice(0, MAX_SAID).replace(CONTROL, ' ');
  return text.length > MAX_SAID ? `${clean.slice(0, clean.lastIndexOf(' ') + 1)}…` : clean;
}

/** A provider may echo the request: removes its secrets in every encoding, and whatever looks like a token. */
function redactSecrets(text: string, { secrets }: ErrorContext): string {
  let clean = beginningOf(text);
  for (const secret of secrets.map((one) => one?.replace(CONTROL, ' ').trim() ?? ''))
    if (secret.length >= SECRET_LENGTH)
      for (const encoding of encodings(secret)) clean = clean.replaceAll(encoding, '[secret]');
  return clean.replace(/[\w.~+/=%-]{40,}/g, '[…]');
}

/** Plain, URL-encoded, form-encoded, in JSON. */
const encodings = (secret: string): string[] => [
  secret,
  encodeURIComponent(secret),
  new URLSearchParams([['', secret]]).toString().slice(1),
  JSON.stringify(secret).slice(1, -1),
];
