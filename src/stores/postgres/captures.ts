// Captured calls through the proxy, in PostgreSQL.
import { and, desc, eq, gt, gte, lt, lte, notInArray } from 'drizzle-orm';
import type { CaptureStore } from '../../ports/index.ts';
import { CAPTURES_CHANGED } from '../shared/changes.ts';
import { pageOf } from '../shared/pages.ts';
import { deleteSome } from './chosen-rows.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { capturedCalls, captures, connections } from './schema.ts';

export function createCaptureStore({ autocommit, transaction, record }: PostgresAccess): CaptureStore {
  const table = capturedCalls;

  return {
    startCapture: (capture, audit) =>
      transaction(async (orm) => {
        const { id, status } = connections;
        const { connectionId, startedAt, until } = capture;
        // A revocation waits for this one, or comes first.
        const [found] = await orm.select({ status }).from(connections).where(eq(id, connectionId)).for('share');
        if (!found || found.status === 'revoked') return false;
        await orm
          .insert(captures)
          .values(capture)
          .onConflictDoUpdate({ target: captures.connectionId, set: { startedAt, until } });
        await record(orm, audit, CAPTURES_CHANGED);
        return true;
      }),
    stopCapture: (connectionId, now, audit) =>
      transaction(async (orm) => {
        const runs = and(eq(captures.connectionId, connectionId), gt(captures.until, now));
        const stopped = await orm.update(captures).set({ until: now }).where(runs).returning();
        if (stopped.length === 0) return false;
        await record(orm, audit, CAPTURES_CHANGED);
        return true;
      }),
    runningCaptures: (now) => autocommit((orm) => orm.select().from(captures).where(gt(captures.until, now))),
    addCapturedCall: (call, keep) =>
      transaction(async (orm) => {
        const { connectionId, at } = call;
        const covers = and(
          eq(captures.connectionId, connectionId),
          lte(captures.startedAt, at),
          gte(captures.until, at),
        );
        // A revocation, which deletes it, waits for this one or comes first.
        const [covering] = await orm.select().from(captures).where(covers).for('share');
        if (!covering) return;
        await orm.insert(table).values(call);
        const ofOne = eq(table.connectionId, connectionId);
        const newest = orm.select({ id: table.id }).from(table).where(ofOne).orderBy(desc(table.id)).limit(keep);
        await orm.delete(table).where(and(ofOne, notInArray(table.id, newest)));
      }),
    capturedCalls: (connectionId, { limit, after }) =>
      autocommit(async (orm) => {
        const rows = await orm
          .select()
          .from(table)
          .where(and(eq(table.connectionId, connectionId), after === undefined ? undefined : lt(table.id, after)))
          .orderBy(desc(table.id))
          .limit(limit + 1);
        return pageOf(rows, limit);
      }),
    deleteCapturedCalls: (before, limit) =>
      transaction(async (orm) => {
        const calls = await deleteSome(orm, table, table.id, lt(table.at, before), limit);
        return (await deleteSome(orm, captures, captures.connectionId, lt(captures.until, before), limit)) || calls;
      }),
  };
}

/** What was captured of a connection, and that it was. */
export async function deleteCaptures(orm: Orm, connectionId: string): Promise<void> {
  await orm.delete(captures).where(eq(captures.connectionId, connectionId));
  await orm.delete(capturedCalls).where(eq(capturedCalls.connectionId, connectionId));
}
