// The PostgreSQL tables of captured calls.
import { index, pgTable } from 'drizzle-orm/pg-core';
import { ciphertext, text, time } from './columns.ts';

/** Connections whose calls through the proxy are captured, or were a day ago at most. */
export const captures = pgTable('captures', {
  connectionId: text('connection_id').primaryKey(),
  startedAt: time('started_at').notNull(),
  until: time('until').notNull(),
});

/** Redacted, and deleted after a day. */
export const capturedCalls = pgTable(
  'captured_calls',
  {
    id: text('id').primaryKey(),
    connectionId: text('connection_id').notNull(),
    at: time('at').notNull(),
    content: ciphertext('content').notNull(),
  },
  (t) => [index('captured_calls_of').on(t.connectionId, t.id), index('captured_calls_age').on(t.at)],
);
