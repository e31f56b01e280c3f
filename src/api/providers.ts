// The provider catalogue.
import { z } from '@hono/zod-openapi';

const Field = z.object({
  title: z.string(),
  description: z.string().nullable(),
  pattern: z.string(),
  example: z.string().nullable(),
  options: z.array(z.string()).nullable(),
  default: z.string().nullable(),
  required: z.boolean(),
});
const Fields = z.record(z.string(), Field);
const Mode = z.object({
  name: z.string().openapi({ description: 'The value of `params.mode` of an integration' }),
  mode: z.string(),
  title: z.string().nullable(),
  notes: z.array(z.string()),
  connect: z.enum(['browser', 'import']),
  default_scopes: z.array(z.string()),
  client_auth: z
    .array(z.string())
    .openapi({ description: 'Supported client authentication methods. Empty: according to discovery.' }),
  params: Fields.openapi({ description: 'Parameters of an integration' }),
  connection_params: Fields.openapi({ description: 'Parameters of each connection' }),
  credentials: z.record(
    z.string(),
    z.object({ title: z.string(), description: z.string().nullable(), format: z.string(), required: z.boolean() }),
  ),
  refresh: z.object({
    by: z.enum(['refresh_token', 'access_token', 'credentials', 'none']),
    rotates: z.enum(['never', 'sometimes', 'always', 'unknown']).nullable(),
    reuse_grace: z.int().nullable().openapi({
      description:
        'How long a used refresh token is still accepted, in seconds. Null: unknown, or said by a parameter of the integration.',
    }),
    ends_access_token: z.boolean().openapi({ description: 'Whether a refresh invalidates the previous access token' }),
    idle_lifetime: z.int().nullable().openapi({ description: 'Lifetime of an unused refresh token, in seconds' }),
    absolute_lifetime: z
      .int()
      .nullable()
      .openapi({ description: 'Lifetime of the grant, in seconds, however often it is refreshed' }),
  }),
  revocation: z.enum(['rfc7009', 'request', 'none']),
  token_type: z.string(),
  captures: z.array(z.string()),
  api_base_url: z.string().nullable(),
  api_headers: z.record(z.string(), z.string()),
});
const Webhooks = z.object({
  name: z.string(),
  title: z.string().openapi({ description: 'What sends to it' }),
  path: z
    .enum(['/webhooks/{integration}', '/signals/{integration}', '/logout/{integration}'])
    .openapi({ description: 'Below the public URL of the broker: what is configured at the vendor' }),
  scheme: z.string().openapi({ description: 'How it is verified' }),
  option: z
    .string()
    .nullable()
    .openapi({ description: 'The value of `webhook.scheme` of an integration that selects it. Null: it needs none.' }),
  secret: z
    .object({
      what: z.string().openapi({ description: 'What the vendor calls it' }),
      where: z.string().nullable().openapi({ description: 'Where an admin finds or sets it' }),
      from: z.enum(['secrets', 'client_secret']).openapi({
        description: '`client_secret`: the integration has it already; older ones may be among the secrets',
      }),
    })
    .nullable()
    .openapi({ description: 'What `webhook.secrets` of the integration holds. Null: nothing.' }),
  needs_hook: z.boolean().openapi({ description: 'It is taken only at the URL with the hook of the integration' }),
  needs_handshake_window: z.boolean().openapi({
    description: 'The vendor sends the key: open the window first (`POST /v1/integrations/{id}/webhook-handshake`)',
  }),
  names_account: z.boolean().openapi({ description: 'False: nothing in it says which connection is meant' }),
  configure: z
    .object({
      url: z.string().openapi({ description: 'Where the URL is entered at the vendor' }),
      events: z.array(z.string()).openapi({ description: 'Types to subscribe to, so that ended grants are heard of' }),
      notes: z.array(z.string()),
    })
    .openapi({ description: 'What an admin does at the vendor' }),
  expiry: z.string().nullable().openapi({ description: 'Until when a subscription lasts' }),
  ends_grants: z.boolean().openapi({ description: 'Some of its events say that a grant has ended' }),
});
const Pagination = z.object({
  style: z.enum(['next_url', 'link_header', 'cursor', 'page', 'offset', 'continue_call', 'relay', 'by_caller']),
  from: z.string().optional().openapi({ description: 'The path in the answer of the next URL or cursor' }),
  secret_params: z
    .array(z.string())
    .optional()
    .openapi({ description: 'Query parameters of the next URL that hold a secret' }),
  rel: z.string().optional(),
  in: z.enum(['query', 'body']).optional(),
  param: z.string().optional(),
  last_item: z.string().optional().openapi({ description: 'A path in the last item of the list at `from`' }),
  more: z.string().optional().openapi({ description: 'The list ends where this is false' }),
  last: z.string().optional().openapi({ description: 'The list ends where this is true' }),
  first: z.int().optional(),
  size: z.string().optional(),
  pages_header: z.string().optional(),
  suffix: z.string().optional(),
  note: z.string().optional(),
});
const Idempotency = z.object({
  header: z.string().optional(),
  body: z.string().optional(),
  query: z.string().optional(),
});
const LimitScope = z.union([z.enum(['integration', 'connection']), z.object({ captured: z.string() })]);
const Api = z.object({
  other_hosts: z
    .record(z.string(), z.string())
    .openapi({ description: 'Hosts of the same system by alias, called with the same token. Each is a base URL.' }),
  checks: z
    .array(
      z.object({
        method: z.enum(['GET', 'POST']),
        host: z.string().nullable().openapi({ description: 'One of `other_hosts`. Null: the base URL.' }),
        path: z.string().nullable().openapi({ description: 'Null: the userinfo endpoint' }),
        modes: z.array(z.string()).nullable().openapi({ description: 'Names of auth modes. Null: all.' }),
        billed: z.boolean().openapi({ description: 'The vendor charges for it' }),
      }),
    )
    .openapi({ description: 'What `POST /v1/connections/{id}/check` calls: the first that fits the connection' }),
  pagination: Pagination.nullable().openapi({ description: 'How lists go on. Null: it is not known.' }),
  idempotency: Idempotency.nullable().openapi({
    description: 'Where a key that makes a repeated request safe goes. Null: nowhere, or it is not known.',
  }),
});
const RateLimits = z.object({
  scope: LimitScope.openapi({
    description:
      'What one limit counts: the integration, each connection, or all connections with the same value of this name',
  }),
  concurrency: z.int().nullable().openapi({ description: 'Requests at once' }),
  rate: z
    .object({ requests: z.int(), window: z.int() })
    .nullable()
    .openapi({ description: 'The window is in seconds' }),
  documented: z.array(z.string()).openapi({ description: 'The limits as the vendor documents them' }),
});
export const ProviderView = z
  .object({
    id: z.string(),
    name: z.string(),
    category: z.string(),
    docs_url: z.string().nullable(),
    confidence: z.enum(['verified', 'documented', 'unverified']),
    notes: z.array(z.string()),
    auth_modes: z.array(z.string()),
    default_scopes: z.array(z.string()),
    params: Fields.openapi({ description: 'Parameters of an integration, in every auth mode' }),
    connection_params: Fields.openapi({ description: 'Parameters of each connection, in every auth mode' }),
    auth: z.array(Mode),
    api: Api.openapi({ description: 'What calls of the API need to know' }),
    rate_limits: RateLimits.nullable().openapi({ description: 'Null: nothing is known of its limits' }),
    webhooks: z.array(Webhooks).openapi({ description: 'What the vendor sends, and what an admin configures for it' }),
    uncertain: z.array(z.string()),
  })
  .openapi('Provider', {
    example: {
      id: 'slack',
      name: 'Slack',
      category: 'chat',
      docs_url: 'https://docs.slack.dev/authentication/installing-with-oauth',
      confidence: 'documented',
      notes: [],
      auth_modes: ['oauth2_code'],
      default_scopes: [],
      params: {},
      connection_params: {
        team: {
          title: 'workspace id',
          description: 'Preselects the workspace on the consent page.',
          pattern: '[TE][A-Z0-9]{6,20}',
          example: 'T0123ABCD',
          options: null,
          default: null,
          required: false,
        },
      },
      auth: [
        {
          name: 'oauth2_code',
          mode: 'oauth2_code',
          title: null,
          notes: [],
          connect: 'browser',
          default_scopes: [],
          client_auth: ['client_secret_basic', 'client_secret_post'],
          params: {},
          connection_params: {},
          credentials: {},
          refresh: {
            by: 'refresh_token',
            rotates: 'always',
            reuse_grace: null,
            ends_access_token: false,
            idle_lifetime: null,
            absolute_lifetime: null,
          },
          revocation: 'request',
          token_type: 'Bearer',
          captures: ['team_id', 'team_name'],
          api_base_url: 'https://slack.com/api',
          api_headers: {},
        },
      ],
      api: {
        other_hosts: { files: 'https://files.slack.com' },
        checks: [{ method: 'POST', host: null, path: '/auth.test', modes: ['oauth2_code'], billed: false }],
        pagination: { style: 'cursor', in: 'query', param: 'cursor', from: 'response_metadata.next_cursor' },
        idempotency: null,
      },
      rate_limits: {
        scope: { captured: 'team_id' },
        concurrency: null,
        rate: null,
        documented: ['incoming webhooks 1/s'],
      },
      webhooks: [
        {
          name: 'events',
          title: 'Events API, interactivity and slash commands',
          path: '/webhooks/{integration}',
          scheme: 'hmac',
          option: null,
          secret: { what: 'signing secret of the app', where: 'Basic Information, App Credentials', from: 'secrets' },
          needs_hook: false,
          needs_handshake_window: false,
          names_account: true,
          configure: {
            url: 'Event Subscriptions, Request URL',
            events: ['app_uninstalled', 'tokens_revoked'],
            notes: [],
          },
          expiry: null,
          ends_grants: true,
        },
      ],
      uncertain: [],
    },
  });
