// The keys of the JWTs that the broker signs: their public parts, and their states for admins.
import { z } from '@hono/zod-openapi';
import { SIGNING_ALGORITHMS } from '../domain/signing-key.ts';
import { Id, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

export const JwkSet = z
  .object({
    keys: z.array(
      z.looseObject({
        kty: z.enum(['EC', 'RSA', 'OKP']),
        kid: z.string(),
        use: z.literal('sig'),
        alg: z.enum(SIGNING_ALGORITHMS),
      }),
    ),
  })
  .openapi('JwkSet', {
    description: 'A JWK set (RFC 7517 5). It never has a private member.',
    example: {
      keys: [
        {
          kty: 'EC',
          crv: 'P-256',
          x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
          y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
          kid: EXAMPLE.signingKey,
          use: 'sig',
          alg: 'ES256',
        },
      ],
    },
  });

const KEY = {
  id: EXAMPLE.signingKey,
  algorithm: 'ES256',
  state: 'signing',
  published: true,
  created_at: EXAMPLE.made,
  signs_at: EXAMPLE.made,
  retired_at: null,
  published_until: null,
};

export const SigningKeyView = z
  .object({
    id: z.string().openapi({ description: 'The `kid`' }),
    algorithm: z.enum(SIGNING_ALGORITHMS),
    state: z.enum(['published', 'signing', 'retired']).openapi({
      description:
        '`published`: verifiers get to know it, and it signs later. `signing`: it signs. `retired`: another one signs; it stays published for an hour, until the last token that it has signed is dead.',
    }),
    published: z.boolean().openapi({ description: 'Whether it is in `GET /oauth2/jwks`' }),
    created_at: Time,
    signs_at: Time.openapi({ description: 'When it began to sign, or will at the earliest' }),
    retired_at: Time.nullable(),
    published_until: Time.nullable().openapi({ description: 'Of a retired key' }),
  })
  .openapi('SigningKey', { example: KEY });

export const SigningKeyList = z
  .object({ data: z.array(SigningKeyView), next_cursor: z.null() })
  .openapi('SigningKeyList', {
    description: 'All of them, the newest first',
    example: { data: [KEY], next_cursor: null },
  });

export const RotateSigningKeysPost = z
  .strictObject({
    withdraw: Id.optional().openapi({
      description:
        'A key that has leaked: it is deleted at once, and nothing that it has signed is valid any more. If it was the one that signs, another one takes its place at once.',
      example: EXAMPLE.signingKey,
    }),
  })
  .openapi('RotateSigningKeysRequest', { example: {} });
