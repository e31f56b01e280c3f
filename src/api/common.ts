// What the shapes are made of: names, URLs, times, pages, problems.
// Times are RFC 3339 UTC strings, durations whole seconds, ids opaque strings.
import { z } from '@hono/zod-openapi';

export const plain = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}*]+$/u, 'no control characters and no *');
export const Strings = z.record(z.string().max(64), z.string().max(2_048));
export const Scopes = z
  .array(z.string().regex(/^[\x21-\x7e]{1,512}$/, 'a scope has no spaces'))
  .max(200)
  .openapi({ description: "Scopes, in the provider's words" });
export const Url = z.url().max(2_048);
export const Time = z.iso.datetime({ offset: true });
export const Metadata = z
  .record(z.string().max(64), z.unknown())
  .refine((value) => JSON.stringify(value).length <= 8_192, 'at most 8 kB as JSON')
  .openapi({ description: 'Whatever the caller wants to find there again; at most 8 kB as JSON' });
export const Secret = z.string().min(1).max(16_384);

export const Slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, dashes and underscores, at most 63')
  .openapi({ description: "An integration's id", example: 'slack' });
export const Owner = plain(255).openapi({
  description: "Whose account it is, in the caller's own words",
  example: 'user_42',
});
export const Label = z
  .string()
  .max(64)
  .regex(/^\P{Cc}*$/u, 'no control characters')
  .openapi({ description: "Tells an owner's connections at one integration apart", example: 'work' });
export const Id = z.string().min(1).max(64);
export const Status = z.enum(['active', 'needs_reauth', 'revoked']).openapi({
  description: '`needs_reauth`: the owner must connect again, and `reason` says why. `revoked`: its secrets are gone.',
});
export const UpstreamRevocation = z.enum(['done', 'pending', 'unsupported', 'failed']).openapi({
  description: 'Whether the provider was told; what is pending is tried again',
});
export const Origin = Url.refine(
  (u) => URL.canParse(u) && new URL(u).origin === u && !u.includes('*'),
  'an origin: scheme, host and port, nothing after',
);

export const Problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    request_id: z.string(),
  })
  .openapi('Problem', { description: 'RFC 9457. `code` is stable; some codes bring members of their own.' });

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ data: z.array(item), next_cursor: z.string().nullable() });

export const PageQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(500))
    .optional()
    .openapi({ type: 'integer', minimum: 1, maximum: 500, description: 'At most so many; 100 by default' }),
  cursor: z.string().max(256).optional().openapi({ description: '`next_cursor` of the page before' }),
});
