// Connections: read, list, import, revoke.
import { z } from '@hono/zod-openapi';
import {
  Account,
  Id,
  Label,
  Metadata,
  MissingScopes,
  Owner,
  PageQuery,
  Scopes,
  Secret,
  Slug,
  Status,
  Strings,
  Time,
  textUpTo,
  UpstreamRevocation,
} from './common.ts';
import { EXAMPLE } from './examples.ts';
import { ExplanationView } from './explanation.ts';

const CONNECTION = {
  id: EXAMPLE.connection,
  integration: EXAMPLE.integration,
  owner: EXAMPLE.owner,
  label: 'work',
  status: 'active',
  reason: null,
  scopes: ['chat:write', 'channels:read'],
  missing_scopes: [],
  metadata: { plan: 'team' },
  captured: { team_id: 'T0123ABCD', team_name: 'Acme' },
  account: EXAMPLE.account,
  expires_at: EXAMPLE.ends,
  next_refresh_at: '2026-03-02T22:20:11.000Z',
  reauth_due_at: null,
  last_refreshed_at: EXAMPLE.changed,
  last_refresh_error: null,
  last_checked_at: EXAMPLE.changed,
  last_check_error: null,
  generation: 2,
  upstream_revocation: null,
  created_at: EXAMPLE.made,
  updated_at: EXAMPLE.changed,
} as const;

const view = {
  id: z.string(),
  integration: z.string(),
  owner: z.string(),
  label: z.string().nullable(),
  status: Status,
  reason: z.string().nullable().openapi({ description: 'Why the owner must connect again: a code' }),
  scopes: z.array(z.string()),
  missing_scopes: MissingScopes,
  metadata: z.record(z.string(), z.unknown()),
  captured: z.record(z.string(), z.unknown()).openapi({
    description: 'Values captured from the provider when the account was connected, such as a team or an instance URL',
  }),
  account: Account.nullable(),
  expires_at: Time.nullable(),
  next_refresh_at: Time.nullable(),
  reauth_due_at: Time.nullable().openapi({
    description:
      'When the grant ends even if it is refreshed, or when the access token expires if nothing can refresh it: the owner should reconnect before. Null: unknown or never.',
  }),
  last_refreshed_at: Time.nullable(),
  last_refresh_error: z.object({ code: z.string(), detail: z.string(), at: Time }).nullable(),
  last_checked_at: Time.nullable().openapi({ description: 'When `POST …/check` last asked its API' }),
  last_check_error: z.string().nullable().openapi({ description: 'The `reason` of that check. Null: it worked.' }),
  generation: z.int().openapi({ description: 'Incremented whenever the credentials change' }),
  upstream_revocation: UpstreamRevocation.nullable(),
  created_at: Time,
  updated_at: Time,
};

export const ConnectionView = z.object(view).openapi('Connection', { example: CONNECTION });

export const ExplainedConnectionView = z
  .object({
    ...view,
    explanation: ExplanationView.nullable().openapi({
      description: 'Why it does not work, or what keeps it from being refreshed. Null: it works, as far as is known.',
    }),
  })
  .openapi('ExplainedConnection', { example: { ...CONNECTION, explanation: null } });

export const CheckView = z
  .object({
    ok: z
      .boolean()
      .openapi({ description: 'Whether its API accepts the token, and it is of the account that was connected' }),
    status: Status.openapi({ description: 'Of the connection, after the check' }),
    reason: z
      .enum([
        'token_rejected',
        'identity_changed',
        'authorization_server_changed',
        'forbidden',
        'rate_limited',
        'provider_unavailable',
        'unexpected_answer',
        'grant_revoked',
        'grant_expired',
        'deauthorized',
        'refresh_outcome_unknown',
        'credentials_rejected',
        'not_refreshable',
      ])
      .nullable()
      .openapi({
        description:
          'Why it failed. `token_rejected`: the API does not accept the token, nor a renewed one. `identity_changed`: it is of another account; the connection is `needs_reauth`. `forbidden`, `rate_limited`, `provider_unavailable`, `unexpected_answer`: that says nothing of the grant. The others: the grant ended when the token was renewed.',
      }),
    account: Account.nullable().openapi({
      description: 'As the API tells it, or as it is stored. Null: no one tells.',
    }),
    upstream_status: z.int().nullable().openapi({ description: "The status of the API's answer. Null: none came." }),
    retry_after: z.int().nullable().openapi({ description: 'Seconds to wait, with `rate_limited`' }),
    checked_at: Time,
  })
  .openapi('ConnectionCheck', {
    example: {
      ok: true,
      status: 'active',
      reason: null,
      account: EXAMPLE.account,
      upstream_status: 200,
      retry_after: null,
      checked_at: EXAMPLE.changed,
    },
  });

