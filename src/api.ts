// The public shapes: what is sent to the broker over HTTP and what it answers, as schemas.
// Times are RFC 3339 UTC strings, durations whole seconds, ids opaque strings.
import { z } from '@hono/zod-openapi';

const plain = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}*]+$/u, 'no control characters and no *');
const Strings = z.record(z.string().max(64), z.string().max(2_048));
const Scopes = z.array(z.string().regex(/^[\x21-\x7e]{1,512}$/, 'a scope has no spaces')).max(200);
const Url = z.url().max(2_048);
const Time = z.iso.datetime({ offset: true });
const Metadata = z
  .record(z.string().max(64), z.unknown())
  .refine((value) => JSON.stringify(value).length <= 8_192, 'at most 8 kB as JSON');
const Secret = z.string().min(1).max(16_384);

export const Slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, dashes and underscores, at most 63');
export const Owner = plain(255).openapi({
  description: "Whose account it is, in the caller's own words",
  example: 'user_42',
});
export const Label = z
  .string()
  .max(64)
  .regex(/^\P{Cc}*$/u, 'no control characters')
  .openapi({ description: "Tells an owner's connections at one integration apart", example: 'work' });
const Id = z.string().min(1).max(64);
const Status = z.enum(['active', 'needs_reauth', 'revoked']);
const UpstreamRevocation = z.enum(['done', 'pending', 'unsupported', 'failed']);
const Origin = Url.refine(
  (u) => URL.canParse(u) && new URL(u).origin === u && !u.includes('*'),
  'an origin: scheme, host and port, nothing after',
);

export const Problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    request_id: z.string(),
  })
  .openapi('Problem', { description: 'RFC 9457. `code` is stable; some codes bring members of their own.' });

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ data: z.array(item), next_cursor: z.string().nullable() });

export const PageQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(500))
    .optional()
    .openapi({ type: 'integer', minimum: 1, maximum: 500, description: 'At most so many; 100 by default' }),
  cursor: z.string().max(256).optional().openapi({ description: '`next_cursor` of the page before' }),
});

// Providers

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
  name: z.string().openapi({ description: 'For `params.mode` of an integration' }),
  mode: z.string(),
  title: z.string().nullable(),
  notes: z.array(z.string()),
  connect: z.enum(['browser', 'import']),
  default_scopes: z.array(z.string()),
  client_auth: z
    .array(z.string())
    .openapi({ description: 'How the client may authenticate; empty: as discovery says' }),
  params: Fields.openapi({ description: 'What an integration must give' }),
  connection_params: Fields.openapi({ description: 'What each connection must give' }),
  credentials: z.record(
    z.string(),
    z.object({ title: z.string(), description: z.string().nullable(), format: z.string(), required: z.boolean() }),
  ),
  refresh: z.object({
    by: z.enum(['refresh_token', 'access_token', 'credentials', 'none']),
    rotates: z.enum(['never', 'sometimes', 'always', 'unknown']).nullable(),
    reuse_grace: z.int().nullable().openapi({ description: 'Seconds that a spent refresh token is still taken' }),
    ends_access_token: z.boolean().openapi({ description: 'The access token before dies with the refresh' }),
    idle_lifetime: z.int().nullable().openapi({ description: 'Seconds' }),
    absolute_lifetime: z.int().nullable().openapi({ description: 'Seconds' }),
  }),
  revocation: z.enum(['rfc7009', 'request', 'none']),
  token_type: z.string(),
  captures: z.array(z.string()),
  api_base_url: z.string().nullable(),
  api_headers: z.record(z.string(), z.string()),
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
    params: Fields.openapi({ description: 'What an integration must give, in every mode' }),
    connection_params: Fields.openapi({ description: 'What each connection must give, in every mode' }),
    auth: z.array(Mode),
    uncertain: z.array(z.string()),
  })
  .openapi('Provider');

// Integrations

