// The tables of the browser console, in PostgreSQL.
import { index, pgTable } from 'drizzle-orm/pg-core';
import type { ConsoleRole } from '../../domain/console.ts';
import { text, time } from './columns.ts';

export const consoleSessions = pgTable(
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
    createdAt: time('created_at').notNull(),
    openedAt: time('opened_at'),
    lastSeenAt: time('last_seen_at').notNull(),
    expiresAt: time('expires_at').notNull(),
    mac: text('mac'),
  },
  (t) => [index('console_sessions_expiry').on(t.expiresAt), index('console_sessions_of').on(t.issuer, t.subject)],
);
