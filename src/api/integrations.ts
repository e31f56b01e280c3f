// Providers that are set up in this deployment.
import { z } from '@hono/zod-openapi';
import { Origin, Scopes, Secret, Strings, Time, Url } from './common.ts';
import { EXAMPLE } from './examples.ts';

export const IntegrationPut = z
  .strictObject({
    provider: z.string().min(1).max(63).openapi({ description: 'The id of a catalogue entry' }),
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
    params: Strings.optional().openapi({
      description: 'What the provider asks of the deployment: an issuer, a `mode`, …',
    }),
    overrides: z
      .strictObject({
        authorization_url: Url.optional(),
        token_url: Url.optional(),
        revocation_url: Url.optional(),
        userinfo_url: Url.optional(),
        api_base_url: Url.optional(),
      })
      .optional()
      .openapi({ description: "Endpoints in the place of the catalogue's: a sandbox, a self-hosted instance" }),
    return_origins: z.array(Origin).max(50).optional().openapi({ description: 'Origins that a `return_url` may have' }),
  })
  .openapi('IntegrationPut', {
    example: {
      provider: 'slack',
      client_id: '1234567890.0987654321',
      client_secret: 'the secret that Slack shows',
      scopes: ['chat:write', 'channels:read'],
      return_origins: ['https://app.acme.example'],
    },
  });

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
  .openapi('Integration', {
    example: {
      id: EXAMPLE.integration,
      provider: 'slack',
      client_id: '1234567890.0987654321',
      client_secret_set: true,
      private_key_set: false,
      key_id: null,
      certificate: null,
      scopes: ['chat:write', 'channels:read'],
      params: {},
      overrides: {},
      return_origins: ['https://app.acme.example'],
      redirect_uri: 'https://valetkey.acme.example/oauth2/callback/slack',
      version: 1,
      created_at: EXAMPLE.made,
      updated_at: EXAMPLE.made,
    },
  });
