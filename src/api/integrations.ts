// Integrations: providers configured in this deployment.
import { z } from '@hono/zod-openapi';
import { UPSTREAM_RATE_SCOPES } from '../domain/integration.ts';
import { Origin, RATE, Scopes, Secret, Strings, Time, Url } from './common.ts';
import { EXAMPLE } from './examples.ts';
import { SignalPut, SignalView } from './signals.ts';
import { Theme } from './themes.ts';
import { WebhookPut, WebhookView } from './webhooks.ts';

const Overrides = z
  .object({
    authorization_url: Url.optional(),
    token_url: Url.optional(),
    revocation_url: Url.optional(),
    userinfo_url: Url.optional(),
    api_base_url: Url.optional(),
  })
  .catchall(Url)
  .superRefine((given, { addIssue }) => {
    const names = new Set(['authorization_url', 'token_url', 'revocation_url', 'userinfo_url', 'api_base_url']);
    for (const name of Object.keys(given))
      if (!names.has(name) && !/^host\.[a-z][a-z0-9_-]{0,40}$/.test(name))
        addIssue({ code: 'custom', path: [name], message: `unknown: it takes ${[...names].join(', ')}, host.<alias>` });
  });

const UpstreamRate = z
  .strictObject({
    ...RATE,
    window: RATE.window.openapi({ description: 'Seconds' }),
    per: z.enum(UPSTREAM_RATE_SCOPES).default('integration').openapi({
      description: 'Whose calls are counted together: those of the integration, of each connection, or of each caller',
    }),
  })
  .openapi('UpstreamRate', {
    description:
      'How often the API is called through the proxy, by all replicas together: `requests` at once, and as many again evenly over each `window`.',
  });

export const IntegrationPut = z
  .strictObject({
    provider: z.string().min(1).max(63).openapi({ description: 'The id of a provider in the catalogue' }),
    client_id: z.string().min(1).max(1_024).optional().openapi({ description: 'Omit if the auth mode has no client' }),
    client_secret: Secret.nullish().openapi({
      description: 'Omitted: the stored secret stays. Null: the secret is removed.',
    }),
    private_key: Secret.nullish().openapi({
      description:
        'PEM. For `private_key_jwt`, mutual TLS and signed assertions. Omitted: the stored key stays. Null: the key is removed.',
    }),
    key_id: z
      .string()
      .regex(/^[\x21-\x7e]{1,256}$/, 'no spaces or control characters')
      .optional()
      .openapi({ description: 'The id of the private key at the provider (`kid`)' }),
    certificate: z.string().min(1).max(16_384).optional().openapi({ description: 'PEM. For mutual TLS (RFC 8705)' }),
    scopes: Scopes.optional().openapi({ description: 'Default: the default scopes of the provider' }),
    params: Strings.optional().openapi({
      description: 'Integration parameters of the provider: an issuer, a `mode`, …',
    }),
    overrides: Overrides.optional().openapi({
      description:
        'Endpoints that replace those of the catalogue, for a sandbox or a self-hosted instance. `host.<alias>` replaces another host of the API.',
    }),
    return_origins: z.array(Origin).max(50).optional().openapi({ description: 'Allowed origins of a `return_url`' }),
    require_finish: z.boolean().optional().openapi({
      description: 'True: connect sessions are created only with `finish`. Default: false',
    }),
    rate: UpstreamRate.nullish().openapi({
      description:
        'How often its API is called through the proxy. Null or omitted: as the catalogue has it. See docs/limits.md',
    }),
    theme: Theme.nullish().openapi({
      description: 'The look of its connect pages, over that of the deployment. Null or omitted: as that is',
    }),
    signals: SignalPut.nullish().openapi({
      description:
        'Where its security events come from. Omitted: as it is. Null: as the catalogue has it. See docs/signals.md',
    }),
    webhook: WebhookPut.nullish().openapi({
      description: 'How it receives webhooks. Omitted: as it did. Null: it receives none any more.',
    }),
  })
  .openapi('PutIntegrationRequest', {
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
    require_finish: z.boolean(),
    rate: UpstreamRate.nullable().openapi({ description: 'Null: as the catalogue has it' }),
    theme: Theme.nullable().openapi({ description: "Null: the deployment's" }),
    webhook: z.union([WebhookView, z.null()]).openapi({ description: 'Null: it receives no webhooks' }),
    redirect_uri: z.string().nullable().openapi({
      description:
        'Register this redirect URI at the provider. Null: there is one for each issuer, as `redirect_uri_pattern` says',
    }),
    redirect_uri_pattern: z.string().nullable().openapi({
      description:
        'Where connections say which server they are for: `{issuer}` stands for the first 16 hexadecimal digits of the SHA-256 of the issuer. Null: `redirect_uri` is the one',
    }),
    signals: SignalView.nullable(),
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
      require_finish: false,
      rate: { requests: 600, window: 60, per: 'integration' },
      theme: { name: 'Acme', accent_light: '#0f5a47', accent_dark: '#7fd6b8', radius: 8 },
      webhook: {
        url: 'https://valetkey.acme.example/webhooks/slack',
        schemes: ['hmac'],
        secrets_set: true,
        secret_count: 1,
        hook_set: false,
        handshake_until: null,
      },
      redirect_uri: 'https://valetkey.acme.example/oauth2/callback/slack',
      redirect_uri_pattern: null,
      signals: null,
      version: 1,
      created_at: EXAMPLE.made,
      updated_at: EXAMPLE.made,
    },
  });
