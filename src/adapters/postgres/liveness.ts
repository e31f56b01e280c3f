// Who else is alive on this database: every process has a row, and moves its time forward by the database's clock. No clock
// of any process is asked, and no connection has to stay the same, so that it works through a pooler as well.
import { randomUUID } from 'node:crypto';
import { type SQL, type SQLWrapper, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { replicas } from './schema.ts';

/** A process that was not heard of for so long is dead: within the time in which many providers repeat a lost answer. */
const DEAD_AFTER_MS = 6_000;
const BEAT_EVERY_MS = 1_500;
/** Rows of the dead are of no use to anybody after this. */
const FORGET_AFTER = '1 hour';

export interface Liveness {
  /** The name of this process in leases. */
  readonly holder: string;
  /**
   * Before something is taken in this name: that others can see that it lives. A process that has stalled, or was cut off,
   * is dead to them until then. Rejects when it cannot be told.
   */
  assure(): Promise<void>;
  /** Dead at once, at the very end. */
  leave(): Promise<void>;
}

/** Whether the holder in this column has been heard of lately. */
export const isAlive = (holder: SQLWrapper): SQL<boolean> => sql<boolean>`exists (
  select 1 from ${replicas} where ${replicas.holder} = ${holder}
    and ${replicas.seenAt} > clock_timestamp() - ${sql.raw(`interval '${DEAD_AFTER_MS} milliseconds'`)})`;

/** Asks, with `rowsOf`, how many processes that serve have the database open. */
export const INHABITANTS = `select count(*) as value from replicas
  where seen_at > clock_timestamp() - interval '${DEAD_AFTER_MS} milliseconds'`;

/** `pool`: one that is never busy with anything that takes long. Rejects when the first sign of life cannot be given. */
export async function announce(pool: Pool): Promise<Liveness> {
  const holder = randomUUID();
  /** By the monotonic clock, when the last sign that reached the database was sent. */
  let seenSince = Number.NEGATIVE_INFINITY;
  let beating: Promise<void> | undefined;

  async function send(): Promise<void> {
    const at = performance.now();
    await pool.query(
      `insert into replicas (holder, seen_at) values ($1, clock_timestamp())
       on conflict (holder) do update set seen_at = excluded.seen_at`,
      [holder],
    );
    seenSince = at;
  }
  const beat = (): Promise<void> => {
    beating ??= send().finally(() => {
      beating = undefined;
    });
    return beating;
  };

  await pool.query(`delete from replicas where seen_at < clock_timestamp() - interval '${FORGET_AFTER}'`);
  await beat();
  const ticking = setInterval(() => void beat().catch(() => undefined), BEAT_EVERY_MS);
  ticking.unref();
  return {
    holder,
    assure: async () => {
      if (performance.now() - seenSince > DEAD_AFTER_MS / 2) await beat();
    },
    async leave() {
      clearInterval(ticking);
      await beating?.catch(() => undefined);
      // Whoever cannot say so is believed dead a little later.
      await pool.query('delete from replicas where holder = $1', [holder]).catch(() => undefined);
    },
  };
}
