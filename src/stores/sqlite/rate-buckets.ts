// The token buckets of token endpoints that all processes share, in SQLite: one statement, by the clock of the machine.
import { msUntilNext } from '../../domain/token-bucket.ts';
import type { RateBucketStore } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';

const NOW = "cast(unixepoch('subsec') * 1000 as integer)";
const TAKE = `
  insert into rate_buckets (integration, allowance, filled_at, taken)
  values (@integration, @burst - min(@wanted, @burst - @reserve), ${NOW}, min(@wanted, @burst - @reserve))
  on conflict (integration) do update set (allowance, filled_at, taken) = (
    select filled - taken, at, taken
    from (
      select at, filled, max(0, min(@wanted, cast(floor(filled - @reserve) as integer))) as taken
      from (
        select ${NOW} as at, min(@burst, allowance + max(0, ${NOW} - filled_at) * @perSecond / 1000.0) as filled
      )
    )
  )
  returning taken, allowance`;

export function createRateBucketStore({ orm, write }: SqliteAccess): RateBucketStore {
  const take = orm.$client.prepare(TAKE);
  return {
    takeFromBucket: (integration, wanted, limits) =>
      write(() => {
        const row = take.get({ integration, wanted, ...limits }) as Record<'taken' | 'allowance', number>;
        return { taken: row.taken, inMs: msUntilNext(row.allowance, limits) };
      }),
  };
}
