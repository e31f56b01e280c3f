// From a refusal to an answer, in the form of RFC 6749 5.2, with members of our own that say what to do.
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { ExchangeFault } from '../../broker/tokens/index.ts';
import type { Fault } from '../../domain/errors.ts';
import { StoreError } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { explain, withoutSecrets } from './problem.ts';

export interface OAuthFault {
  status: ContentfulStatusCode;
  error: string;
  description: string;
  /** Seconds. */
  retryAfter?: number;
  members?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** Carries a refusal out of a handler; thrown and caught within these routes only. */
export class OAuthRefused extends Error {
  readonly fault: OAuthFault;
  constructor(fault: OAuthFault) {
    super(fault.error);
    this.fault = fault;
  }
}

/** What a refusal of ours is in the words of RFC 6749 5.2 and RFC 8693 2.2.2. */
const ERRORS = {
  invalid_request: [400, 'invalid_request'],
  unauthenticated: [401, 'invalid_client'],
  forbidden: [400, 'invalid_target'],
  not_found: [400, 'invalid_target'],
  ambiguous_connection: [400, 'invalid_request'],
  connection_exists: [400, 'invalid_request'],
  connection_revoked: [400, 'interaction_required'],
  reauthorization_required: [400, 'interaction_required'],
  integration_misconfigured: [502, 'server_error'],
  integration_in_use: [400, 'invalid_request'],
  provider_unavailable: [503, 'temporarily_unavailable'],
  too_many_requests: [429, 'temporarily_unavailable'],
  rate_limited: [429, 'temporarily_unavailable'],
} as const satisfies Record<Fault['code'], [ContentfulStatusCode, string]>;

export function faultError(fault: Fault): OAuthFault {
  const [status, error] = ERRORS[fault.code];
  const { detail, members = {}, headers = {} } = explain(fault);
  // Whoever may not verify is not wrong about a target.
  if (fault.code === 'forbidden' && fault.missing.action !== 'token')
    return { status: 403, error: 'insufficient_scope', description: detail, members };
  return { status, error, description: detail, members, headers };
}

export function exchangeFault(fault: ExchangeFault): OAuthFault {
  switch (fault.code) {
    case 'invalid_subject':
      if (fault.reason === 'issuer_unavailable')
        return {
          status: 503,
          error: 'temporarily_unavailable',
          description: 'The issuer of the subject token cannot be asked for its keys just now.',
          retryAfter: 5,
        };
      return {
        status: 400,
        error: 'invalid_grant',
        description: `The subject token is not accepted: ${fault.reason}.`,
        members: { reason: fault.reason },
      };
    case 'unknown_integration':
      return { status: 400, error: 'invalid_target', description: 'There is no such integration.' };
    case 'insufficient_scopes':
      return {
        status: 400,
        error: 'invalid_scope',
        description: `The connection was not granted: ${fault.missing.join(' ')}`,
        // Told as it was sent; a token that was sent as a scope is not.
        members: { missing_scopes: fault.missing.map(withoutSecrets) },
      };
    case 'connection_required': {
      const { reason, connectionId, url } = fault;
      const what = connectionId === null ? 'connect the account' : 'connect the account again';
      const how =
        url === null ? 'it is imported, not connected in a browser' : 'send the user to connect_url, then ask again';
      return {
        status: 400,
        error: 'interaction_required',
        description: `The owner must ${what} (${reason}): ${how}.`,
        members: { reason, connect_url: url, ...(connectionId !== null && { connection_id: connectionId }) },
      };
    }
  }
}

/** RFC 6749 5.2: no quotes, no backslashes, nothing but printable ASCII. */
const plain = (text: string): string =>
  withoutSecrets(text)
    .replaceAll('"', "'")
    .replace(/[^\x20-\x7e]|\\/g, '?');

export function oauthError(thrown: Error, c: Context<Env>): Response {
  if (!(thrown instanceof OAuthRefused)) c.get('failed')(thrown, c.get('requestId'));
  const fault = faultOf(thrown);
  const { status, headers, retryAfter } = fault;
  return c.json(bodyOf(fault, c.get('requestId')), status, {
    'cache-control': 'no-store',
    pragma: 'no-cache',
    ...(retryAfter !== undefined && { 'retry-after': String(Math.ceil(retryAfter)) }),
    ...headers,
    // The scheme that was tried, as RFC 6749 5.2 asks.
    ...(status === 401 &&
      /^Basic\b/i.test(c.req.header('authorization') ?? '') && { 'www-authenticate': 'Basic realm="valetkey"' }),
  });
}

export const bodyOf = ({ error, description, members }: OAuthFault, requestId: string) => ({
  error,
  error_description: plain(description),
  request_id: requestId,
  ...members,
});

/** What was not expected is told without its insides. */
export function faultOf(thrown: Error): OAuthFault {
  if (thrown instanceof OAuthRefused) return thrown.fault;
  if (thrown instanceof StoreError)
    return {
      status: 503,
      error: 'temporarily_unavailable',
      description: 'The store cannot be read or written just now. Try again.',
      retryAfter: 1,
    };
  return {
    status: 500,
    error: 'server_error',
    description: 'Something unexpected happened. The log has it under the request id.',
  };
}
