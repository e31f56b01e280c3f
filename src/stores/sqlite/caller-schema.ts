// The SQLite tables of callers and their keys.
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { Permission, RateLimit, Workload } from '../../domain/caller.ts';
import { json } from './columns.ts';

export const callers = sqliteTable('callers', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  permissions: json<Permission[]>('grants').notNull(),
  workloads: json<Workload[]>('workloads').notNull(),
  rateLimit: json<RateLimit>('rate_limit'),
  /** Null: the longest that there is. */
  maxSessionTtl: integer('max_session_ttl'),
  audiences: json<string[]>('audiences'),
  createdAt: integer('created_at').notNull(),
  mac: text('mac'),
});

export const callerKeys = sqliteTable(
  'caller_keys',
  {
    id: text('id').primaryKey(),
    callerId: text('caller_id')
      .notNull()
      .references(() => callers.id, { onDelete: 'cascade' }),
    digest: text('digest').notNull().unique('caller_keys_digest'),
    prefix: text('prefix').notNull(),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at'),
    lastUsedAt: integer('last_used_at'),
    mac: text('mac'),
  },
  (t) => [index('caller_keys_of_caller').on(t.callerId)],
);
