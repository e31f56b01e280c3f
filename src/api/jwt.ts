// JWTs, and what they are worth.
import { z } from '@hono/zod-openapi';

export const VerifyPost = z
  .strictObject({
    token: z.string().min(1).max(65_536),
    issuer: z.string().max(2_048).optional().openapi({ description: 'Only this one, of those that are trusted' }),
    audience: z.string().max(2_048).optional().openapi({ description: 'It must be among those of the token' }),
  })
  .openapi('JwtVerify', {
    example: {
      token: 'eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJ1c2VyXzQyIn0.c2ln',
      audience: 'https://api.acme.example',
    },
  });
export const Verdict = z
  .discriminatedUnion('active', [
    z
      .object({
        active: z.literal(true),
        issuer: z.string(),
        claims: z.record(z.string(), z.unknown()),
        header: z.record(z.string(), z.unknown()),
      })
      .openapi({
        title: 'It is good',
        example: {
          active: true,
          issuer: 'https://id.acme.example',
          claims: {
            iss: 'https://id.acme.example',
            sub: 'user_42',
            aud: 'https://api.acme.example',
            exp: 1_772_448_907,
          },
          header: { alg: 'RS256', kid: 'k1' },
        },
      }),
    z
      .object({ active: z.literal(false), reason: z.string() })
      .openapi({ title: 'It is not', example: { active: false, reason: 'expired' } }),
  ])
  .openapi('JwtVerdict');
