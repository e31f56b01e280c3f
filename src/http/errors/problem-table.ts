// Every problem that an answer may be (RFC 9457): its status, its title, the members of its own, and one case of it as an
// example. What is answered, its schema and the examples of the description are all made of this one table.
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { EXAMPLE } from '../../api/index.ts';
import type { Fault, FaultCode } from '../../domain/errors.ts';

/** What goes wrong in HTTP itself or below everything, and so in no use case. */
export type OwnCode = 'payload_too_large' | 'unsupported_media_type' | 'store_unavailable' | 'internal';
export type Code = FaultCode | OwnCode;

type JsonSchema = Readonly<Record<string, unknown>>;

interface Row<C extends Code> {
  status: ContentfulStatusCode;
  title: string;
  /** JSON Schemas by name; each is there in every problem of the code, unless it is among the `optional`. */
  members?: Readonly<Record<string, JsonSchema>>;
  optional?: readonly string[];
  /** Headers that its answers have, by the names of `HEADERS`. */
  headers?: readonly (keyof typeof HEADERS)[];
  /** A case of it: a fault, or what is said in `detail`. */
  example: C extends FaultCode ? Extract<Fault, { code: C }> : { detail: string };
}

export const HEADERS = {
  'Retry-After': {
    description: 'Seconds after which it is worth another try',
    schema: { type: 'integer', minimum: 1 },
  },
  RateLimit: {
    description: 'Of a caller that has a limit: how many requests are left, and the seconds until the window ends',
    schema: { type: 'string', examples: ['"caller";r=599;t=60'] },
  },
  'RateLimit-Policy': {
    description: 'Of a caller that has a limit: so many requests in a window of so many seconds',
    schema: { type: 'string', examples: ['"caller";q=600;w=60'] },
  },
  'WWW-Authenticate': { description: 'How to authenticate (RFC 6750)', schema: { type: 'string' } },
} as const;

/** Bytes: no request of the interface needs more. */
export const BODY_LIMIT = 128 * 1_024;

const text = (description: string) => ({ type: 'string', description });
const count = (description: string) => ({ type: 'integer', minimum: 0, description });
const listOf = (description: string, properties: Record<string, JsonSchema>) => ({
  type: 'array',
  description,
  items: { type: 'object', properties, required: Object.keys(properties) },
});

const connection_id = text('The connection that it is about');
const integration = text('The integration that it is about');

