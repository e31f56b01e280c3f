// The SQLite tables of captured calls.
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { ciphertext } from './columns.ts';

/** Connections whose calls through the proxy are captured, or were a day ago at most. */
export const captures = sqliteTable('captures', {
  connectionId: text('connection_id').primaryKey(),
  startedAt: integer('started_at').notNull(),
  until: integer('until').notNull(),
});

/** Redacted, and deleted after a day. */
export const capturedCalls = sqliteTable(
  'captured_calls',
  {
    id: text('id').primaryKey(),
    connectionId: text('connection_id').notNull(),
    at: integer('at').notNull(),
    content: ciphertext('content').notNull(),
  },
  (t) => [index('captured_calls_of').on(t.connectionId, t.id), index('captured_calls_age').on(t.at)],
);
