// The declarative file (VALETKEY_CONFIG).
import { z } from '@hono/zod-openapi';
import { CallerPut } from './callers.ts';
import { Origin, Slug } from './common.ts';
import { IntegrationPut } from './integrations.ts';
import { TrustedIssuer } from './trusted-issuers.ts';

/** Which of these have stood there before: the second entry would replace the first. */
const repeated = (names: readonly string[]): number[] =>
  names.flatMap((name, i) => (names.indexOf(name) < i ? [i] : []));

export const DeclaredFile = z.strictObject({
  $schema: z.string().optional(),
  integrations: z
    .array(IntegrationPut.extend({ id: Slug }))
    .superRefine((all, context) => {
      for (const i of repeated(all.map(({ id }) => id)))
        context.addIssue({ code: 'custom', path: [i, 'id'], message: 'is the id of another integration too' });
    })
    .default([]),
  callers: z
    .array(
      CallerPut.extend({
        id: z
          .string()
          .regex(/^clr_[a-z0-9_]{1,60}$/)
          .optional(),
        key: z.string().min(32, 'at least 32 characters').optional(),
        keys: z.array(z.string().min(32, 'at least 32 characters')).optional(),
      }),
    )
    .superRefine((all, context) => {
      for (const i of repeated(all.map(({ id, name }) => id ?? `named ${name}`)))
        context.addIssue({ code: 'custom', path: [i], message: 'is another caller too: give it its own id or name' });
      const keys = all.flatMap(({ key, keys }, i) => [key, ...(keys ?? [])].flatMap((k) => (k ? [{ k, i }] : [])));
      for (const at of repeated(keys.map(({ k }) => k)))
        context.addIssue({ code: 'custom', path: [keys[at]!.i], message: 'has a key that stands in the file twice' });
    })
    .default([]),
  trusted_issuers: z
    .array(TrustedIssuer)
    .superRefine((all, context) => {
      for (const i of repeated(all.map(({ issuer }) => issuer))) {
        // Audiences of several entries add up; of the keys it could not be told which are meant.
        if (all.some(({ issuer, jwks, jwks_uri }) => issuer === all[i]!.issuer && (jwks ?? jwks_uri) !== undefined))
          context.addIssue({
            code: 'custom',
            path: [i, 'issuer'],
            message: 'stands in another entry, with other keys',
          });
      }
    })
    .default([]),
  return_origins: z.array(Origin).default([]),
});
export type DeclaredFile = z.infer<typeof DeclaredFile>;
