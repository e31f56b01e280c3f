// The errors of the standard interfaces, as the description tells them: by status, with an example for each.
import { EXAMPLE, OAuthError } from '../../api.ts';

const OAUTH_ERRORS = {
  invalid_request: [400, 'A parameter is missing, twice or wrong', 'audience: Too small'],
  invalid_grant: [
    400,
    'The subject token is not accepted',
    'The subject token is not accepted: expired.',
    { reason: 'expired' },
  ],
  unsupported_grant_type: [400, 'Another grant than token exchange', 'grant_type: Invalid input'],
  invalid_target: [
    400,
    'No such integration, or not within the grants of this caller',
    'There is no such integration.',
  ],
  invalid_scope: [
    400,
    'The connection was not granted all of the scope',
    'The connection was not granted: files.write',
    { missing_scopes: ['files.write'] },
  ],
  interaction_required: [
    400,
    'The owner must connect the account, or connect it again',
    'The owner must connect the account (not_connected): send the user to connect_url, then ask again.',
    { reason: 'not_connected', connect_url: 'https://valetkey.acme.example/connect/…' },
  ],
  invalid_client: [
    401,
    'The caller is not authenticated',
    'This caller key is not known, or was deleted.',
    { reason: 'unknown' },
  ],
  insufficient_scope: [
    403,
    'Not within the grants of this caller',
    'This caller has no grant for jwt:verify on integration *, owner *.',
    { missing: { action: 'jwt:verify', integration: '*', owner: '*' } },
  ],
  too_large: [413, 'The body is too large', 'A body has at most 131072 bytes.', { error: 'invalid_request' }],
  slow_down: [
    429,
    'Too many requests',
    'This caller may send 600 requests in 60 seconds.',
    { error: 'temporarily_unavailable' },
  ],
  server_error: [500, 'Something unexpected', 'Something unexpected happened. The log has it under the request id.'],
  misconfigured: [
    502,
    'The integration is misconfigured',
    'The provider refused the client. Mend the integration; its connections stay.',
    { error: 'server_error', integration: EXAMPLE.integration },
  ],
  temporarily_unavailable: [
    503,
    'The provider, the issuer or the store is away',
    'The store cannot be read or written just now. Try again.',
  ],
} as const satisfies Record<string, [status: number, what: string, description: string, members?: object]>;

type Name = keyof typeof OAUTH_ERRORS;

/** Of every operation of these interfaces. */
const COMMON = [
  'invalid_request',
  'invalid_client',
  'too_large',
  'slow_down',
  'server_error',
  'temporarily_unavailable',
] as const;

/** The answers that refuse, for a route. */
export function oauthErrors(...names: Name[]) {
  const rows = [...COMMON, ...names].map((name) => ({ name, row: OAUTH_ERRORS[name] }));
  const byStatus = Object.groupBy(rows, ({ row: [status] }) => String(status));
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, of = []]) => [
      status,
      {
        description: of.map(({ row: [, what] }) => what).join('; or: '),
        content: {
          'application/json': {
            schema: OAuthError,
            examples: Object.fromEntries(
              of.map(({ name, row: [, summary, error_description, members] }) => [
                name,
                { summary, value: { error: name, error_description, request_id: EXAMPLE.request, ...members } },
              ]),
            ),
          },
        },
      },
    ]),
  );
}
