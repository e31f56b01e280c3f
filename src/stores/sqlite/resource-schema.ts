// The table of clients that are registered at authorization servers of others, in SQLite.
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { ciphertext } from './columns.ts';

export const clientRegistrations = sqliteTable(
  'client_registrations',
  {
    id: text('id').primaryKey(),
    integration: text('integration').notNull(),
    issuer: text('issuer').notNull(),
    client: ciphertext('client'),
    version: integer('version').notNull(),
    claimedBy: text('claimed_by'),
    claimedUntil: integer('claimed_until'),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (t) => [index('client_registrations_of_integration').on(t.integration)],
);
