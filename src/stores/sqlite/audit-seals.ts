// The hash chain over the audit log, in SQLite.
import { and, asc, count, desc, eq, gt, gte, inArray, isNull, lt, lte, max, or, type SQL, sql } from 'drizzle-orm';
import { ownersIn, weekOf } from '../../domain/audit-reads.ts';
import { ANCHOR, HEAD } from '../../domain/audit-seal.ts';
import type { AuditSealStore } from '../../ports/index.ts';
import { entryColumns } from './audit.ts';
import type { SqliteAccess } from './client.ts';
import { prepared } from './prepared-queries.ts';
import { audit as log, auditSeals as seals } from './schema.ts';

const isSeal = lt(seals.id, ANCHOR);

/** Of the owners of a batch, a JSON list. */
const COUNT_UNLISTED = `select count(*) from json_each(?) as owners where not exists (
  select 1 from audit_reads where week = ? and owner = owners.value and entry = ?)`;

export function createAuditSealStore({ orm, read, write }: SqliteAccess): AuditSealStore {
  const unlisted = orm.$client.prepare<[string, number, string], number>(COUNT_UNLISTED).pluck();
  const newest = prepared(() => orm.select().from(seals).where(isSeal).orderBy(desc(seals.id)).limit(1));
  const between = prepared(() =>
    orm
      .select({ position: sql<number>`${log.position}`, entry: entryColumns })
      .from(log)
      .where(and(gt(log.position, sql.placeholder('after')), lte(log.position, sql.placeholder('upTo'))))
      .orderBy(asc(log.position))
      .limit(sql.placeholder('limit')),
  );
  return {
    // One writer at a time: nothing that is not seen yet can get a lower place.
    auditHorizon: () =>
      read(
        () =>
          orm
            .select({ last: max(log.position) })
            .from(log)
            .get()?.last ?? 0,
      ),
    entriesBetween: (after, upTo, limit) => read(() => between.all({ after, upTo, limit })),
    countUnlistedReads: (batches) =>
      read(() =>
        batches.reduce(
          (sum, batch) => sum + unlisted.get(JSON.stringify(ownersIn(batch)), weekOf(batch.at), batch.id)!,
          0,
        ),
      ),
    addAuditSeal: (seal, head) =>
      write(() => {
        if (orm.insert(seals).values(seal).onConflictDoNothing().run().changes === 0) return 'taken';
        const { id: _, ...set } = head;
        orm.insert(seals).values(head).onConflictDoUpdate({ target: seals.id, set }).run();
        return 'added';
      }),
    lastAuditSeal: () => read(() => newest.get()),
    auditChainEnd: () =>
      read(() => {
        // One statement: another process may store a seal with its head between two.
        const newestId = orm.select({ id: seals.id }).from(seals).where(isSeal).orderBy(desc(seals.id)).limit(1);
        const rows = orm
          .select()
          .from(seals)
          .where(or(eq(seals.id, HEAD), inArray(seals.id, newestId)))
          .all();
        return { last: rows.find(({ id }) => id !== HEAD), head: rows.find(({ id }) => id === HEAD) };
      }),
    auditSeals: (after, limit) =>
      read(() =>
        orm
          .select()
          .from(seals)
          .where(and(isSeal, after === undefined ? undefined : gt(seals.id, after)))
          .orderBy(asc(seals.id))
          .limit(limit)
          .all(),
      ),
    auditAnchor: () => read(() => orm.select().from(seals).where(eq(seals.id, ANCHOR)).get()),
    putAuditAnchor: ({ id, ...set }) =>
      write(() => {
        const setWhere = lt(seals.toPosition, set.toPosition);
        orm
          .insert(seals)
          .values({ id, ...set })
          .onConflictDoUpdate({ target: seals.id, set, setWhere })
          .run();
      }),
    pruneSealedAudit: (upTo, limit) =>
      write(() => {
        const oldest = orm.select({ id: log.id }).from(log).where(lte(log.position, upTo)).orderBy(asc(log.position));
        return orm
          .delete(log)
          .where(inArray(log.id, oldest.limit(limit)))
          .run().changes;
      }),
    pruneAuditSeals: (upToId, limit) =>
      write(() => {
        const oldest = orm.select({ id: seals.id }).from(seals).where(lte(seals.id, upToId)).orderBy(asc(seals.id));
        return orm
          .delete(seals)
          .where(inArray(seals.id, oldest.limit(limit)))
          .run().changes;
      }),
    auditOutside: ({ upTo, fromId, sealedUpTo }) =>
      read(() => {
        const matching = (where: SQL | undefined) => orm.select({ n: count() }).from(log).where(where).get()!.n;
        return {
          unplaced: matching(isNull(log.position)),
          unsealed: matching(gt(log.position, sealedUpTo)),
          misplaced: matching(
            or(lte(log.position, 0), and(gte(log.id, fromId), or(isNull(log.position), lte(log.position, upTo)))),
          ),
        };
      }),
  };
}
