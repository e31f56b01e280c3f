// Connections: shown, imported, listed, revoked.
import { z } from '@hono/zod-openapi';
import {
  Id,
  Label,
  Metadata,
  Owner,
  PageQuery,
  Scopes,
  Secret,
  Slug,
  Status,
  Strings,
  Time,
  UpstreamRevocation,
} from './common.ts';

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
