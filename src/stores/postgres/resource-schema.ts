// The table of clients that are registered at authorization servers of others, in PostgreSQL.
import { index, integer, pgTable } from 'drizzle-orm/pg-core';
import { ciphertext, text, time } from './columns.ts';

export const clientRegistrations = pgTable(
  'client_registrations',
  {
    id: text('id').primaryKey(),
    integration: text('integration').notNull(),
    issuer: text('issuer').notNull(),
    client: ciphertext('client'),
    version: integer('version').notNull(),
    claimedBy: text('claimed_by'),
    claimedUntil: time('claimed_until'),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  (t) => [index('client_registrations_of_integration').on(t.integration)],
);
