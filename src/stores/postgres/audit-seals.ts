// The hash chain over the audit log, in PostgreSQL.
import { setTimeout as pause } from 'node:timers/promises';
import { and, asc, desc, eq, gt, gte, inArray, isNull, lt, lte, or, sql } from 'drizzle-orm';
import { ANCHOR } from '../../domain/audit-seal.ts';
import { AUDIT_HORIZON_POLL_MS } from '../../domain/time-limits.ts';
import type { AuditSealStore } from '../../ports/index.ts';
import { entryColumns } from './audit.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { audit as log, auditSeals as seals } from './schema.ts';

const isSeal = lt(seals.id, ANCHOR);
/** Polls of one call. Transactions last some milliseconds; for a longer one, the next call looks again. */
const HORIZON_POLLS = 5;

async function oneRow(orm: Orm, query: ReturnType<typeof sql>): Promise<Record<string, unknown>> {
  return (await orm.execute(query)).rows[0] ?? {};
}

export function createAuditSealStore({ autocommit, transaction }: PostgresAccess): AuditSealStore {
  let horizon = 0;
  /** A place, and the transaction before which all that have one up to it have begun. */
  let awaited: { position: number; before: bigint } | undefined;

  /**
   * With a transaction of its own: the end of a snapshot is below transactions that have begun and not ended. The place is
   * read first: a transaction gets its number before its place (its default, in the migration `audit_seals`).
   */
  async function lookAhead(): Promise<NonNullable<typeof awaited>> {
    const { last } = await autocommit((orm) =>
      oneRow(orm, sql`select case when is_called then last_value else 0 end as last from audit_position`),
    );
    const { before } = await autocommit((orm) => oneRow(orm, sql`select pg_current_xact_id()::text as before`));
    return { position: Number(last), before: BigInt(String(before)) };
  }

  async function hasEnded(before: bigint): Promise<boolean> {
    const { oldest } = await autocommit((orm) =>
      oneRow(orm, sql`select pg_snapshot_xmin(pg_current_snapshot())::text as oldest`),
    );
    return BigInt(String(oldest)) >= before;
  }

  return {
    async auditHorizon() {
      awaited ??= await lookAhead();
      for (let polls = 0; polls < HORIZON_POLLS; polls++) {
        const { position, before } = awaited;
        if (await hasEnded(before)) {
          awaited = undefined;
          horizon = Math.max(horizon, position);
          break;
        }
        await pause(AUDIT_HORIZON_POLL_MS);
      }
      return horizon;
    },
    entriesBetween: (after, upTo, limit) =>
      autocommit((orm) =>
        orm
          .select({ position: sql<number>`${log.position}`.mapWith(Number), entry: entryColumns })
          .from(log)
          .where(and(gt(log.position, after), lte(log.position, upTo)))
          .orderBy(asc(log.position))
          .limit(limit),
      ),
    // In a transaction: after an unknown outcome it is not repeated, and would find its own seal.
    addAuditSeal: (seal) =>
      transaction(async (orm) => {
        const { rowCount } = await orm.insert(seals).values(seal).onConflictDoNothing();
        return (rowCount ?? 0) > 0 ? 'added' : 'taken';
      }),
    lastAuditSeal: () =>
      autocommit(async (orm) => (await orm.select().from(seals).where(isSeal).orderBy(desc(seals.id)).limit(1))[0]),
    auditSeals: (after, limit) =>
      autocommit((orm) =>
        orm
          .select()
          .from(seals)
          .where(and(isSeal, after === undefined ? undefined : gt(seals.id, after)))
          .orderBy(asc(seals.id))
          .limit(limit),
      ),
    auditAnchor: () => autocommit(async (orm) => (await orm.select().from(seals).where(eq(seals.id, ANCHOR)))[0]),
    async putAuditAnchor({ id, ...set }) {
      const setWhere = lt(seals.toPosition, set.toPosition);
      await autocommit((orm) =>
        orm
          .insert(seals)
          .values({ id, ...set })
          .onConflictDoUpdate({ target: seals.id, set, setWhere }),
      );
    },
    pruneSealedAudit: (upTo, limit) =>
      autocommit(async (orm) => {
        const oldest = orm
          .select({ id: log.id })
          .from(log)
          .where(lte(log.position, upTo))
          .orderBy(asc(log.position))
          .limit(limit)
          .for('update', { skipLocked: true });
        return (await orm.delete(log).where(inArray(log.id, oldest))).rowCount ?? 0;
      }),
    pruneAuditSeals: (upToId, limit) =>
      autocommit(async (orm) => {
        const oldest = orm
          .select({ id: seals.id })
          .from(seals)
          .where(lte(seals.id, upToId))
          .orderBy(asc(seals.id))
          .limit(limit)
          .for('update', { skipLocked: true });
        return (await orm.delete(seals).where(inArray(seals.id, oldest))).rowCount ?? 0;
      }),
    auditOutside: ({ upTo, fromId, sealedUpTo }) =>
      transaction(async (orm) => ({
        unplaced: await orm.$count(log, isNull(log.position)),
        unsealed: await orm.$count(log, gt(log.position, sealedUpTo)),
        misplaced: await orm.$count(log, and(gte(log.id, fromId), or(isNull(log.position), lte(log.position, upTo)))),
      })),
  };
}
