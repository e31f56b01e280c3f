// The declarative file (VALETKEY_CONFIG), and the same declaration applied to a running broker.
import { z } from '@hono/zod-openapi';
import { CallerPut } from './callers.ts';
import { Origin, Slug } from './common.ts';
import { ConsoleSettings } from './console.ts';
import { EXAMPLE } from './examples.ts';
import { IntegrationPut } from './integrations.ts';
import { Theme } from './themes.ts';
import { TrustedIssuer } from './trusted-issuers.ts';

/** The indexes of repeated names: the second entry would replace the first. */
function repeated(names: readonly string[]): number[] {
  const seen = new Set<string>();
  return names.flatMap((name, i) => {
    if (seen.has(name)) return [i];
    seen.add(name);
    return [];
  });
}

export const DeclaredFile = z.strictObject({
  $schema: z.string().optional().openapi({ description: 'For editors; ignored' }),
  integrations: z
    .array(z.strictObject({ ...IntegrationPut.shape, id: Slug }))
    .superRefine((all, context) => {
      for (const i of repeated(all.map(({ id }) => id)))
        context.addIssue({ code: 'custom', path: [i, 'id'], message: 'is already the id of another integration' });
    })
    .default([])
    .openapi({ description: 'Each is created, or replaced, by its `id`. Others stay as they are' }),
  callers: z
    .array(
      z.strictObject({
        ...CallerPut.shape,
        id: z
          .string()
          .regex(/^clr_[a-z0-9_]{1,60}$/)
          .optional()
          .openapi({ description: 'Left out: derived from the name, so a renamed caller is another one' }),
        key: z.string().min(32, 'at least 32 characters').optional().openapi({
          description:
            'Its key; only a digest is stored. With `key` or `keys` it has exactly these; without, its stored keys stay',
        }),
        keys: z
          .array(z.string().min(32, 'at least 32 characters'))
          .optional()
          .openapi({ description: 'More keys, for rotation' }),
      }),
    )
    .superRefine((all, context) => {
      for (const i of repeated(all.map(({ id, name }) => id ?? `named ${name}`)))
        context.addIssue({ code: 'custom', path: [i], message: 'has the id or name of another caller' });
      const keys = all.flatMap(({ key, keys }, i) => [key, ...(keys ?? [])].flatMap((k) => (k ? [{ k, i }] : [])));
      for (const at of repeated(keys.map(({ k }) => k)))
        context.addIssue({ code: 'custom', path: [keys[at]!.i], message: 'has a key that is in the file twice' });
    })
    .default([])
    .openapi({ description: 'Each is created, or replaced, by its `id`. Others stay as they are' }),
  trusted_issuers: z
    .array(TrustedIssuer)
    .superRefine((all, context) => {
      // Audiences of several entries are merged; of anything else it would be unclear which applies.
      const says = ({ issuer: _, audiences: __, ...more }: z.infer<typeof TrustedIssuer>) =>
        Object.keys(more).length > 0;
      const saying = new Set(all.filter(says).map(({ issuer }) => issuer));
      for (const i of repeated(all.map(({ issuer }) => issuer))) {
        if (saying.has(all[i]!.issuer))
          context.addIssue({
            code: 'custom',
            path: [i, 'issuer'],
            message: 'is in another entry, with other members than audiences',
          });
      }
    })
    .default([])
    .openapi({ description: 'Issuers whose JWTs are accepted. Read at start only' }),
  return_origins: z
    .array(Origin)
    .default([])
    .openapi({ description: 'Origins that a `return_url` may have, at every integration. Read at start only' }),
  console: ConsoleSettings.optional().openapi({
    description: 'Who signs in to the browser console, and with which role. Read at start only',
  }),
  theme: Theme.optional().openapi({ description: 'The look of the connect pages. Read at start only' }),
});
export type DeclaredFile = z.infer<typeof DeclaredFile>;

export const ApplyPost = DeclaredFile.extend({
  trusted_issuers: DeclaredFile.shape.trusted_issuers.removeDefault().optional(),
  return_origins: DeclaredFile.shape.return_origins.removeDefault().optional(),
  delete: z
    .strictObject({ integrations: z.array(Slug).default([]), callers: z.array(z.string().max(100)).default([]) })
    .optional()
    .openapi({
      description:
        'Ids of integrations and callers to delete in the same transaction, first. Those that are not there are passed over; none may be declared as well, and the caller itself stays',
    }),
  dry_run: z.boolean().default(false).openapi({ description: 'Only report what would change' }),
}).openapi('ApplyRequest', {
  description: 'What is not named is left unchanged.',
  example: {
    integrations: [{ id: EXAMPLE.integration, provider: 'slack', client_id: '1234.5678', client_secret: '…' }],
    callers: [{ name: 'mailer', grants: [{ actions: ['token'], integrations: [EXAMPLE.integration], owners: ['*'] }] }],
    dry_run: true,
  },
});

const FieldChange = z.union([
  z.object({ path: z.string(), before: z.unknown(), after: z.unknown() }),
  z.object({ path: z.string(), secret: z.enum(['set', 'changed', 'removed']) }),
]);
export const Applied = z
  .object({
    applied: z.boolean(),
    changes: z.array(
      z.object({
        kind: z.enum(['integration', 'caller']),
        id: z.string(),
        name: z.string().nullable().openapi({ description: 'The name of a caller; null for an integration' }),
        action: z.enum(['create', 'update', 'delete']),
        fields: z
          .array(FieldChange)
          .openapi({ description: 'The changed fields. Of a secret, only whether it is set, changed or removed.' }),
      }),
    ),
    needs_restart: z.array(z.enum(['trusted_issuers', 'return_origins', 'console', 'theme'])).openapi({
      description:
        'Declared settings that differ from those the broker was started with. They take effect at its next start.',
    }),
  })
  .openapi('ApplyResult', {
    example: {
      applied: true,
      changes: [
        {
          kind: 'integration',
          id: EXAMPLE.integration,
          name: null,
          action: 'update',
          fields: [
            { path: 'scopes', before: ['chat:write'], after: ['chat:write', 'users:read'] },
            { path: 'client_secret', secret: 'changed' },
          ],
        },
      ],
      needs_restart: [],
    },
  });
