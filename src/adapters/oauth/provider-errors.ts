// Why a provider did not give what was asked: every error of the transport, of openid-client and of the provider,
// judged into one `ProviderFault`.

import { ClientError, ResponseBodyError } from 'openid-client';
import type { TokenMode } from '../../domain/auth-modes.ts';
import type { ProviderFault } from '../../ports/index.ts';
import { OutboundError, WholeResponse } from '../outbound/outbound.ts';
import { UnreadableResponse } from './token-response.ts';

type Errors = TokenMode['errors'];

/** What was being done, for the sentence; and the secrets of the request, which no sentence may repeat. */
export interface Doing {
  what: string;
  secrets: readonly (string | null)[];
  /** Milliseconds since the epoch, for `Retry-After` dates. */
  now: number;
  /** What codes of this provider mean, besides those of the field. */
  errors?: Errors | undefined;
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

/** Codes of RFC 6749 5.2 and of the field that say the grant is gone for good. */
const DEAD = new Set([
  'invalid_grant',
  'invalid_refresh_token',
  'bad_refresh_token',
  'bad_verification_code',
  'token_revoked',
  'interaction_required',
  'login_required',
  'consent_required',
]);
const PASSING = new Set([
  'temporarily_unavailable',
  'server_error',
  // A proof is made anew at once; where that was of no use either, the moment is wrong (RFC 9449 8).
  'use_dpop_nonce',
  'slow_down',
  'rate_limited',
  'ratelimited',
  'rate_limit_exceeded',
  'too_many_requests',
]);
/** Request timeout, conflict, too early, too many: the request was in order, the moment was not. */
const PASSING_STATUS = new Set([408, 409, 425, 429]);

/**
 * Judges a failed request to a token, revocation, pushed authorization or discovery endpoint. A success that cannot be
 * understood is transient with an unknown outcome: the provider may have done what was asked.
 */
export function classifyProviderError(error: unknown, doing: Doing): ProviderFault {
  const cause = error instanceof ClientError ? error.cause : undefined;
  if (error instanceof OutboundError) return transport(error, doing);
  if (cause instanceof OutboundError) return transport(cause, doing);
  if (error instanceof UnreadableResponse || cause instanceof UnreadableResponse)
    return fault('transient', 'invalid_answer', `${doing.what}: the answer could not be understood`, {
      outcomeUnknown: true,
    });
  if (error instanceof ResponseBodyError) return answered(error.response, error.error, error.error_description, doing);
  if (cause instanceof WholeResponse) return answered(cause, undefined, undefined, doing);
  const code = libraryCode(error);
  if (code === 'OAUTH_MISSING_SERVER_METADATA')
    return fault('misconfigured', 'missing_endpoint', `${doing.what}: the provider announces no such endpoint`);
  if (code === 'OAUTH_INVALID_SERVER_METADATA' || code === 'OAUTH_REQUEST_PROTOCOL_FORBIDDEN')
    return fault('misconfigured', 'invalid_endpoint', `${doing.what}: the endpoint is not an https URL`);
  if (code !== undefined || error instanceof ClientError)
    return fault('invalid', 'invalid_answer', `${doing.what}: the answer is not of the protocol`);
  throw error;
}

/** Some errors come as those of the layer below openid-client, whose class it does not export. */
function libraryCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code.startsWith('OAUTH_') ? code : undefined;
}

/** RFC 6749 4.1.2.1: the browser came back with an error. */
export const denied = (error: string, description: string | null, doing: Doing): ProviderFault =>
  fault('denied', codeOf(error, doing), sentence('the provider refused', error, description ?? undefined, doing));

function transport(error: OutboundError, { what }: Doing): ProviderFault {
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
    case 'network':
      return fault('transient', 'network_error', detail, { outcomeUnknown: error.sent });
  }
}

/** By status and error code. `error` is the code in the body of a 4xx. */
export function answered(
  response: Pick<Response, 'status' | 'headers'>,
  error: string | undefined,
  description: string | undefined,
  doing: Doing,
): ProviderFault {
  const code = error === undefined ? `http_${response.status}` : codeOf(error, doing);
  const retryAfter = retryAfterOf(response, doing.now);
  const detail = sentence(`${doing.what}: answered ${response.status}`, error, description, doing);
  // A gateway that got no answer from behind it does not know either whether the request was carried out.
  const outcomeUnknown = response.status === 502 || response.status === 504;
  const usual = kindOf(response.status, code, retryAfter);
  const own = meaning(doing.errors, code, description === undefined ? '' : codeOf(description, doing));
  // Being turned away for a moment blames nobody, whatever else is said.
  const kind = own === 'misconfigured' && usual === 'transient' ? usual : (own ?? usual);
  return fault(kind, code, detail, { retryAfter, outcomeUnknown });
}

/** As the catalogue says of this provider. */
function meaning(errors: Errors | undefined, code: string, description: string): Kind | undefined {
  const says = (known: readonly string[]) =>
    known.some((one) => one === code || (description !== '' && description.startsWith(one)));
  if (errors === undefined) return undefined;
  if (says(errors.grant_dead)) return 'grant_dead';
  if (says(errors.misconfigured)) return 'misconfigured';
  return says(errors.transient) ? 'transient' : undefined;
}

function kindOf(status: number, code: string, retryAfter: number | undefined): Kind {
  if (status >= 500 || PASSING_STATUS.has(status) || PASSING.has(code)) return 'transient';
  if (DEAD.has(code)) return 'grant_dead';
  // Some systems limit rates with 403.
  if (status === 403 && retryAfter !== undefined) return 'transient';
  return status >= 400 ? 'misconfigured' : 'invalid';
}

/** RFC 9110 10.2.3, whole seconds; undefined when absent or unreadable. */
function retryAfterOf(response: Pick<Response, 'headers'>, now: number): number | undefined {
  const value = response.headers.get('retry-after')?.trim() ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - now) / 1000));
}

function codeOf(error: string, doing: Doing): string {
  const code = withoutSecrets(error, doing)
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '_')
    .slice(0, 64);
  return /[a-z0-9]/.test(code) ? code : 'unknown_error';
}

function sentence(start: string, error: string | undefined, description: string | undefined, doing: Doing): string {
  const said = [error, description].filter((part) => part !== undefined && part !== '').join(': ');
  return said === '' ? start : `${start} (${withoutSecrets(said, doing).slice(0, 300)})`;
}

/** Shorter ones are no secrets, and would make holes in ordinary words. */
const SECRET_LENGTH = 6;
const CONTROL = /\p{Cc}+/gu;

/** What a provider says may repeat what it was sent: those words, however it spells them, and what looks like a token. */
function withoutSecrets(words: string, { secrets }: Doing): string {
  let clean = words.replace(CONTROL, ' ');
  for (const secret of secrets.map((one) => one?.replace(CONTROL, ' ').trim() ?? ''))
    if (secret.length >= SECRET_LENGTH)
      for (const spelling of spellings(secret)) clean = clean.replaceAll(spelling, '[secret]');
  return clean.replace(/[\w.~+/=%-]{40,}/g, '[…]');
}

/** As it is, in a URL, in a form, in JSON. */
const spellings = (secret: string): string[] => [
  secret,
  encodeURIComponent(secret),
  new URLSearchParams([['', secret]]).toString().slice(1),
  JSON.stringify(secret).slice(1, -1),
];
