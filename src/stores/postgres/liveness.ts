// Who else is alive on this database, and whether it is there: every process has a row, and moves its time forward by the
// database's clock. No clock of any process is asked, and no connection has to stay the same, so that it works through a
// pooler as well.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type SQL, type SQLWrapper, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import {
  HEARTBEAT_BROKEN_MS,
  HEARTBEAT_GRACE_MS,
  HEARTBEAT_INTERVAL_MS,
  HEARTBEAT_RETRY_MS,
  HEARTBEAT_TIMEOUT_MS,
  PROCESS_DEAD_AFTER_MS,
  PROCESS_ROW_RETENTION_MS,
} from '../../domain/time-limits.ts';
import { StoreError } from '../../ports/index.ts';
import { storeError } from './errors.ts';
import { replicas } from './schema.ts';

export interface Liveness {
  /** The name of this process in leases. */
  readonly holder: string;
  /**
   * Before something is taken in this name: that others can see that it lives. A process that has stalled, or was cut off,
   * is dead to them until then. Rejects with `StoreError` when it cannot be told.
   */
  assure(): Promise<void>;
  /** The last sign of life was not answered: nothing else will be. */
  isAway(): boolean;
  /** Told when that begins. */
  onAway(lost: () => void): void;
  /**
   * False: the database was away until a moment ago, or this process was, and those that live may not have said so yet.
   * Who has been silent is not to be taken for dead; who has left is.
   */
  knowsTheDead(): boolean;
  /** Dead at once, at the very end. */
  leave(): Promise<void>;
}

/** Whether the holder in this column has been heard of, and has not left. */
export const isKnown = (holder: SQLWrapper): SQL<boolean> =>
  sql<boolean>`exists (select 1 from ${replicas} where ${replicas.holder} = ${holder})`;

/** Whether it has been heard of lately. */
export const isAlive = (holder: SQLWrapper): SQL<boolean> => sql<boolean>`exists (
  select 1 from ${replicas} where ${replicas.holder} = ${holder}
    and ${replicas.seenAt} > clock_timestamp() - ${sql.raw(`interval '${PROCESS_DEAD_AFTER_MS} milliseconds'`)})`;

/** Asks, with `rowsOf`, how many processes that serve have the database open. */
export const INHABITANTS = `select count(*) as value from replicas
  where seen_at > clock_timestamp() - interval '${PROCESS_DEAD_AFTER_MS} milliseconds'`;

/** `pool`: one that is never busy with anything that takes long. Rejects when the first sign of life cannot be given. */
export async function announce(pool: Pool): Promise<Liveness> {
  const holder = randomUUID();
  /** By the monotonic clock: when the last sign that reached the database was sent, and the first of an unbroken row. */
  let seenSince = Number.NEGATIVE_INFINITY;
  let unbrokenSince = Number.NEGATIVE_INFINITY;
  let isAway = false;
  const whenAway: (() => void)[] = [];
  let beating: Promise<void> | undefined;

  async function send(): Promise<void> {
    const at = performance.now();
    const said = pool.query(
      `insert into replicas (holder, seen_at) values ($1, clock_timestamp())
       on conflict (holder) do update set seen_at = excluded.seen_at`,
      [holder],
    );
    said.catch(() => undefined);
    const enough = new AbortController();
    const late = pause(HEARTBEAT_TIMEOUT_MS, undefined, { signal: enough.signal }).then(() => {
      throw new StoreError('PostgreSQL does not answer');
    });
    late.catch(() => undefined);
    try {
      await Promise.race([said, late]);
    } finally {
      enough.abort();
    }
    if (isAway || at - seenSince > PROCESS_DEAD_AFTER_MS / 2) unbrokenSince = performance.now();
    seenSince = at;
    isAway = false;
  }

  async function sendAgain(): Promise<void> {
    const begun = performance.now();
    try {
      return await send();
    } catch (error) {
      if (performance.now() - begun > HEARTBEAT_BROKEN_MS) throw error;
      return await send();
    }
  }

  const beat = (): Promise<void> => {
    beating ??= sendAgain()
      .catch((error: unknown) => {
        if (!isAway) {
          isAway = true;
          for (const lost of whenAway) lost();
        }
        throw storeError(error);
      })
      .finally(() => {
        beating = undefined;
      });
    return beating;
  };

  let ticking: NodeJS.Timeout | undefined;
  const tick = () => {
    const waitMs = isAway ? HEARTBEAT_RETRY_MS : HEARTBEAT_INTERVAL_MS;
    ticking = setTimeout(() => {
      beat()
        .catch(() => undefined)
        .finally(() => ticking && tick());
    }, waitMs).unref();
  };

  await pool.query(
    `delete from replicas where seen_at < clock_timestamp() - interval '${PROCESS_ROW_RETENTION_MS} milliseconds'`,
  );
  await beat();
  tick();
  return {
    holder,
    assure: async () => {
      if (isAway || performance.now() - seenSince > PROCESS_DEAD_AFTER_MS / 2) await beat();
    },
    isAway: () => isAway,
    onAway: (lost) => whenAway.push(lost),
    knowsTheDead: () => !isAway && performance.now() - unbrokenSince > HEARTBEAT_GRACE_MS,
    async leave() {
      clearTimeout(ticking);
      ticking = undefined;
      await beating?.catch(() => undefined);
      // Whoever cannot say so is believed dead a little later.
      await pool.query('delete from replicas where holder = $1', [holder]).catch(() => undefined);
    },
  };
}
