// From a refusal to an answer: RFC 9457 problems, one exhaustive table.
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type Fault, type FaultCode, type InputIssue, Refusal } from '../domain/errors.ts';
import { StoreError } from '../ports.ts';
import type { Env } from './env.ts';

type Code = FaultCode | 'payload_too_large' | 'unsupported_media_type' | 'store_unavailable' | 'internal';

const PROBLEMS = {
  invalid_request: { status: 400, title: 'The request is not valid' },
  unauthenticated: { status: 401, title: 'Not authenticated' },
  forbidden: { status: 403, title: 'Not within the grants of this caller' },
  not_found: { status: 404, title: 'Not found' },
  ambiguous_connection: { status: 409, title: 'More than one connection fits' },
  connection_exists: { status: 409, title: 'The connection exists already' },
  reauthorization_required: { status: 409, title: 'The owner must connect again' },
  integration_in_use: { status: 409, title: 'The integration is in use' },
  connection_revoked: { status: 410, title: 'The connection was revoked' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body must be JSON' },
  too_many_requests: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'Internal error' },
  integration_misconfigured: { status: 502, title: 'The integration is misconfigured' },
  provider_unavailable: { status: 503, title: 'The provider is not available' },
  store_unavailable: { status: 503, title: 'The store is not available' },
} as const satisfies Record<Code, { status: ContentfulStatusCode; title: string }>;
export const CODES: readonly string[] = Object.keys(PROBLEMS);

/** Carries a refusal out of a handler; thrown and caught within `http/` only. */
export class Refused extends Error {
  readonly fault: Fault;
  constructor(fault: Fault) {
    super(fault.code);
    this.fault = fault;
  }
}

/** The value of a use case, or its refusal as the answer. */
export function granted<T>(result: T | Refusal): Exclude<T, Refusal> {
  if (result instanceof Refusal) throw new Refused(result.fault);
  return result as Exclude<T, Refusal>;
}

/** What the members of a fault mean for whoever reads the answer. */
function explain(fault: Fault): {
  detail: string;
  members?: Record<string, unknown>;
  headers?: Record<string, string>;
} {
  switch (fault.code) {
    case 'invalid_request':
      return { detail: fault.detail, members: fault.issues ? { issues: fault.issues.map(legible) } : {} };
    case 'unauthenticated':
      return { detail: fault.detail, headers: { 'www-authenticate': 'Bearer realm="valetkey"' } };
    case 'forbidden': {
      const { action, integration, owner } = fault;
      const missing = { action, integration, owner };
      return {
        detail: `This caller has no grant for ${action} on integration ${integration}, owner ${owner}.`,
        members: { missing },
      };
    }
    case 'not_found':
      return { detail: `There is no ${fault.what} "${fault.id}".` };
    case 'ambiguous_connection':
      return {
        detail:
          'This owner has several connections here. Name one by label (label= is the one without), or ask by its id.',
        members: { candidates: fault.candidates },
      };
    case 'connection_exists':
      return {
        detail:
          'This owner has a live connection of this label here. Choose another label, revoke it, or renew it with a connect session.',
        members: { connection_id: fault.connection_id },
      };
    case 'connection_revoked':
      return {
        detail: 'It was revoked and its secrets are gone. Make a new connection with a connect session.',
        members: { connection_id: fault.connection_id },
      };
    case 'reauthorization_required':
      return {
        detail: 'No token can be had until the owner connects again: make a connect session with this connection_id.',
        members: { connection_id: fault.connection_id, reason: fault.reason },
      };
    case 'integration_misconfigured':
      return {
        detail: `${fault.detail}. Mend the integration; its connections stay.`,
        members: { integration: fault.integration },
      };
    case 'integration_in_use': {
      const { connections, pending_revocations } = fault;
      return {
        detail: `${connections} live connections and ${pending_revocations} pending revocations need it. Revoke the connections first.`,
        members: { connections, pending_revocations },
      };
    }
    case 'provider_unavailable':
      return {
        detail: fault.detail,
        members: { integration: fault.integration },
        headers: retryAfter(fault.retryAfter),
      };
    case 'too_many_requests':
      return {
        detail: 'Too many requests failed to authenticate from this address.',
        headers: retryAfter(fault.retryAfter),
      };
  }
}

const retryAfter = (seconds: number) => ({ 'retry-after': String(Math.max(1, Math.ceil(seconds))) });

/**
 * Answers repeat what was asked for, and are logged in many places: who takes a token for an id, a path or the name of a
 * field must not have it repeated there. Ids of ours have 30 characters, secrets at least 32.
 */
const withoutSecrets = (text: string): string =>
  text.replace(PEM, '…').replace(/[\w+=%-]{32,}/g, (run) => (UUID.test(run) ? run : '…'));
/** The lines of one may have strokes in them, and so no long run. */
const PEM = /-----BEGIN[\s\S]*?(?:-----END[^-]*-----|$)/g;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const legible = ({ path, message }: InputIssue): InputIssue => ({
  path: withoutSecrets(path),
  message: withoutSecrets(message),
});

export function problem(
  c: Context<Env>,
  code: Code,
  detail: string,
  members: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Response {
  const { status, title } = PROBLEMS[code];
  const body = {
    type: `urn:valetkey:problem:${code}`,
    title,
    status,
    detail: withoutSecrets(detail),
    code,
    request_id: c.get('requestId'),
    ...members,
  };
  return c.body(JSON.stringify(body), status, {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    ...headers,
  });
}

export function faultProblem(c: Context<Env>, fault: Fault): Response {
  const { detail, members, headers } = explain(fault);
  return problem(c, fault.code, detail, members, headers);
}

/** The last resort of every route: what was not expected is logged, and told without its insides. */
export function onError(error: Error, c: Context<Env>): Response {
  if (error instanceof Refused) return faultProblem(c, error.fault);
  c.get('log').error({ err: error, request_id: c.get('requestId') }, 'request failed');
  if (error instanceof StoreError) {
    return problem(
      c,
      'store_unavailable',
      'The store cannot be read or written just now. Try again.',
      {},
      retryAfter(1),
    );
  }
  return problem(c, 'internal', 'Something unexpected happened. The log has it under the request id.');
}
