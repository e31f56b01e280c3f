// A barrier between replicas: waits until the others have applied what this one has committed. It is a row among the changes.
// Who reads it has seen all that was committed before its transaction got its number, applies that, and writes into its row
// of `replicas` how far it is.
import { setTimeout as pause } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { PROCESS_DEAD_AFTER_MS, REPLICA_IN_DOUBT_MS, REPLICAS_POLL_MS } from '../../domain/time-limits.ts';
import type { Store } from '../../ports/index.ts';
import type { PostgresChangeFeed } from './change-feed.ts';
import { BARRIER } from './change-rows.ts';
import type { PostgresAccess } from './client.ts';
import { type Liveness, seenWithin } from './liveness.ts';

interface Barrier {
  /** Its transaction. */
  xid: string;
  /** Its number, for which replicas of earlier releases are waited. */
  seq: string;
}

export function createBarrier(
  { autocommit }: Pick<PostgresAccess, 'autocommit'>,
  { holder, clockLimit }: Pick<Liveness, 'holder' | 'clockLimit'>,
  { notify }: Pick<PostgresChangeFeed, 'notify'>,
): Pick<Store, 'untilApplied'> {
  const isSeen = (ms: number) => sql.raw(seenWithin(ms, `'${clockLimit()}'`));
  const isAlive = () => isSeen(PROCESS_DEAD_AFTER_MS);
  const mayBeAlive = () => isSeen(REPLICA_IN_DOUBT_MS);
  /** The next barrier that is not made yet: its transaction begins after the commits of all who wait for it. */
  let next: Promise<Barrier | undefined> | undefined;
  let last: Promise<unknown> = Promise.resolve();

  /** Undefined: there is no one to wait for. */
  function barrier(): Promise<Barrier | undefined> {
    if (next) return next;
    const made = last.then(() => {
      next = undefined;
      return make();
    });
    next = made;
    last = made.catch(() => undefined);
    return made;
  }

  async function make(): Promise<Barrier | undefined> {
    const { rows } = await autocommit((orm) =>
      orm.execute<Barrier & Record<string, unknown>>(sql`
        insert into changes (kind, id) select ${BARRIER}, ${holder} where exists (
          select 1 from replicas where holder <> ${holder} and (applied_seq is null or applied_seq >= 0) and ${mayBeAlive()})
        returning xid, seq`),
    );
    if (rows[0]) notify('now');
    return rows[0];
  }

  /** `behind`: those that have not applied it; `awaited`: of these, those that are alive and will say so. */
  const count = ({ xid, seq }: Barrier): Promise<{ awaited: number; behind: number }> =>
    autocommit(async (orm) => {
      const { rows } = await orm.execute<{ awaited: string; behind: string }>(sql`
        select count(*) filter (where applied_seq is not null and ${isAlive()}) as awaited, count(*) as behind
        from replicas where holder <> ${holder} and ${mayBeAlive()}
          and (applied_seq is null or (applied_seq >= 0
            and case when applied_xid is null then applied_seq < ${seq} else applied_xid <= ${xid}::xid8 end))`);
      return { awaited: Number(rows[0]!.awaited), behind: Number(rows[0]!.behind) };
    });

  return {
    async untilApplied(ms) {
      const made = await barrier();
      if (!made) return 0;
      // From here on: nothing can be applied before it is committed.
      const until = performance.now() + ms;
      for (let waitMs = REPLICAS_POLL_MS; ; waitMs = Math.min(2 * waitMs, 4 * REPLICAS_POLL_MS)) {
        const { awaited, behind } = await count(made);
        if (awaited === 0 || performance.now() >= until) return behind;
        await pause(waitMs);
      }
    },
  };
}
