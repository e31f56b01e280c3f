// The tables of the browser console, in SQLite.
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { ConsoleRole } from '../../domain/console.ts';

export const consoleSessions = sqliteTable(
  'console_sessions',
  {
    id: text('id').primaryKey(),
    digest: text('digest').notNull().unique('console_sessions_digest'),
    issuer: text('issuer').notNull(),
    subject: text('subject').notNull(),
    name: text('name'),
    role: text('role').$type<ConsoleRole>().notNull(),
    providerSession: text('provider_session'),
    address: text('address'),
    createdAt: integer('created_at').notNull(),
    openedAt: integer('opened_at'),
    lastSeenAt: integer('last_seen_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
    mac: text('mac'),
  },
  (t) => [index('console_sessions_expiry').on(t.expiresAt), index('console_sessions_of').on(t.issuer, t.subject)],
);
