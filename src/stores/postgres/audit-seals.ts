// The hash chain over the audit log, in PostgreSQL.
import { and, asc, desc, eq, gt, gte, isNull, lt, lte, or, sql } from 'drizzle-orm';
import { ANCHOR, HEAD } from '../../domain/audit-seal.ts';
import type { AuditSealStore } from '../../ports/index.ts';
import { countUnlisted, entryColumns } from './audit.ts';
import { isAnyOf } from './chosen-rows.ts';
import type { PostgresAccess } from './client.ts';
import { createHorizon } from './horizon.ts';
import { audit as log, auditSeals as seals } from './schema.ts';

const isSeal = lt(seals.id, ANCHOR);
export function createAuditSealStore(access: PostgresAccess): AuditSealStore {
  const { autocommit, transaction } = access;
  return {
    auditHorizon: createHorizon(access, 'audit_position'),
    entriesBetween: (after, upTo, limit) =>
      autocommit((orm) =>
        orm
          .select({ position: sql<number>`${log.position}`.mapWith(Number), entry: entryColumns })
          .from(log)
          .where(and(gt(log.position, after), lte(log.position, upTo)))
          .orderBy(asc(log.position))
          .limit(limit),
      ),
    countUnlistedReads: (batches) =>
      autocommit(async (orm) => {
        const { rows } = await orm.execute<{ count: string }>(countUnlisted(batches));
        return Number(rows[0]!.count);
      }),
    // In a transaction: after an unknown outcome it is not repeated, and would find its own seal.
    addAuditSeal: (seal, head) =>
      transaction(async (orm) => {
        const { rowCount } = await orm.insert(seals).values(seal).onConflictDoNothing();
        if (!rowCount) return 'taken';
        const { id: _, ...set } = head;
        await orm.insert(seals).values(head).onConflictDoUpdate({ target: seals.id, set });
        return 'added';
      }),
    lastAuditSeal: () =>
      autocommit(async (orm) => (await orm.select().from(seals).where(isSeal).orderBy(desc(seals.id)).limit(1))[0]),
    // One statement, and so one snapshot.
    auditChainEnd: () =>
      autocommit(async (orm) => {
        const newest = orm.select({ id: seals.id }).from(seals).where(isSeal).orderBy(desc(seals.id)).limit(1);
        const rows = await orm
          .select()
          .from(seals)
          .where(or(eq(seals.id, HEAD), isAnyOf(seals.id, newest)));
        return { last: rows.find(({ id }) => id !== HEAD), head: rows.find(({ id }) => id === HEAD) };
      }),
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
        return (await orm.delete(log).where(isAnyOf(log.id, oldest))).rowCount ?? 0;
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
        return (await orm.delete(seals).where(isAnyOf(seals.id, oldest))).rowCount ?? 0;
      }),
    auditOutside: ({ upTo, fromId, sealedUpTo }) =>
      transaction(async (orm) => ({
        unplaced: await orm.$count(log, isNull(log.position)),
        unsealed: await orm.$count(log, gt(log.position, sealedUpTo)),
        misplaced: await orm.$count(
          log,
          or(lte(log.position, 0), and(gte(log.id, fromId), or(isNull(log.position), lte(log.position, upTo)))),
        ),
      })),
  };
}
