// Connect sessions: invitations for a browser.
import { z } from '@hono/zod-openapi';
import { Id, Label, Metadata, Owner, Scopes, Slug, Strings, Time, Url } from './common.ts';

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
