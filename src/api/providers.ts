// The catalogue, as it is shown.
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
