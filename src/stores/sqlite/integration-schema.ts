// The SQLite tables of integrations.
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { Overrides, UpstreamRate } from '../../domain/integration.ts';
import type { Theme } from '../../domain/theme.ts';
import { ciphertext, json } from './columns.ts';

export const integrations = sqliteTable('integrations', {
  id: text('id').primaryKey(),
  provider: text('provider').notNull(),
  clientId: text('client_id').notNull(),
  clientSecret: ciphertext('client_secret'),
  privateKey: ciphertext('private_key'),
  keyId: text('key_id'),
  certificate: text('certificate'),
  scopes: json<string[]>('scopes').notNull(),
  scopesNamed: integer('scopes_named', { mode: 'boolean' }),
  params: json<Record<string, string>>('params').notNull(),
  overrides: json<Overrides>('overrides').notNull(),
  returnOrigins: json<string[]>('return_origins').notNull(),
  /** Null: false, as before this column. */
  requireFinish: integer('require_finish', { mode: 'boolean' }),
  /** Null: none of its own. */
  rate: json<UpstreamRate>('rate'),
  theme: json<Theme>('theme'),
  version: integer('version').notNull(),
  createdAt: integer('created_at').notNull(),
  updatedAt: integer('updated_at').notNull(),
  /** Null: stored before rows had one, as in the other tables. */
  mac: text('mac'),
});
