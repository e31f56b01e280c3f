// The PostgreSQL tables of integrations.
import { boolean, integer, pgTable } from 'drizzle-orm/pg-core';
import type { Overrides, UpstreamRate } from '../../domain/integration.ts';
import type { Theme } from '../../domain/theme.ts';
import { ciphertext, json, text, time } from './columns.ts';

export const integrations = pgTable('integrations', {
  id: text('id').primaryKey(),
  provider: text('provider').notNull(),
  clientId: text('client_id').notNull(),
  clientSecret: ciphertext('client_secret'),
  privateKey: ciphertext('private_key'),
  keyId: text('key_id'),
  certificate: text('certificate'),
  scopes: json<string[]>('scopes').notNull(),
  scopesNamed: boolean('scopes_named'),
  params: json<Record<string, string>>('params').notNull(),
  overrides: json<Overrides>('overrides').notNull(),
  returnOrigins: json<string[]>('return_origins').notNull(),
  /** Null: false, as before this column. */
  requireFinish: boolean('require_finish'),
  /** Null: none of its own. */
  rate: json<UpstreamRate>('rate'),
  theme: json<Theme>('theme'),
  version: integer('version').notNull(),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
  /** Null: stored before rows had one, as in the other tables. */
  mac: text('mac'),
});
