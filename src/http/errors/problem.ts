// From a refusal to an answer: what a fault means for whoever reads it, as a problem (RFC 9457) of the table.
import type { Context } from 'hono';
import { EXAMPLE } from '../../api/index.ts';
import { type Fault, type InputIssue, Refusal } from '../../domain/errors.ts';
import { StoreError } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { type Code, type OwnCode, PROBLEMS, rowOf } from './problem-table.ts';

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

interface Explained {
  detail: string;
  members?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** What the members of a fault mean for whoever reads the answer. */
export function explain(fault: Fault): Explained {
  switch (fault.code) {
    case 'invalid_request':
      return { detail: fault.detail, members: fault.issues ? { issues: fault.issues.map(legible) } : {} };
    case 'unauthenticated':
      return {
        detail: WHY_UNAUTHENTICATED[fault.reason] ?? `The token of a workload was not accepted: ${fault.reason}.`,
        members: { reason: fault.reason },
        headers: { 'www-authenticate': challenge(fault.reason) },
      };
    case 'forbidden': {
      const { missing } = fault;
      const { action, integration, owner, scopes, min_ttl } = missing;
      const what = [
        `${action} on integration ${integration}, owner ${owner}`,
        ...(scopes ? [scopes[0] === '*' ? 'with scopes that are not known' : `with ${scopes.join(', ')}`] : []),
        ...(min_ttl === undefined ? [] : [`with a min_ttl of ${min_ttl} seconds`]),
      ].join(' ');
      return { detail: `This caller has no grant for ${what}.`, members: { missing } };
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
    case 'rate_limited': {
      const { requests, window } = fault.limit;
      return {
        detail: `This caller may send ${requests} requests in ${window} seconds.`,
        members: { limit: fault.limit },
        headers: retryAfter(fault.retryAfter),
      };
    }
  }
}

const WHY_UNAUTHENTICATED: Record<string, string | undefined> = {
  missing: 'Send a caller key ("Authorization: Bearer vk_…"), or the token of a workload that a caller is bound to.',
  mistyped: 'This is no caller key: letters are missing, wrong, or too many. Copy it anew.',
  unknown: 'This caller key is not known, or was deleted.',
  expired: 'This caller key or token has expired.',
  untrusted_issuer: 'No caller is bound to the issuer of this token, or it is not a trusted one.',
  no_matching_workload: 'The token is valid, and no caller is bound to its claims.',
  ambiguous_workload: 'The token is valid, and several callers are bound to its claims: bind them to more.',
};

/** RFC 6750 3.1: without an error, where nothing was presented. */
const challenge = (reason: string): string =>
  `Bearer realm="valetkey"${reason === 'missing' ? '' : ', error="invalid_token"'}`;

const retryAfter = (seconds: number) => ({ 'retry-after': String(Math.max(1, Math.ceil(seconds))) });

/**
 * Answers repeat what was asked for, and are logged in many places: who takes a token for an id, a path or the name of a
 * field must not have it repeated there. Ids of ours have 30 characters, secrets at least 32.
 */
export const withoutSecrets = (text: string): string =>
  text.replace(PEM, '…').replace(/[\w+=%-]{32,}/g, (run) => (UUID.test(run) ? run : '…'));
/** The lines of one may have strokes in them, and so no long run. */
const PEM = /-----BEGIN[\s\S]*?(?:-----END[^-]*-----|$)/g;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const legible = ({ path, message }: InputIssue): InputIssue => ({
  path: withoutSecrets(path),
  message: withoutSecrets(message),
});

function bodyOf(code: Code, { detail, members }: Explained, requestId: string) {
  const { status, title } = PROBLEMS[code];
  const type = `urn:valetkey:problem:${code}`;
  return { type, title, status, detail: withoutSecrets(detail), code, request_id: requestId, ...members };
}

function answer(c: Context<Env>, code: Code, explained: Explained): Response {
  return c.body(JSON.stringify(bodyOf(code, explained, c.get('requestId'))), PROBLEMS[code].status, {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    ...explained.headers,
  });
}

/** With words of our own in the place of a fault's. */
export const problem = (
  c: Context<Env>,
  code: OwnCode | 'invalid_request' | 'not_found',
  detail: string,
  headers: Record<string, string> = {},
): Response => answer(c, code, { detail, headers });

export const faultProblem = (c: Context<Env>, fault: Fault): Response => answer(c, fault.code, explain(fault));

/** The example of the table, as it would be answered. */
export function exampleOf(code: Code) {
  const { example } = rowOf(code);
  return bodyOf(code, 'code' in example ? explain(example) : example, EXAMPLE.request);
}

/** The last resort of every route: what was not expected is logged, and told without its insides. */
export function onError(error: Error, c: Context<Env>): Response {
  if (error instanceof Refused) return faultProblem(c, error.fault);
  c.get('failed')(error, c.get('requestId'));
  if (error instanceof StoreError) {
    return problem(c, 'store_unavailable', PROBLEMS.store_unavailable.example.detail, retryAfter(1));
  }
  return problem(c, 'internal', PROBLEMS.internal.example.detail);
}
