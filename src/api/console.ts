// Who uses the browser console: links that sign in, and sessions.
import { z } from '@hono/zod-openapi';
import { CONSOLE_ROLES } from '../domain/console.ts';
import { Id, Slug, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

const Role = z.enum(CONSOLE_ROLES);

const RoleRule = z.strictObject({
  claim: z.string().min(1).max(200).openapi({
    description:
      'A claim of the ID token, such as `groups`, or the path to a member of one, such as `realm_access.roles`. With `email`, the provider must have verified the address',
  }),
  values: z.array(z.string().min(1).max(500)).min(1).openapi({
    description: 'Who has one of these in it, exactly, has the role',
  }),
});

export const ConsoleSettings = z.strictObject({
  integration: Slug.openapi({
    description: 'The OpenID integration with which people sign in. Its redirect URI is `/console/callback`',
  }),
  roles: z
    .strictObject({ admin: RoleRule.optional(), operator: RoleRule.optional(), viewer: RoleRule.optional() })
    .refine((roles) => Object.keys(roles).length > 0, 'at least one role, or no one can sign in')
    .openapi({ description: 'Who fits several has the highest of them. Who fits none is not let in' }),
  url: z
    .url({ protocol: /^https?$/ })
    .refine((url) => !/[?#]/.test(url) && !url.endsWith('/'), 'without a slash at its end, query and fragment')
    .optional()
    .openapi({
      description:
        'What browsers call the console by, without `/console`: where it is served at another address than the public URL. Default: the public URL',
    }),
});

export const ConsoleLinkPost = z
  .strictObject({
    role: Role.default('admin').openapi({
      description: 'What it lets do. The caller must have all permissions of the role itself',
    }),
  })
  .openapi('CreateConsoleLinkRequest', { example: { role: 'viewer' } });

export const ConsoleLinkView = z
  .object({ id: Id, url: z.string(), role: Role, expires_at: Time })
  .openapi('ConsoleLink', {
    example: {
      id: EXAMPLE.consoleSession,
      url: 'https://valetkey.acme.example/console/link/pR4nZ7qXv2mLc9bTs6wKd1yHg8fJu5eA0oIiV3xBkNU',
      role: 'viewer',
      expires_at: EXAMPLE.ends,
    },
  });

export const ConsoleSessionView = z
  .object({
    id: Id,
    issuer: z.string(),
    subject: z.string(),
    name: z.string().nullable(),
    role: Role,
    address: z.string().nullable(),
    created_at: Time,
    opened_at: Time.nullable().openapi({ description: 'Null: a link that no one has opened.' }),
    last_seen_at: Time,
    expires_at: Time,
  })
  .openapi('ConsoleSession', {
    example: {
      id: EXAMPLE.consoleSession,
      issuer: 'https://idp.acme.example',
      subject: '00u1a2b3',
      name: 'Ada Admin',
      role: 'admin',
      address: '192.0.2.7',
      created_at: EXAMPLE.made,
      opened_at: EXAMPLE.made,
      last_seen_at: EXAMPLE.changed,
      expires_at: EXAMPLE.ends,
    },
  });
