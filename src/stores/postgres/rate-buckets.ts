// The token buckets that all replicas share, in PostgreSQL: one statement each, by the clock of the database.
import { gt, sql } from 'drizzle-orm';
import { msUntilNext } from '../../domain/token-bucket.ts';
import type { RateBucketStore } from '../../ports/index.ts';
import { deleteSome } from './chosen-rows.ts';
import type { PostgresAccess } from './client.ts';
import { COUNT_LIVE } from './liveness.ts';
import { rateBuckets } from './schema.ts';

const NOW = sql.raw('(extract(epoch from clock_timestamp()) * 1000)::bigint');
/** Fixed while the statement runs, so that an index can be searched by it. */
const STATEMENT_TIME = sql.raw('(extract(epoch from statement_timestamp()) * 1000)::bigint');
/** Does not wait for the disk: a crash of the server loses the last moments of a bucket at most. */
const LAZILY = sql.raw("lazily as materialized (select set_config('synchronous_commit', 'off', true))");

export const createRateBucketStore = ({ autocommit }: PostgresAccess): RateBucketStore => ({
  takeFromBucket: (bucket, wanted, limits) =>
    autocommit(async (orm) => {
      const { perSecond, burst, reserve } = limits;
      const { rows } = await orm.execute<{ taken: number; allowance: number; blocked: number }>(sql`
        with ${LAZILY}
        insert into ${rateBuckets} as p (integration, allowance, filled_at, taken)
        select ${bucket}, b.burst - b.taken, ${NOW}, b.taken
        from (select ${burst}::float8 as burst, least(${wanted}::int, ${burst}::int - ${reserve}::int) as taken) b, lazily
        on conflict (integration) do update set (allowance, filled_at, taken) = (
          select filled.allowance - t.taken, filled.at, t.taken
          from (
            select now.at, least(${burst}::float8,
              p.allowance + greatest(0, now.at - p.filled_at) * ${perSecond}::float8 / 1000) as allowance
            from (select ${NOW} as at) now
          ) filled,
          lateral (select case when p.blocked_until > filled.at then 0 else
            greatest(0, least(${wanted}::int, floor(filled.allowance - ${reserve}::int)::int)) end as taken) t
        )
        returning taken, allowance, greatest(0, coalesce(p.blocked_until, 0) - ${NOW})::float8 as blocked`);
      const [{ taken, allowance, blocked }] = rows as [{ taken: number; allowance: number; blocked: number }];
      return { taken, inMs: Math.max(blocked, msUntilNext(allowance, limits)) };
    }),

  blockBucket: (bucket, forMs) =>
    autocommit(async (orm) => {
      await orm.execute(sql`
        with ${LAZILY}
        insert into ${rateBuckets} as p (integration, allowance, filled_at, taken, blocked_until)
        select ${bucket}, 0, ${NOW}, 0, ${NOW} + ${Math.ceil(forMs)}::bigint from lazily
        on conflict (integration) do update
        set blocked_until = greatest(coalesce(p.blocked_until, 0), excluded.blocked_until)`);
    }),

  blockedBuckets: (limit) =>
    autocommit(async (orm) => {
      const { blockedUntil } = rateBuckets;
      const rows = await orm
        .select({
          bucket: rateBuckets.integration,
          forMs: sql<number>`(${blockedUntil} - ${STATEMENT_TIME})::float8`,
        })
        .from(rateBuckets)
        .where(gt(blockedUntil, STATEMENT_TIME))
        .orderBy(sql`${blockedUntil} desc`)
        .limit(limit);
      return rows;
    }),

  deleteIdleBuckets: (idleMs, limit) =>
    autocommit(async (orm) => {
      const isIdle = sql`filled_at < ${STATEMENT_TIME} - ${Math.ceil(idleMs)}::bigint
        and coalesce(blocked_until, 0) < ${STATEMENT_TIME}`;
      return deleteSome(orm, rateBuckets, rateBuckets.integration, isIdle, limit);
    }),

  countProcesses: () =>
    autocommit(async (orm) => {
      const { rows } = await orm.execute<{ value: string }>(sql.raw(COUNT_LIVE));
      return Math.max(1, Number(rows[0]?.value));
    }),
});
