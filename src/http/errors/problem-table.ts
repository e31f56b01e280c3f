// The table of all problems (RFC 9457): status, title, extension members and an example of each code. Answers, schemas and
// the examples of the OpenAPI description are made from it.
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { EXAMPLE } from '../../api/examples.ts';
import type { Fault, FaultCode, UpstreamLimitScope } from '../../domain/errors.ts';

/** Codes that no use case returns: faults of HTTP, of the store, and defects. */
export type OwnCode =
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'store_unavailable'
  | 'not_authentic'
  | 'internal';
export type Code = FaultCode | OwnCode;

type JsonSchema = Readonly<Record<string, unknown>>;

interface Row<C extends Code> {
  status: ContentfulStatusCode;
  title: string;
  /** JSON Schemas by name. Every problem of this code has them, except those listed in `optional`. */
  members?: Readonly<Record<string, JsonSchema>>;
  optional?: readonly string[];
  /** Names of `HEADERS` that its answers have. */
  headers?: readonly (keyof typeof HEADERS)[];
  /** A fault; or the `detail`, for codes without one. */
  example: C extends FaultCode ? Extract<Fault, { code: C }> : { detail: string };
}

export const HEADERS = {
  'Retry-After': {
    description: 'Seconds to wait before the next attempt',
    schema: { type: 'integer', minimum: 1 },
  },
  RateLimit: {
    description: 'For a caller with a rate limit: the requests left, and the seconds until the window ends',
    schema: { type: 'string', examples: ['"caller";r=599;t=60'] },
  },
  'RateLimit-Policy': {
    description: 'For a caller with a rate limit: the requests allowed, and the window in seconds',
    schema: { type: 'string', examples: ['"caller";q=600;w=60'] },
  },
  'WWW-Authenticate': { description: 'How to authenticate (RFC 6750)', schema: { type: 'string' } },
} as const;

/** Bytes. Larger request bodies are refused. */
export const BODY_LIMIT = 128 * 1_024;

/** `limit` in bytes. */
export const tooLarge = (limit: number): string => `A request body may have at most ${limit} bytes.`;

const text = (description: string) => ({ type: 'string', description });
const count = (description: string) => ({ type: 'integer', minimum: 0, description });
const listOf = (description: string, properties: Record<string, JsonSchema>) => ({
  type: 'array',
  description,
  items: { type: 'object', properties, required: Object.keys(properties) },
});

const connection_id = text('The connection concerned');
const integration = text('The integration concerned');
const connect_session_id = text('The connect session concerned');
const attempts_left = count('Attempts with a wrong code or verifier before the session ends; 0: it has ended');