export const PROBLEMS = {
  invalid_request: {
    status: 400,
    title: 'The request is not valid',
    members: {
      issues: listOf('Every single thing that is wrong, where it can be told', {
        path: text('Where: members and positions with dots between them'),
        message: text('What is wrong there'),
      }),
    },
    optional: ['issues'],
    example: {
      code: 'invalid_request',
      detail: 'The body of the request is not valid.',
      issues: [{ path: 'owner', message: 'no control characters and no *' }],
    },
  },
  unauthenticated: {
    status: 401,
    title: 'Not authenticated',
    members: {
      reason: text(
        '`missing`, `mistyped`, `unknown` or `expired`; of the token of a workload, also what is wrong with that',
      ),
    },
    headers: ['WWW-Authenticate'],
    example: { code: 'unauthenticated', reason: 'missing' },
  },
  forbidden: {
    status: 403,
    title: 'Not within the grants of this caller',
    members: {
      missing: {
        type: 'object',
        description: 'What a grant of the caller would have to cover; `*` stands for all',
        properties: {
          action: text('Such as `token`'),
          integration: text('Its id'),
          owner: text('Whose account it is'),
          scopes: {
            type: 'array',
            items: { type: 'string' },
            description: 'Those that no grant covers; `*`: not known',
          },
          min_ttl: count('Seconds: what was asked for, and is more than a grant allows'),
        },
        required: ['action', 'integration', 'owner'],
      },
    },
    example: {
      code: 'forbidden',
      missing: { action: 'token', integration: EXAMPLE.integration, owner: EXAMPLE.owner },
    },
  },
  not_found: {
    status: 404,
    title: 'Not found',
    example: { code: 'not_found', what: 'connection', id: EXAMPLE.connection },
  },
  ambiguous_connection: {
    status: 409,
    title: 'More than one connection fits',
    members: {
      candidates: listOf('The connections that fit', {
        connection_id,
        label: { type: ['string', 'null'], description: 'Null: the one without a label' },
      }),
    },
    example: {
      code: 'ambiguous_connection',
      candidates: [
        { connection_id: EXAMPLE.connection, label: 'work' },
        { connection_id: 'con_01k9d3n0r4c6h8j2s5g7p1e3kd', label: null },
      ],
    },
  },
  connection_exists: {
    status: 409,
    title: 'The connection exists already',
    members: { connection_id },
    example: { code: 'connection_exists', connection_id: EXAMPLE.connection },
  },
  reauthorization_required: {
    status: 409,
    title: 'The owner must connect again',
    members: {
      connection_id,
      reason: {
        type: 'string',
        description: 'Why no token can be had any more',
        enum: [
          'grant_revoked',
          'grant_expired',
          'identity_changed',
          'refresh_outcome_unknown',
          'credentials_rejected',
          'not_refreshable',
        ] satisfies Extract<Fault, { code: 'reauthorization_required' }>['reason'][],
      },
    },
    example: {
      code: 'reauthorization_required',
      connection_id: EXAMPLE.connection,
      reason: 'grant_revoked',
    },
  },
  integration_in_use: {
    status: 409,
    title: 'The integration is in use',
    members: {
      connections: count('Live connections of it'),
      pending_revocations: count('Revocations that its provider has not been told of yet'),
    },
    example: { code: 'integration_in_use', integration: EXAMPLE.integration, connections: 12, pending_revocations: 1 },
  },
  connection_revoked: {
    status: 410,
    title: 'The connection was revoked',
    members: { connection_id },
    example: { code: 'connection_revoked', connection_id: EXAMPLE.connection },
  },
  payload_too_large: {
    status: 413,
    title: 'The body is too large',
    example: { detail: `A body has at most ${BODY_LIMIT} bytes.` },
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body must be JSON',
    example: { detail: 'Send JSON with the header "Content-Type: application/json".' },
  },
  too_many_requests: {
    status: 429,
    title: 'Too many requests failed to authenticate',
    headers: ['Retry-After'],
    example: { code: 'too_many_requests', retryAfter: 42 },
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests of this caller',
    members: {
      limit: {
        type: 'object',
        description: 'What the caller may do',
        properties: { requests: count('So many'), window: count('In so many seconds') },
        required: ['requests', 'window'],
      },
    },
    headers: ['Retry-After', 'RateLimit', 'RateLimit-Policy'],
    example: { code: 'rate_limited', limit: { requests: 600, window: 60 }, retryAfter: 12 },
  },
  internal: {
    status: 500,
    title: 'Internal error',
    example: { detail: 'Something unexpected happened. The log has it under the request id.' },
  },
  integration_misconfigured: {
    status: 502,
    title: 'The integration is misconfigured',
    members: { integration },
    example: {
      code: 'integration_misconfigured',
      integration: EXAMPLE.integration,
      detail: 'invalid_client: the provider does not take the client secret',
    },
  },
  provider_unavailable: {
    status: 503,
    title: 'The provider is not available',
    members: { integration },
    headers: ['Retry-After'],
    example: {
      code: 'provider_unavailable',
      integration: EXAMPLE.integration,
      detail: 'the provider does not answer',
      retryAfter: 30,
    },
  },
  store_unavailable: {
    status: 503,
    title: 'The store is not available',
    headers: ['Retry-After'],
    example: { detail: 'The store cannot be read or written just now. Try again.' },
  },
} as const satisfies { [C in Code]: Row<C> };

export const CODES = Object.keys(PROBLEMS) as Code[];

/** The row with all of its parts, whichever it is. */
export const rowOf = (code: Code): Row<Code> => PROBLEMS[code];