/** The members of `credentials` that every mode names in the same way. */
const TOKEN_MEMBERS: ReadonlySet<string> = new Set([
  'refresh_token',
  'access_token',
  'id_token',
  'token_type',
  'expires_at',
  'expires_in',
  'scopes',
  'scope',
]);

const plainText = textUpTo(255)
  .min(1)
  .regex(/^\P{Cc}*$/u, 'no control characters');

export const ConnectionPost = z
  .strictObject({
    integration: Slug,
    owner: Owner,
    label: Label.optional(),
    metadata: Metadata.optional(),
    params: Strings.optional().openapi({ description: 'Connection parameters of the provider' }),
    captured: Strings.optional().openapi({
      description: 'Values that were captured when the account was connected elsewhere',
    }),
    account: z
      .strictObject({ issuer: plainText.optional(), id: plainText, name: plainText.nullable().optional() })
      .optional()
      .openapi({
        description: "Whose grant it is, where `captured` does not say. The issuer is the provider's by default.",
      }),
    connection_id: Id.optional().openapi({ description: 'Renews this connection; its id stays' }),
    credentials: z
      .object({
        refresh_token: Secret.nullish(),
        access_token: Secret.nullish(),
        id_token: Secret.nullish().openapi({
          description:
            'Says whose account it is, where its signature is valid, and its `at_hash` is that of the access token or the caller has `connections:write` on all owners',
        }),
        token_type: z
          .string()
          .max(64)
          .nullish()
          .openapi({ description: 'Given: this is a token response (RFC 6749 5.1), whose other members are ignored' }),
        expires_at: z
          .union([Time, z.number().positive().max(1e15)])
          .nullish()
          .openapi({ description: 'A time, or seconds or milliseconds since the epoch. Counts before `expires_in`.' }),
        expires_in: z
          .union([z.number(), z.string().max(32)])
          .nullish()
          .openapi({ description: 'Seconds, counted from the import' }),
        scopes: Scopes.optional(),
        scope: z
          .union([z.string().max(16_384), z.array(z.string().max(512)).max(200)])
          .nullish()
          .openapi({ description: 'Instead of `scopes`: separated by spaces' }),
      })
      .catchall(z.unknown())
      .superRefine((credentials, context) => {
        if (typeof credentials.token_type === 'string') return;
        for (const [name, value] of Object.entries(credentials))
          if (!TOKEN_MEMBERS.has(name) && !Secret.safeParse(value).success)
            context.addIssue({ code: 'custom', path: [name], message: 'must be a text of 1 to 16384 characters' });
      })
      .openapi({
        description:
          'Tokens, a token response as it was received, or the `credentials` that the auth mode asks for: `api_key`, `username`, …',
      }),
  })
  .openapi('ImportConnectionRequest', {
    example: {
      integration: EXAMPLE.integration,
      owner: EXAMPLE.owner,
      label: 'work',
      credentials: { refresh_token: 'xoxe-1-example', scopes: ['chat:write', 'channels:read'] },
    },
  });

export const ConnectionQuery = PageQuery.extend({
  integration: Slug.optional(),
  owner: Owner.optional(),
  status: Status.optional(),
});

const ReplicasPending = z.int().min(1).optional().openapi({
  description:
    'How many replicas had not applied it after half a second, and may serve the token for a moment longer. Absent: none',
});
export const Revocation = z
  .object({
    id: z.string(),
    status: z.literal('revoked'),
    upstream_revocation: UpstreamRevocation,
    replicas_pending: ReplicasPending,
  })
  .openapi('Revocation', {
    example: { id: EXAMPLE.connection, status: 'revoked', upstream_revocation: 'done' },
  });
export const BulkRevoke = z
  .strictObject({ integration: Slug.optional(), owner: Owner.optional() })
  .refine((b) => b.integration !== undefined || b.owner !== undefined, 'name an integration, an owner, or both')
  .openapi('RevokeConnectionsRequest', {
    description: 'An integration, an owner, or both. With both, only connections that match both are revoked.',
    minProperties: 1,
    example: { owner: EXAMPLE.owner },
  });
export const BulkRevoked = z
  .object({
    revoked: z.int(),
    upstream_revocation: z.object({ pending: z.int(), unsupported: z.int() }),
    replicas_pending: ReplicasPending,
  })
  .openapi('BulkRevocation', {
    example: { revoked: 3, upstream_revocation: { pending: 2, unsupported: 1 } },
  });
