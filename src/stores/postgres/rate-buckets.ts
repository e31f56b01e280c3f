// The token buckets of token endpoints that all replicas share, in PostgreSQL: one statement, by the clock of the database.
import { sql } from 'drizzle-orm';
import { msUntilNext } from '../../domain/token-bucket.ts';
import type { RateBucketStore } from '../../ports/index.ts';
import type { PostgresAccess } from './client.ts';
import { rateBuckets } from './schema.ts';

export const createRateBucketStore = ({ autocommit }: PostgresAccess): RateBucketStore => ({
  takeFromBucket: (integration, wanted, limits) =>
    autocommit(async (orm) => {
      const { perSecond, burst, reserve } = limits;
      // Does not wait for the disk: a crash of the server loses the last moments of a bucket at most.
      const { rows } = await orm.execute<{ taken: number; allowance: number }>(sql`
        with lazily as materialized (select set_config('synchronous_commit', 'off', true))
        insert into ${rateBuckets} as p (integration, allowance, filled_at, taken)
        select ${integration}, b.burst - b.taken, (extract(epoch from clock_timestamp()) * 1000)::bigint, b.taken
        from (select ${burst}::float8 as burst, least(${wanted}::int, ${burst}::int - ${reserve}::int) as taken) b, lazily
        on conflict (integration) do update set (allowance, filled_at, taken) = (
          select filled.allowance - t.taken, filled.at, t.taken
          from (
            select now.at, least(${burst}::float8,
              p.allowance + greatest(0, now.at - p.filled_at) * ${perSecond}::float8 / 1000) as allowance
            from (select (extract(epoch from clock_timestamp()) * 1000)::bigint as at) now
          ) filled,
          lateral (select greatest(0, least(${wanted}::int, floor(filled.allowance - ${reserve}::int)::int)) as taken) t
        )
        returning taken, allowance`);
      const [{ taken, allowance }] = rows as [{ taken: number; allowance: number }];
      return { taken, inMs: msUntilNext(allowance, limits) };
    }),
});
