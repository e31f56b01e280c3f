// JWTs, and what they are worth.
import { z } from '@hono/zod-openapi';

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
