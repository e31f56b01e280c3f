// Access tokens, and DPoP proofs.
import { z } from '@hono/zod-openapi';
import { Challenge, Label, MissingScopes, Owner, Secret, Slug, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

const MinTtl = z
  .string()
  .regex(/^\d{1,6}$/, 'whole seconds')
  .transform(Number)
  .optional()
  .openapi({
    type: 'integer',
    minimum: 0,
    maximum: 999_999,
    description:
      'Minimum remaining lifetime of the token, in seconds. Default: 60. Capped by the lifetime that the provider issues.',
    example: 300,
  });
export const TokenQuery = z.object({ min_ttl: MinTtl });
export const OwnerTokenQuery = TokenQuery.extend({ integration: Slug, owner: Owner, label: Label.optional() });

export const TokenView = z
  .object({
    connection_id: z.string(),
    integration: z.string(),
    owner: z.string(),
    access_token: z.string(),
    token_type: z.string().openapi({ description: 'How to send the token: `Bearer`, `DPoP`, …' }),
    scopes: z.array(z.string()),
    missing_scopes: MissingScopes,
    expires_at: Time.nullable().openapi({ description: 'Null: the token does not expire' }),
    expires_in: z
      .int()
      .nullable()
      .openapi({ description: 'Remaining lifetime in seconds. Null: the token does not expire.' }),
  })
  .openapi('Token', {
    example: {
      connection_id: EXAMPLE.connection,
      integration: EXAMPLE.integration,
      owner: EXAMPLE.owner,
      access_token: 'xoxe.xoxb-1-example',
      token_type: 'Bearer',
      scopes: ['chat:write', 'channels:read'],
      missing_scopes: [],
      expires_at: EXAMPLE.ends,
      expires_in: 41_520,
    },
  });

export const ProofPost = z
  .strictObject({
    method: z.string().regex(/^[A-Z][A-Z-]{0,31}$/, 'an HTTP method, in capitals'),
    url: z
      .url({ protocol: /^https?$/ })
      .max(2_048, { abort: true })
      .openapi({ description: 'The URL of the request. Its query and fragment are ignored.' }),
    nonce: z
      .string()
      .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/, 'a nonce has no spaces, quotes or backslashes')
      .optional()
      .openapi({ description: 'The last `DPoP-Nonce` header of the API, if it sends one' }),
  })
  .openapi('CreateDpopProofRequest', {
    description: 'The request that the proof is for.',
    example: { method: 'GET', url: 'https://api.example.com/v1/users' },
  });

export const ProofView = z
  .object({
    proof: z.string().openapi({ description: 'The value of the `DPoP` header: a JWT, valid for this request, once' }),
    access_token: z
      .string()
      .openapi({ description: 'The token that the proof is bound to, for `Authorization: DPoP …`' }),
    token_type: z.string(),
    expires_in: z.int().nullable().openapi({ description: 'Remaining lifetime of the token, in seconds' }),
  })
  .openapi('DpopProof', {
    example: {
      proof: 'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Ii4uLiI6Ii4uLiJ9fQ.…',
      access_token: 'eyJhbGciOiJSUzI1NiJ9.…',
      token_type: 'DPoP',
      expires_in: 3_540,
    },
  });

export const RefreshPost = z
  .strictObject({ rejected_token: Secret.optional(), challenge: Challenge.optional() })
  .openapi('RefreshTokenRequest', {
    description:
      '`rejected_token`: the access token that an API rejected. If another token is stored by now, that one is returned. `challenge`: what the API answered; where the resource has another authorization server by now, the owner must connect again.',
    example: { rejected_token: 'xoxe.xoxb-1-before' },
  });
