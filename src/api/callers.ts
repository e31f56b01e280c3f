// Internal services, their keys, and what they may do.
import { z } from '@hono/zod-openapi';
import { plain, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

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

const named = {
  name: 'billing',
  grants: [{ actions: ['token', 'connections:read'], integrations: ['slack'], owners: ['user_*'] }],
};
const shownOnce = 'vk_Yh3kq0cVt8mPz5sXbN1wLr7dGf2uJe9aTi4oKyC6vQM';
const key = {
  id: EXAMPLE.key,
  prefix: shownOnce.slice(0, 8),
  created_at: EXAMPLE.made,
  expires_at: null,
};

export const CallerPost = z
  .strictObject({ name: plain(100), grants: z.array(CallerGrant).max(100) })
  .openapi('CallerPost', { example: named });

export const CallerCreated = z
  .object({
    id: z.string(),
    name: z.string(),
    key: z.string(),
    key_id: z.string(),
    grants: z.array(CallerGrant),
    created_at: Time,
  })
  .openapi('CallerCreated', {
    description: 'The key is shown here, once',
    example: { id: EXAMPLE.caller, ...named, key: shownOnce, key_id: EXAMPLE.key, created_at: EXAMPLE.made },
  });

const KeyView = z.object({
  id: z.string(),
  prefix: z.string(),
  created_at: Time,
  expires_at: Time.nullable(),
  last_used_at: Time.nullable(),
});
export const CallerView = z
  .object({ id: z.string(), name: z.string(), grants: z.array(CallerGrant), keys: z.array(KeyView), created_at: Time })
  .openapi('Caller', {
    example: {
      id: EXAMPLE.caller,
      ...named,
      keys: [{ ...key, last_used_at: EXAMPLE.changed }],
      created_at: EXAMPLE.made,
    },
  });
export const KeyPost = z
  .strictObject({ expires_at: Time.optional().openapi({ description: 'Left out: it does not expire' }) })
  .openapi('KeyPost', { example: { expires_at: EXAMPLE.ends } });
export const KeyCreated = z
  .object({ id: z.string(), key: z.string(), prefix: z.string(), created_at: Time, expires_at: Time.nullable() })
  .openapi('KeyCreated', { example: { ...key, key: shownOnce, expires_at: EXAMPLE.ends } });
