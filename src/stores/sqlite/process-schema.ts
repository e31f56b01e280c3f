// The SQLite tables of what processes have in common: the change feed, token buckets, key checks.
import { sql } from 'drizzle-orm';
import { index, integer, real, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { ChangeKind } from '../../ports/index.ts';
import { ciphertext } from './columns.ts';

export const keyChecks = sqliteTable('key_checks', {
  kid: text('kid').primaryKey(),
  ciphertext: ciphertext('sealed').notNull(),
});

/** The change feed: what other processes must drop from their caches, in the order of the commits; deleted by age. */
export const changes = sqliteTable(
  'changes',
  {
    seq: integer('seq').primaryKey({ autoIncrement: true }),
    at: integer('at').notNull().default(sql`(cast(unixepoch('subsec') * 1000 as integer))`),
    kind: text('kind').$type<ChangeKind>().notNull(),
    id: text('id'),
    generation: integer('generation'),
  },
  (t) => [index('changes_at').on(t.at)],
);

/**
 * Token buckets: how many requests a token endpoint (`integration`: its id) or an API (a name with slashes) may get now, from
 * all processes. `taken`: by the last request for tokens.
 */
export const rateBuckets = sqliteTable(
  'rate_buckets',
  {
    integration: text('integration').primaryKey(),
    allowance: real('allowance').notNull(),
    filledAt: integer('filled_at').notNull(),
    taken: integer('taken').notNull(),
    /** Nothing may be taken before: the provider has said so. Null: never blocked. */
    blockedUntil: integer('blocked_until'),
  },
  (t) => [index('rate_buckets_blocked').on(t.blockedUntil).where(sql`blocked_until is not null`)],
);

/** Deprecated: the name of `rate_buckets` in the first release, whose replicas may still run. A later release drops it. */
export const paces = sqliteTable('paces', {
  integration: text('integration').primaryKey(),
  allowance: real('allowance').notNull(),
  filledAt: integer('filled_at').notNull(),
  taken: integer('taken').notNull(),
});
