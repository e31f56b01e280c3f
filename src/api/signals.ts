// Signals: security events (RFC 8417, RFC 8935) and back-channel logout, as providers send them; and their settings.
import { z } from '@hono/zod-openapi';
import { Secret, Url } from './common.ts';

export const SecurityEventToken = z.string().openapi('SecurityEventToken', {
  description: 'A security event token (RFC 8417), signed by the transmitter',
  example: 'eyJ0eXAiOiJzZWNldmVudCtqd3QiLCJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLyJ9.c2ln',
});

export const SignalError = z
  .object({
    err: z.enum([
      'invalid_request',
      'invalid_key',
      'invalid_issuer',
      'invalid_audience',
      'authentication_failed',
      'access_denied',
    ]),
    description: z.string(),
  })
  .openapi('SignalError', {
    description: 'Why a security event token is not accepted (RFC 8935 2.4)',
    example: { err: 'invalid_audience', description: 'it is for another audience' },
  });

export const LogoutForm = z
  .object({ logout_token: z.string().openapi({ description: 'Signed by the OpenID provider' }) })
  .openapi('LogoutRequest', {
    example: { logout_token: 'eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIn0.c2ln' },
  });

export const LogoutError = z
  .object({ error: z.literal('invalid_request'), error_description: z.string() })
  .openapi('LogoutError', {
    example: { error: 'invalid_request', error_description: 'it is of another issuer' },
  });

export const SignalPut = z
  .strictObject({
    issuer: Url.optional().openapi({ description: 'The `iss` of its tokens. Default: as the catalogue has it' }),
    jwks_uri: Url.optional().openapi({ description: 'Where its keys are. Default: its metadata say' }),
    audience: z
      .string()
      .min(1)
      .max(1_024)
      .optional()
      .openapi({ description: 'Accepted besides the client id and the URL of the receiver' }),
    poll_url: Url.optional().openapi({ description: 'Where events are fetched (RFC 8936), if it does not push' }),
    token: Secret.optional().openapi({
      description:
        'Sent with each poll; without `poll_url`, expected with each push. Omitted: the stored one stays, unless `poll_url` is another one.',
    }),
  })
  .openapi('PutSignals', { example: { issuer: 'https://ssf.idp.example', audience: 'https://valetkey.acme.example' } });

export const SignalView = z
  .object({
    url: z.string().openapi({ description: 'Where the transmitter pushes security events' }),
    logout_url: z.string().nullable().openapi({ description: 'Register this back-channel logout URI at the provider' }),
    issuer: z.string(),
    jwks_uri: z.string().nullable(),
    audience: z.string().nullable(),
    poll_url: z.string().nullable(),
    token_set: z.boolean(),
  })
  .openapi('Signals', {
    description: 'How it receives security events and back-channel logout. Null: it does not.',
    example: {
      url: 'https://valetkey.acme.example/signals/acme',
      logout_url: 'https://valetkey.acme.example/logout/acme',
      issuer: 'https://idp.example',
      jwks_uri: null,
      audience: null,
      poll_url: null,
      token_set: false,
    },
  });