export const IntegrationPut = z
  .strictObject({
    provider: z.string().min(1).max(63),
    client_id: z
      .string()
      .min(1)
      .max(1_024)
      .optional()
      .openapi({ description: 'Left out where the mode knows no client' }),
    client_secret: Secret.nullish().openapi({ description: 'Left out: the stored one stays. Null: removed.' }),
    private_key: Secret.nullish().openapi({
      description: 'PEM. For private_key_jwt, mutual TLS and assertions that the integration signs; as the secret',
    }),
    key_id: z
      .string()
      .regex(/^[\x21-\x7e]{1,256}$/, 'no spaces or control characters')
      .optional()
      .openapi({ description: "The private key's id at the provider" }),
    certificate: z.string().min(1).max(16_384).optional().openapi({ description: 'PEM. For mutual TLS (RFC 8705)' }),
    scopes: Scopes.optional().openapi({ description: "Left out: the provider's default ones" }),
    params: Strings.optional(),
    overrides: z
      .strictObject({
        authorization_url: Url.optional(),
        token_url: Url.optional(),
        revocation_url: Url.optional(),
        userinfo_url: Url.optional(),
        api_base_url: Url.optional(),
      })
      .optional(),
    return_origins: z.array(Origin).max(50).optional().openapi({ description: 'Origins that a `return_url` may have' }),
  })
  .openapi('IntegrationPut');

export const IntegrationView = z
  .object({
    id: z.string(),
    provider: z.string(),
    client_id: z.string(),
    client_secret_set: z.boolean(),
    private_key_set: z.boolean(),
    key_id: z.string().nullable(),
    certificate: z.string().nullable(),
    scopes: z.array(z.string()),
    params: z.record(z.string(), z.string()),
    overrides: z.record(z.string(), z.string()),
    return_origins: z.array(z.string()),
    redirect_uri: z.string().openapi({ description: 'To be registered at the provider' }),
    version: z.int(),
    created_at: Time,
    updated_at: Time,
  })
  .openapi('Integration');

// Callers

const pattern = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^(?:[^*]+\*?|\*)$/, 'an exact name, a prefix with * at its end, or * for all');
export const CallerGrant = z
  .strictObject({
    actions: z
      .array(z.enum(['*', 'token', 'connections:read', 'connections:write', 'jwt:verify', 'proxy', 'admin']))
      .min(1),
    integrations: z.array(pattern(64)).min(1),
    owners: z.array(pattern(256)).min(1),
  })
  .openapi('CallerGrant', { description: '`*` matches all, a trailing `*` is a prefix, everything else is exact' });

export const CallerPost = z
  .strictObject({ name: plain(100), grants: z.array(CallerGrant).max(100) })
  .openapi('CallerPost');

export const CallerCreated = z
  .object({
    id: z.string(),
    name: z.string(),
    key: z.string(),
    key_id: z.string(),
    grants: z.array(CallerGrant),
    created_at: Time,
  })
  .openapi('CallerCreated', { description: 'The key is shown here, once' });

const KeyView = z.object({
  id: z.string(),
  prefix: z.string(),
  created_at: Time,
  expires_at: Time.nullable(),
  last_used_at: Time.nullable(),
});
export const CallerView = z
  .object({ id: z.string(), name: z.string(), grants: z.array(CallerGrant), keys: z.array(KeyView), created_at: Time })
  .openapi('Caller');
export const KeyPost = z.strictObject({ expires_at: Time.optional() }).openapi('KeyPost');
export const KeyCreated = z
  .object({ id: z.string(), key: z.string(), prefix: z.string(), created_at: Time, expires_at: Time.nullable() })
  .openapi('KeyCreated');

// Connect sessions

export const SessionPost = z
  .strictObject({
    integration: Slug,
    owner: Owner,
    label: Label.optional(),
    scopes: Scopes.optional(),
    params: Strings.optional(),
    metadata: Metadata.optional(),
    return_url: Url.optional(),
    connection_id: Id.optional().openapi({ description: 'Renews that connection under its id' }),
  })
  .openapi('ConnectSessionPost');

export const SessionCreated = z
  .object({ id: z.string(), url: z.string(), status: z.literal('pending'), expires_at: Time })
  .openapi('ConnectSessionCreated');

export const SessionView = z
  .object({
    id: z.string(),
    status: z.enum(['pending', 'completed', 'failed', 'expired']),
    integration: z.string(),
    owner: z.string(),
    label: z.string().nullable(),
    connection_id: z.string().optional(),
    error: z.string().optional(),
    created_at: Time,
    expires_at: Time,
  })
  .openapi('ConnectSession');

