// The error responses of the OAuth interfaces, for the OpenAPI document: examples with the texts of real responses.
import { EXAMPLE, OAuthError, TOKEN_EXCHANGE } from '../../api/index.ts';
import { StoreError } from '../../ports/index.ts';
import {
  type OAuthError as OAuthFault,
  oauthBody,
  oauthErrorOfExchange,
  oauthErrorOfFault,
  oauthErrorOfThrown,
} from '../errors/oauth-errors.ts';
import { HEADERS, PROBLEMS } from '../errors/problem-table.ts';
import { sentTwice } from '../middleware/form.ts';
import { unsupportedGrantType } from '../oauth-grants/index.ts';
import type { Example, Header, Response } from './document.ts';
import { json } from './route-parts.ts';

const refused = (status: OAuthFault['status'], error: string, description: string): OAuthFault => ({
  status,
  error,
  description,
});

const CASES = {
  invalid_request: () => sentTwice('token').error,
  unsupported_grant_type: () => unsupportedGrantType([TOKEN_EXCHANGE]).error,
  invalid_grant: () => oauthErrorOfExchange({ code: 'invalid_subject', token: 'subject', reason: 'expired' }),
  invalid_target: () => oauthErrorOfExchange({ code: 'unknown_integration' }),
  invalid_scope: () => oauthErrorOfExchange({ code: 'insufficient_scopes', missing: ['chat:write'] }),
  interaction_required: () =>
    oauthErrorOfExchange({
      code: 'connection_required',
      reason: 'grant_revoked',
      connectionId: EXAMPLE.connection,
      url: EXAMPLE.link,
    }),
  invalid_client: () => oauthErrorOfFault(PROBLEMS.unauthenticated.example),
  insufficient_scope: () =>
    oauthErrorOfFault({ code: 'forbidden', missing: { action: 'jwt:verify', integration: '*', owner: '*' } }),
  payload_too_large: () => refused(413, 'invalid_request', PROBLEMS.payload_too_large.example.detail),
  too_many_requests: () => oauthErrorOfFault(PROBLEMS.too_many_requests.example),
  rate_limited: () => oauthErrorOfFault(PROBLEMS.rate_limited.example),
  internal: () => oauthErrorOfThrown(new Error()),
  integration_misconfigured: () => oauthErrorOfFault(PROBLEMS.integration_misconfigured.example),
  provider_unavailable: () => oauthErrorOfFault(PROBLEMS.provider_unavailable.example),
  issuer_unavailable: () =>
    oauthErrorOfExchange({ code: 'invalid_subject', token: 'subject', reason: 'issuer_unavailable' }),
  store_unavailable: () => oauthErrorOfThrown(new StoreError('away')),
} satisfies Record<string, () => OAuthFault>;

export type OAuthCase = keyof typeof CASES;

/** Errors of every request of an authenticated client. */
export const OF_ALL = [
  'invalid_request',
  'invalid_client',
  'payload_too_large',
  'too_many_requests',
  'rate_limited',
  'internal',
  'issuer_unavailable',
  'store_unavailable',
] as const satisfies OAuthCase[];

/** The errors of an operation. `describe` replaces them with responses by status. */
export const oauthErrors = (...cases: OAuthCase[]) => ({
  default: { ...json(OAuthError, 'Any other error (RFC 6749 5.2)'), 'x-oauth-errors': cases },
});

/** Responses by status, with an example of each case. */
export function oauthRefusalsOf(cases: readonly OAuthCase[]): Record<string, Response> {
  const faults = cases.map((name) => ({ name, fault: CASES[name]() as OAuthFault }));
  const byStatus = Map.groupBy(faults, ({ fault }) => fault.status);
  const answers = [...byStatus].map(([status, all]): [string, Response] => [
    String(status),
    {
      description: [...new Set(all.map(({ fault }) => `\`${fault.error}\``))].join(', '),
      headers: headersOf(all.map(({ fault }) => fault)),
      content: {
        'application/json': {
          schema: { $ref: '#/components/schemas/OAuthError' },
          examples: Object.fromEntries(
            all.map(({ name, fault }): [string, Example] => [name, { value: oauthBody(fault, EXAMPLE.request) }]),
          ),
        },
      },
    },
  ]);
  return Object.fromEntries(answers);
}

/** Headers that all faults have are required. */
function headersOf(faults: readonly OAuthFault[]): Record<string, Header> {
  const names = faults.map(({ status, headers = {} }) => [
    ...('retry-after' in headers ? (['Retry-After'] as const) : []),
    ...(status === 401 ? (['WWW-Authenticate'] as const) : []),
  ]);
  const required = (name: keyof typeof HEADERS) => names.every((all: readonly string[]) => all.includes(name));
  return Object.fromEntries(names.flat().map((name) => [name, { ...HEADERS[name], required: required(name) }]));
}
