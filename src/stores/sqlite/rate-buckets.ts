// The token buckets that all processes share, in SQLite: one statement each, by the clock of the machine.
import { msUntilNext } from '../../domain/token-bucket.ts';
import type { RateBucketStore } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import type { Liveness } from './liveness.ts';

const NOW = "cast(unixepoch('subsec') * 1000 as integer)";
const TAKE = `
  insert into rate_buckets (integration, allowance, filled_at, taken)
  values (@bucket, @burst - min(@wanted, @burst - @reserve), ${NOW}, min(@wanted, @burst - @reserve))
  on conflict (integration) do update set (allowance, filled_at, taken) = (
    select filled - taken, at, taken
    from (
      select at, filled, case when coalesce(blocked_until, 0) > at then 0
        else max(0, min(@wanted, cast(floor(filled - @reserve) as integer))) end as taken
      from (
        select ${NOW} as at, min(@burst, allowance + max(0, ${NOW} - filled_at) * @perSecond / 1000.0) as filled
      )
    )
  )
  returning taken, allowance, max(0, coalesce(blocked_until, 0) - ${NOW}) as blocked`;
const BLOCK = `
  insert into rate_buckets (integration, allowance, filled_at, taken, blocked_until)
  values (@bucket, 0, ${NOW}, 0, ${NOW} + @forMs)
  on conflict (integration) do update set blocked_until = max(coalesce(blocked_until, 0), excluded.blocked_until)`;
const BLOCKED = `
  select integration as bucket, blocked_until - ${NOW} as forMs from rate_buckets
  where blocked_until > ${NOW} order by blocked_until desc limit ?`;
const DELETE_IDLE = `
  delete from rate_buckets where integration in (
    select integration from rate_buckets
    where filled_at < ${NOW} - @idleMs and coalesce(blocked_until, 0) < ${NOW} limit @limit)`;

export function createRateBucketStore(
  { orm, read, write }: SqliteAccess,
  { subscribers }: Pick<Liveness, 'subscribers'>,
): RateBucketStore {
  const [take, block, blocked, deleteIdle] = [TAKE, BLOCK, BLOCKED, DELETE_IDLE].map((text) =>
    orm.$client.prepare(text),
  ) as [Statement, Statement, Statement, Statement];
  return {
    takeFromBucket: (bucket, wanted, limits) =>
      write(() => {
        const row = take.get({ bucket, wanted, ...limits }) as Record<'taken' | 'allowance' | 'blocked', number>;
        return { taken: row.taken, inMs: Math.max(row.blocked, msUntilNext(row.allowance, limits)) };
      }),
    blockBucket: (bucket, forMs) => write(() => void block.run({ bucket, forMs: Math.ceil(forMs) })),
    blockedBuckets: (limit) => read(() => blocked.all(limit) as { bucket: string; forMs: number }[]),
    deleteIdleBuckets: (idleMs, limit) =>
      write(() => deleteIdle.run({ idleMs: Math.ceil(idleMs), limit }).changes >= limit),
    countProcesses: () => read(() => 1 + subscribers().length),
  };
}

type Statement = ReturnType<SqliteAccess['orm']['$client']['prepare']>;