// Connections and tokens

export const ConnectionView = z
  .object({
    id: z.string(),
    integration: z.string(),
    owner: z.string(),
    label: z.string().nullable(),
    status: Status,
    reason: z.string().nullable(),
    scopes: z.array(z.string()),
    metadata: z.record(z.string(), z.unknown()),
    captured: z.record(z.string(), z.unknown()),
    expires_at: Time.nullable(),
    next_refresh_at: Time.nullable(),
    reauth_due_at: Time.nullable().openapi({
      description: 'When the grant ends whatever is done: ask the owner before',
    }),
    last_refreshed_at: Time.nullable(),
    last_refresh_error: z.object({ code: z.string(), detail: z.string(), at: Time }).nullable(),
    generation: z.int(),
    upstream_revocation: UpstreamRevocation.nullable(),
    created_at: Time,
    updated_at: Time,
  })
  .openapi('Connection');

export const ConnectionPost = z
  .strictObject({
    integration: Slug,
    owner: Owner,
    label: Label.optional(),
    metadata: Metadata.optional(),
    params: Strings.optional(),
    captured: Strings.optional().openapi({ description: 'What was captured where it was connected' }),
    connection_id: Id.optional().openapi({ description: 'Renews that connection under its id' }),
    credentials: z
      .object({
        refresh_token: Secret.optional(),
        access_token: Secret.optional(),
        expires_at: Time.optional(),
        scopes: Scopes.optional(),
      })
      .catchall(Secret)
      .openapi({ description: "Tokens; or what the mode's `credentials` ask for: `api_key`, `username`, …" }),
  })
  .openapi('ConnectionImport');

export const ConnectionQuery = PageQuery.extend({
  integration: Slug.optional(),
  owner: Owner.optional(),
  status: Status.optional(),
});

const MinTtl = z
  .string()
  .regex(/^\d{1,6}$/, 'whole seconds')
  .transform(Number)
  .optional()
  .openapi({
    type: 'integer',
    minimum: 0,
    description: 'Seconds that the token must still live; 60 by default, capped by what the provider issues',
  });
export const TokenQuery = z.object({ min_ttl: MinTtl });
export const OwnerTokenQuery = TokenQuery.extend({ integration: Slug, owner: Owner, label: Label.optional() });

export const TokenView = z
  .object({
    connection_id: z.string(),
    integration: z.string(),
    owner: z.string(),
    access_token: z.string(),
    token_type: z.string(),
    scopes: z.array(z.string()),
    expires_at: Time.nullable(),
    expires_in: z.int().nullable(),
  })
  .openapi('Token');

export const ProofPost = z
  .strictObject({
    method: z.string().regex(/^[A-Z][A-Z-]{0,31}$/, 'a method of HTTP, in capitals'),
    url: z
      .url({ protocol: /^https?$/ })
      .max(2_048)
      .openapi({ description: 'Of the request; its query and fragment do not count' }),
    nonce: z
      .string()
      .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/, 'a nonce has no spaces, quotes or backslashes')
      .optional()
      .openapi({ description: "The API's last DPoP-Nonce header, where it sends one" }),
  })
  .openapi('DpopProofPost', {
    description: 'The one request that the proof is for',
    example: { method: 'GET', url: 'https://api.example.com/v1/users' },
  });

export const ProofView = z
  .object({
    proof: z.string().openapi({ description: 'For the DPoP header: a JWT, good for this request, once' }),
    access_token: z.string().openapi({ description: 'The token that the proof names, for `Authorization: DPoP …`' }),
    token_type: z.string(),
    expires_in: z.int().nullable().openapi({ description: 'Seconds that the token lives' }),
  })
  .openapi('DpopProof', {
    example: {
      proof: 'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Ii4uLiI6Ii4uLiJ9fQ.…',
      access_token: 'eyJhbGciOiJSUzI1NiJ9.…',
      token_type: 'DPoP',
      expires_in: 3_540,
    },
  });

export const RefreshPost = z.strictObject({ rejected_token: Secret.optional() }).openapi('RefreshPost', {
  description: 'With the token that an API rejected: another one stored by now is the answer',
});

export const Revocation = z
  .object({ id: z.string(), status: z.literal('revoked'), upstream_revocation: UpstreamRevocation })
  .openapi('Revocation');
