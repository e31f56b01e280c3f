// The token buckets that all replicas share, in PostgreSQL: one statement each, by the clock of the database.
import { gt, sql } from 'drizzle-orm';
import { msUntilNext } from '../../domain/token-bucket.ts';
import type { RateBucketStore } from '../../ports/index.ts';
import { deleteSome } from './chosen-rows.ts';
import type { PostgresAccess } from './client.ts';
import { countLive, type Liveness } from './liveness.ts';
import { rateBuckets } from './schema.ts';

const CLOCK = '(extract(epoch from clock_timestamp()) * 1000)::bigint';
const NOW = sql.raw(CLOCK);
/** Fixed while the statement runs, so that an index can be searched by it. */
const STATEMENT_TIME = sql.raw('(extract(epoch from statement_timestamp()) * 1000)::bigint');
/** Does not wait for the disk: a crash of the server loses the last moments of a bucket at most. */
const ASYNCHRONOUS = "lazily as materialized (select set_config('synchronous_commit', 'off', true))";
const LAZILY = sql.raw(ASYNCHRONOUS);

/** $1 bucket, $2 wanted, $3 burst, $4 reserve, $5 per second. Before every refresh: its plan takes longer than to run it. */
const TAKE = `
  with ${ASYNCHRONOUS}
  insert into rate_buckets as p (integration, allowance, filled_at, taken)
  select $1, b.burst - b.taken, ${CLOCK}, b.taken
  from (select $3::float8 as burst, least($2::int, $3::int - $4::int) as taken) b, lazily
  on conflict (integration) do update set (allowance, filled_at, taken) = (
    select filled.allowance - t.taken, filled.at, t.taken
    from (
      select now.at, least($3::float8, p.allowance + greatest(0, now.at - p.filled_at) * $5::float8 / 1000) as allowance
      from (select ${CLOCK} as at) now
    ) filled,
    lateral (select case when p.blocked_until > filled.at then 0 else
      greatest(0, least($2::int, floor(filled.allowance - $4::int)::int)) end as taken) t
  )
  returning taken, allowance, greatest(0, coalesce(p.blocked_until, 0) - ${CLOCK})::float8 as blocked`;

interface Taken {
  taken: number;
  allowance: number;
  blocked: number;
}

export const createRateBucketStore = (
  { autocommit, names }: Pick<PostgresAccess, 'autocommit' | 'names'>,
  { clockLimit }: Pick<Liveness, 'clockLimit'>,
): RateBucketStore => ({
  takeFromBucket: (bucket, wanted, limits) =>
    autocommit(async (orm) => {
      const { perSecond, burst, reserve } = limits;
      const values = [bucket, wanted, burst, reserve, perSecond];
      const { rows } = await orm.$client.query<Taken>({ name: names.of('take_from_bucket'), text: TAKE, values });
      const [{ taken, allowance, blocked }] = rows as [Taken];
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
      const { rows } = await orm.execute<{ value: string }>(sql.raw(countLive(`'${clockLimit()}'`)));
      return Math.max(1, Number(rows[0]?.value));
    }),
});
