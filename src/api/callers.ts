// Internal services, their keys, and what they may do.
import { z } from '@hono/zod-openapi';
import { plain, Time } from './common.ts';

const pattern = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^(?:[^*]+\*?|\*)$/, 'an exact name, a prefix with * at its end, or * for all');
export const CallerGrant = z
  .strictObject({
    actions: z
      .array(z.enum(['*', 'token', 'connections:read', 'connections:write', 'jwt:verify', 'proxy', 'admin']))
      .min(1),
    integrations: z.array(pattern(64)).min(1),
    owners: z.array(pattern(256)).min(1),
  })
  .openapi('CallerGrant', { description: '`*` matches all, a trailing `*` is a prefix, everything else is exact' });

export const CallerPost = z
  .strictObject({ name: plain(100), grants: z.array(CallerGrant).max(100) })
  .openapi('CallerPost');

export const CallerCreated = z
  .object({
    id: z.string(),
    name: z.string(),
    key: z.string(),
    key_id: z.string(),
    grants: z.array(CallerGrant),
    created_at: Time,
  })
  .openapi('CallerCreated', { description: 'The key is shown here, once' });

const KeyView = z.object({
  id: z.string(),
  prefix: z.string(),
  created_at: Time,
  expires_at: Time.nullable(),
  last_used_at: Time.nullable(),
});
export const CallerView = z
  .object({ id: z.string(), name: z.string(), grants: z.array(CallerGrant), keys: z.array(KeyView), created_at: Time })
  .openapi('Caller');
export const KeyPost = z.strictObject({ expires_at: Time.optional() }).openapi('KeyPost');
export const KeyCreated = z
  .object({ id: z.string(), key: z.string(), prefix: z.string(), created_at: Time, expires_at: Time.nullable() })
  .openapi('KeyCreated');