export const PROBLEMS = {
  invalid_request: {
    status: 400,
    title: 'The request is not valid',
    members: {
      issues: listOf('Each invalid part of the request, where it can be named', {
        path: text('Where it is: member names and positions, separated by dots'),
        message: text('What is wrong with it'),
      }),
    },
    optional: ['issues'],
    example: {
      code: 'invalid_request',
      detail: 'The body of the request is not valid.',
      issues: [{ path: 'owner', message: 'no control characters and no *' }],
    },
  },
  invalid_path: {
    status: 400,
    title: 'The path is not one of the API',
    example: {
      code: 'invalid_path',
      detail: 'The path has a segment "..", however it is encoded. Send the path that is meant.',
    },
  },
  unauthenticated: {
    status: 401,
    title: 'Not authenticated',
    members: {
      reason: text(
        '`missing`, `mistyped`, `unknown` or `expired`; of a session also `ended` or `used_up`; for a workload token, also what is wrong with it',
      ),
    },
    headers: ['WWW-Authenticate'],
    example: { code: 'unauthenticated', reason: 'missing' },
  },
  invalid_finish_code: {
    status: 400,
    title: 'The finish code is wrong',
    members: { connect_session_id, attempts_left },
    example: { code: 'invalid_finish_code', connect_session_id: EXAMPLE.session, attemptsLeft: 2 },
  },
  invalid_code_verifier: {
    status: 400,
    title: 'The code verifier is wrong',
    members: { connect_session_id, attempts_left },
    example: { code: 'invalid_code_verifier', connect_session_id: EXAMPLE.session, attemptsLeft: 2 },
  },
  owner_mismatch: {
    status: 403,
    title: 'The connect session is for another owner',
    members: { connect_session_id },
    example: { code: 'owner_mismatch', connect_session_id: EXAMPLE.session, isConnected: false },
  },
  forbidden: {
    status: 403,
    title: 'The caller has no grant for this',
    members: {
      missing: {
        type: 'object',
        description: 'What a grant of the caller would have to cover; `*` means all',
        properties: {
          action: text('For example `token`'),
          integration: text('The id of the integration'),
          owner: text('The owner of the account'),
          scopes: {
            type: 'array',
            items: { type: 'string' },
            description: 'Scopes that no grant covers; `*`: unknown scopes',
          },
          min_ttl: count('Seconds requested, more than any grant allows'),
          method: text('The method of a proxied call that no grant allows'),
          path: text('The path of a proxied call that no grant allows, normalised'),
          tool: text('The tool of an MCP server that no grant allows; `*`: it is not known which one is called'),
          audience: text('The audience that the sessions of the caller may have no signed tokens for'),
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
    title: 'More than one connection matches',
    members: {
      candidates: listOf('The connections that match', {
        connection_id,
        label: { type: ['string', 'null'], description: 'Null: the connection without a label' },
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
    title: 'The connection already exists',
    members: { connection_id },
    example: { code: 'connection_exists', connection_id: EXAMPLE.connection },
  },
  identity_mismatch: {
    status: 409,
    title: 'Another account is connected',
    members: { connection_id },
    example: { code: 'identity_mismatch', connection_id: EXAMPLE.connection },
  },
  check_unsupported: {
    status: 409,
    title: 'The connection cannot be checked',
    members: { integration },
    example: {
      code: 'check_unsupported',
      integration: EXAMPLE.integration,
      detail: 'the catalogue has no call that tells whether a token of this mode works',
    },
  },
  not_ready: {
    status: 409,
    title: 'The owner has not consented yet',
    members: { connect_session_id },
    example: { code: 'not_ready', connect_session_id: EXAMPLE.session },
  },
  reauthorization_required: {
    status: 409,
    title: 'The owner must connect again',
    members: {
      connection_id,
      reason: {
        type: 'string',
        description: 'Why the connection has no usable token',
        enum: [
          'grant_revoked',
          'grant_expired',
          'deauthorized',
          'identity_changed',
          'authorization_server_changed',
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
  step_up_exhausted: {
    status: 409,
    title: 'The connection was authorized again too often',
    members: { connection_id },
    headers: ['Retry-After'],
    example: { code: 'step_up_exhausted', connection_id: EXAMPLE.connection, retryAfter: 1_200 },
  },
  connection_on_hold: {
    status: 409,
    title: 'The connection is on hold',
    members: {
      connection_id,
      reason: {
        type: 'string',
        description: '`account_disabled`: the provider has suspended the account',
        enum: ['account_disabled'] satisfies Extract<Fault, { code: 'connection_on_hold' }>['reason'][],
      },
    },
    example: { code: 'connection_on_hold', connection_id: EXAMPLE.connection, reason: 'account_disabled' },
  },
  integration_in_use: {
    status: 409,
    title: 'The integration is in use',
    members: {
      connections: count('Its live connections'),
      pending_revocations: count('Revocations that have not reached the provider yet'),
    },
    example: { code: 'integration_in_use', integration: EXAMPLE.integration, connections: 12, pending_revocations: 1 },
  },
  connection_revoked: {
    status: 410,
    title: 'The connection was revoked',
    members: { connection_id },
    example: { code: 'connection_revoked', connection_id: EXAMPLE.connection },
  },
  session_expired: {
    status: 410,
    title: 'The connect session has ended',
    members: {
      connect_session_id,
      session_status: {
        type: 'string',
        description: 'What has become of it',
        enum: ['failed', 'expired', 'cancelled'] satisfies Extract<Fault, { code: 'session_expired' }>['status'][],
      },
    },
    example: { code: 'session_expired', connect_session_id: EXAMPLE.session, status: 'expired' },
  },
  payload_too_large: {
    status: 413,
    title: 'The body is too large',
    example: { detail: tooLarge(BODY_LIMIT) },
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body must be JSON',
    example: { detail: 'Send JSON with the header "Content-Type: application/json".' },
  },
  too_many_requests: {
    status: 429,
    title: 'Too many failed authentications',
    headers: ['Retry-After'],
    example: { code: 'too_many_requests', retryAfter: 42 },
  },
  rate_limited: {
    status: 429,
    title: 'The caller has exceeded its rate limit',
    members: {
      limit: {
        type: 'object',
        description: 'The rate limit of the caller',
        properties: {
          requests: count('Requests allowed in a window'),
          window: count('Length of the window in seconds'),
        },
        required: ['requests', 'window'],
      },
    },
    headers: ['Retry-After', 'RateLimit', 'RateLimit-Policy'],
    example: { code: 'rate_limited', limit: { requests: 600, window: 60 }, retryAfter: 12 },
  },
  upstream_rate_limited: {
    status: 429,
    title: 'The API limits how often it is called',
    members: {
      integration,
      scope: {
        type: 'string',
        description: 'Whose calls the limit counts. `captured`: those of all connections to one account or tenant',
        enum: ['integration', 'connection', 'captured', 'caller'] satisfies UpstreamLimitScope[],
      },
      retry_after: count('Seconds to wait before the next attempt'),
    },
    headers: ['Retry-After'],
    example: {
      code: 'upstream_rate_limited',
      integration: EXAMPLE.integration,
      scope: 'connection',
      retryAfter: 17,
    },
  },
  not_authentic: {
    status: 500,
    title: 'What is stored is not authentic',
    example: {
      detail:
        'What is stored of this does not open: something else than a broker has changed it, or it is of another key ring. The log names the row.',
    },
  },
  internal: {
    status: 500,
    title: 'Internal error',
    example: { detail: 'Unexpected error. The log has the details under this request id.' },
  },
  upgrade_not_supported: {
    status: 501,
    title: 'The proxy makes no upgrade',
    example: { code: 'upgrade_not_supported' },
  },
  integration_misconfigured: {
    status: 502,
    title: 'The integration is misconfigured',
    members: {
      integration,
      reason: text(
        'Where the authorization server of a protected resource is not used, why: `resource_mismatch`, `issuer_mismatch`, `pkce_unsupported`, `outbound_refused`, …',
      ),
    },
    optional: ['reason'],
    example: {
      code: 'integration_misconfigured',
      integration: EXAMPLE.integration,
      detail: 'invalid_client: the provider rejected the client secret',
    },
  },
  provider_unavailable: {
    status: 503,
    title: 'The provider is unavailable',
    members: { integration },
    headers: ['Retry-After'],
    example: {
      code: 'provider_unavailable',
      integration: EXAMPLE.integration,
      detail: 'the provider does not respond',
      retryAfter: 30,
    },
  },
  upstream_unavailable: {
    status: 503,
    title: 'The API is unavailable',
    members: { integration },
    headers: ['Retry-After'],
    example: {
      code: 'upstream_unavailable',
      integration: EXAMPLE.integration,
      detail: 'api.example.com could not be reached (ECONNREFUSED)',
      retryAfter: 5,
    },
  },
  upstream_timeout: {
    status: 504,
    title: 'The API took too long',
    members: { integration },
    example: {
      code: 'upstream_timeout',
      integration: EXAMPLE.integration,
      detail: 'api.example.com did not answer within 30 seconds',
    },
  },
  store_unavailable: {
    status: 503,
    title: 'The store is unavailable',
    headers: ['Retry-After'],
    example: { detail: 'The store cannot be read or written at the moment. Try again.' },
  },
} as const satisfies { [C in Code]: Row<C> };

export const CODES = Object.keys(PROBLEMS) as Code[];

/** The row of any code, with its optional parts. */
export const rowOf = (code: Code): Row<Code> => PROBLEMS[code];