export const BulkRevoke = z
  .strictObject({ integration: Slug.optional(), owner: Owner.optional() })
  .refine((b) => b.integration !== undefined || b.owner !== undefined, 'name an integration, an owner, or both')
  .openapi('BulkRevoke');
export const BulkRevoked = z
  .object({ revoked: z.int(), upstream_revocation: z.object({ pending: z.int(), unsupported: z.int() }) })
  .openapi('BulkRevoked');

// JWTs

export const VerifyPost = z
  .strictObject({
    token: z.string().min(1).max(65_536),
    issuer: z.string().max(2_048).optional(),
    audience: z.string().max(2_048).optional(),
  })
  .openapi('JwtVerify');
export const Verdict = z
  .discriminatedUnion('active', [
    z.object({
      active: z.literal(true),
      issuer: z.string(),
      claims: z.record(z.string(), z.unknown()),
      header: z.record(z.string(), z.unknown()),
    }),
    z.object({ active: z.literal(false), reason: z.string() }),
  ])
  .openapi('JwtVerdict');

// Audit

const Outcome = z.enum(['ok', 'denied', 'failed']);
export const AuditQuery = PageQuery.extend({
  integration: z.string().max(64).optional(),
  owner: z.string().max(255).optional(),
  connection_id: Id.optional(),
  actor: Id.optional(),
  action: z.string().max(64).optional(),
  outcome: Outcome.optional(),
  from: Time.optional(),
  to: Time.optional(),
});
export const AuditView = z
  .object({
    id: z.string(),
    at: Time,
    action: z.string(),
    outcome: Outcome,
    actor: z.string().openapi({ description: "A caller's id; `system`, or `browser` for an owner" }),
    key_id: z.string().nullable(),
    integration: z.string().nullable(),
    owner: z.string().nullable(),
    connection_id: z.string().nullable(),
    address: z.string().nullable(),
    request_id: z.string().nullable(),
    detail: z.string().nullable(),
    count: z.int().openapi({ description: 'How many alike events of one second it stands for' }),
  })
  .openapi('AuditEntry');

export const Health = z.object({ status: z.literal('ok') }).openapi('Health');
export const Readiness = z
  .object({ status: z.enum(['ready', 'unavailable']), checks: z.record(z.string(), z.enum(['ok', 'failed'])) })
  .openapi('Readiness');

// The declarative file (VALETKEY_CONFIG)

export const TrustedIssuer = z.strictObject({ issuer: Url, audiences: z.array(z.string().min(1)).default([]) });

/** Which of these have stood there before: the second entry would replace the first. */
const repeated = (names: readonly string[]): number[] =>
  names.flatMap((name, i) => (names.indexOf(name) < i ? [i] : []));

export const DeclaredFile = z.strictObject({
  $schema: z.string().optional(),
  integrations: z
    .array(IntegrationPut.extend({ id: Slug }))
    .superRefine((all, context) => {
      for (const i of repeated(all.map(({ id }) => id)))
        context.addIssue({ code: 'custom', path: [i, 'id'], message: 'is the id of another integration too' });
    })
    .default([]),
  callers: z
    .array(
      CallerPost.extend({
        id: z
          .string()
          .regex(/^clr_[a-z0-9_]{1,60}$/)
          .optional(),
        key: z.string().min(32, 'at least 32 characters').optional(),
        keys: z.array(z.string().min(32, 'at least 32 characters')).optional(),
      }),
    )
    .superRefine((all, context) => {
      for (const i of repeated(all.map(({ id, name }) => id ?? `named ${name}`)))
        context.addIssue({ code: 'custom', path: [i], message: 'is another caller too: give it its own id or name' });
      const keys = all.flatMap(({ key, keys }, i) => [key, ...(keys ?? [])].flatMap((k) => (k ? [{ k, i }] : [])));
      for (const at of repeated(keys.map(({ k }) => k)))
        context.addIssue({ code: 'custom', path: [keys[at]!.i], message: 'has a key that stands in the file twice' });
    })
    .default([]),
  trusted_issuers: z.array(TrustedIssuer).default([]),
  return_origins: z.array(Origin).default([]),
});
export type DeclaredFile = z.infer<typeof DeclaredFile>;
