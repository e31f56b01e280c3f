// The PostgreSQL tables of what processes have in common: the change feed, token buckets, key checks.
import { sql } from 'drizzle-orm';
import { bigint, boolean, doublePrecision, index, integer, pgTable, timestamp } from 'drizzle-orm/pg-core';
import type { ChangeKind } from '../../ports/index.ts';
import { ciphertext, text, time, xid8 } from './columns.ts';

export const keyChecks = pgTable('key_checks', {
  kid: text('kid').primaryKey(),
  ciphertext: ciphertext('sealed').notNull(),
});

/**
 * The change feed: what other replicas must drop from their caches, deleted by age. Routine refreshes are in `leases`. Read by the transactions that have ended
 * (`change-rows.ts`): the numbers may have gaps, and say nothing of the order.
 */
export const changes = pgTable(
  'changes',
  {
    seq: bigint('seq', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    at: time('at').notNull().default(sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`),
    kind: text('kind').$type<ChangeKind>().notNull(),
    id: text('id'),
    generation: integer('generation'),
    xid: xid8('xid').notNull().default(sql`pg_current_xact_id()`),
  },
  (t) => [index('changes_by_xid').on(t.xid)],
);

/**
 * Token buckets: how many requests a token endpoint (`integration`: its id) or an API (a name with slashes) may get now, from
 * all processes. `taken`: by the last request for tokens.
 */
export const rateBuckets = pgTable(
  'rate_buckets',
  {
    integration: text('integration').primaryKey(),
    allowance: doublePrecision('allowance').notNull(),
    filledAt: time('filled_at').notNull(),
    taken: integer('taken').notNull(),
    /** Nothing may be taken before: the provider has said so. Null: never blocked. */
    blockedUntil: time('blocked_until'),
  },
  (t) => [index('rate_buckets_blocked').on(t.blockedUntil).where(sql`blocked_until is not null`)],
);

/** Deprecated: the name of `rate_buckets` in the first release, whose replicas may still run. A later release drops it. */
export const paces = pgTable('paces', {
  integration: text('integration').primaryKey(),
  allowance: doublePrecision('allowance').notNull(),
  filledAt: time('filled_at').notNull(),
  taken: integer('taken').notNull(),
});

/** The holders of leases and their last heartbeats, by the clock of the database. */
export const replicas = pgTable(
  'replicas',
  {
    holder: text('holder').primaryKey(),
    seenAt: timestamp('seen_at', { withTimezone: true, mode: 'string' }).notNull(),
    /** The highest number of a change up to which it has applied all; -1: it does not subscribe; null: an earlier version. */
    appliedSeq: bigint('applied_seq', { mode: 'number' }),
    /** What was committed before a transaction with a lower number began is applied; null: an earlier version, or as above. */
    appliedXid: xid8('applied_xid'),
    /** Finds routine refreshes in `leases`. False: an earlier version, for which they are among the changes as well. */
    readsRefreshes: boolean('reads_refreshes').notNull().default(false),
  },
  // What a commit looks at must be found by an index (`0032_refreshed_leases.sql`); a heartbeat changes no column of it.
  (t) => [index('replicas_earlier').on(t.holder).where(sql`not reads_refreshes`)],
);
