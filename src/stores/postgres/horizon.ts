// How far an order that the database gives is complete, in PostgreSQL: transactions commit in another order than their places.
import { setTimeout as pause } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { HORIZON_POLL_MS } from '../../domain/time-limits.ts';
import type { Orm, PostgresAccess } from './client.ts';

/** Polls of one call. Transactions last some milliseconds; for a longer one, the next call looks again. */
const HORIZON_POLLS = 5;

async function oneRow(orm: Orm, query: ReturnType<typeof sql>): Promise<Record<string, unknown>> {
  return (await orm.execute(query)).rows[0] ?? {};
}

/**
 * All rows with places up to the number that it returns are committed. The places are those of a sequence, in the default of a
 * column that gives the transaction its number first. A transaction has places of its own alone (`BEGIN` in `client.ts`): none
 * that its session took from the sequence earlier.
 */
export function createHorizon(
  { autocommit }: Pick<PostgresAccess, 'autocommit'>,
  sequence: 'audit_position' | 'event_position',
): () => Promise<number> {
  let horizon = 0;
  /** A place, and the transaction before which all that have one up to it have begun. */
  let awaited: { position: number; before: bigint } | undefined;

  /**
   * With a transaction of its own: the end of a snapshot is below transactions that have begun and not ended. The place is
   * read first: a transaction gets its number before its place.
   */
  async function lookAhead(): Promise<typeof awaited> {
    const { last } = await autocommit((orm) =>
      oneRow(orm, sql`select case when is_called then last_value else 0 end as last from ${sql.identifier(sequence)}`),
    );
    if (Number(last) === horizon) return undefined;
    const { before } = await autocommit((orm) => oneRow(orm, sql`select pg_current_xact_id()::text as before`));
    return { position: Number(last), before: BigInt(String(before)) };
  }

  async function hasEnded(before: bigint): Promise<boolean> {
    const { oldest } = await autocommit((orm) =>
      oneRow(orm, sql`select pg_snapshot_xmin(pg_current_snapshot())::text as oldest`),
    );
    return BigInt(String(oldest)) >= before;
  }

  return async () => {
    awaited ??= await lookAhead();
    for (let polls = 0; awaited && polls < HORIZON_POLLS; polls++) {
      const { position, before } = awaited;
      if (await hasEnded(before)) {
        awaited = undefined;
        // Lower: of a standby that took over without the last commits, which gives their places to others.
        horizon = position;
        break;
      }
      await pause(HORIZON_POLL_MS);
    }
    return horizon;
  };
}
