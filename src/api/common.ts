// The parts that schemas share: names, URLs, times, pages, problems.
// Times are RFC 3339 UTC strings, durations whole seconds, ids opaque strings.
import { z } from '@hono/zod-openapi';
import { FIRST_TIME_MS, LAST_TIME_MS } from '../domain/time-range.ts';
import { EXAMPLE } from './examples.ts';

/** Of a longer one nothing else is checked: Zod would go on to patterns and refinements, whatever its length. */
/** `requests` in each `window`, in seconds. */
export const RATE = { requests: z.int().min(1).max(999_999_999), window: z.int().min(1).max(86_400) };

export const textUpTo = (max: number) => z.string().max(max, { abort: true });

/** It is shown to people: nothing that hides or reorders what stands beside it. */
export const shownTextUpTo = (max: number) =>
  textUpTo(max)
    .min(1)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+$/u, 'no control characters');
export const plain = (max: number) =>
  textUpTo(max)
    .min(1)
    .regex(/^[^\p{Cc}*]+$/u, 'no control characters and no *')
    .refine((text) => text.isWellFormed(), 'must be well-formed Unicode');
/** Of integrations and owners, as in grants. */
export const pattern = (max: number) =>
  textUpTo(max).regex(/^(?:[^*]+\*?|\*)$/, 'an exact name, a prefix with * at its end, or * for all');
export const Strings = z.record(z.string().max(64), z.string().max(2_048));
export const Scopes = z
  .array(z.string().regex(/^[\x21-\x7e]{1,512}$/, 'a scope has no spaces'))
  .max(200)
  .openapi({ description: 'Scopes, as the provider names them' });
export const MissingScopes = z.array(z.string()).openapi({
  description:
    'Scopes that the integration asks for and that were not granted: renew the connection to ask for them. Without `openid`, `profile`, `email` and `offline_access`, which providers do not list; empty where it is not known what was granted',
});
export const Url = z.url().max(2_048, { abort: true });
export const Time = z.iso
  .datetime({ offset: true })
  .refine(
    (text) => !(Date.parse(text) < FIRST_TIME_MS || Date.parse(text) > LAST_TIME_MS),
    'must be a time of the years 0 to 9999 in UTC',
  );
export const Metadata = z
  .record(z.string().max(64), z.unknown())
  .refine((value) => JSON.stringify(value).length <= 8_192, 'at most 8 kB as JSON')
  .openapi({
    description:
      'Any JSON object, stored with the connection. At most 8 kB, and 1,000 members of each list and object.',
  });
export const Secret = z.string().min(1).max(16_384);

export const Slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, dashes and underscores, at most 63')
  .openapi({ description: 'The id of an integration', example: 'slack' });
export const Owner = plain(255).openapi({
  description: 'Whose account it is: an opaque identifier of the calling system',
  example: 'user_42',
});
export const Label = textUpTo(64)
  .regex(/^\P{Cc}*$/u, 'no control characters')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .openapi({ description: 'Distinguishes several connections of one owner at one integration', example: 'work' });
/** A base64url SHA-256 (RFC 7636 4.2). */
export const CodeChallenge = z.string().regex(/^[\w-]{43}$/, 'a base64url SHA-256: 43 characters');
export const Id = z.string().min(1).max(64);
export const Status = z.enum(['active', 'needs_reauth', 'on_hold', 'revoked']).openapi({
  description:
    '`needs_reauth`: the owner must connect again; `reason` says why. `on_hold`: the provider has suspended the account (`reason`: `account_disabled`); it is neither served nor refreshed until that is lifted. `revoked`: its credentials are deleted.',
});
export const UpstreamRevocation = z
  .enum(['done', 'pending', 'unsupported', 'failed', 'kept_for_other_connection'])
  .openapi({
    description:
      'The state of the revocation at the provider. `pending` ones are retried. `kept_for_other_connection`: it would have ended the grant of another connection with the same account, and was not sent; the grant ends when the last of them is revoked.',
  });
export const Account = z
  .object({
    issuer: z.string().openapi({ description: 'Where `id` is unique: an OpenID issuer, or an origin of the provider' }),
    id: z.string(),
    name: z.string().nullable().openapi({ description: 'For people. It may change.' }),
  })
  .openapi('Account', {
    description: "The account at the provider: a user, or a tenant where the grant is the tenant's. Null: not told.",
    example: EXAMPLE.account,
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
  .openapi('Problem', { description: 'A problem (RFC 9457). `code` is stable; some codes have additional members.' });

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ data: z.array(item), next_cursor: z.string().nullable() });

export const PageQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(500))
    .optional()
    .openapi({ type: 'integer', minimum: 1, maximum: 500, description: 'Maximum number of items. Default: 100.' }),
  cursor: z.string().max(256).optional().openapi({ description: 'The `next_cursor` of the previous page' }),
});

/** Who acts with an agent session. */
export const SessionAgent = z.object({
  id: z.string(),
  name: z.string().nullable(),
  issuer: z.string().nullable().openapi({
    description: 'Of the actor token that names the agent, in a token exchange. Null: its caller names it',
  }),
});

/** What a resource has answered with the token of a connection. */
export const Challenge = z
  .strictObject({
    status: z.union([z.literal(401), z.literal(403)]),
    www_authenticate: textUpTo(8_192)
      .min(1)
      .regex(/^[\t\x20-\x7e\x80-\xff]+$/, 'a header field, on one line')
      .openapi({ description: 'Its field `WWW-Authenticate`, as it is' }),
  })
  .openapi({
    description: 'The answer of an API that rejects the token of the connection, or wants further scopes (RFC 6750 3)',
    example: {
      status: 403,
      www_authenticate:
        'Bearer error="insufficient_scope", scope="files:write", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource"',
    },
  });
