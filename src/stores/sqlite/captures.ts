// Captured calls through the proxy, in SQLite.
import { and, desc, eq, gt, gte, lt, lte, notInArray } from 'drizzle-orm';
import type { CaptureStore } from '../../ports/index.ts';
import { CAPTURES_CHANGED } from '../shared/changes.ts';
import { isTombstone } from '../shared/connections.ts';
import { pageOf } from '../shared/pages.ts';
import { deleteSome } from './chosen-rows.ts';
import type { SqliteAccess } from './client.ts';
import { capturedCalls, captures, connections } from './schema.ts';

export function createCaptureStore({ orm, read, write, record }: SqliteAccess): CaptureStore {
  const table = capturedCalls;

  return {
    startCapture: (capture, audit) =>
      write(() => {
        const { id } = connections;
        const { connectionId, until } = capture;
        if (!orm.select({ id }).from(connections).where(eq(id, connectionId)).get()) return false;
        if (orm.select({ id }).from(connections).where(isTombstone(connections, connectionId)).get()) return false;
        orm
          .insert(captures)
          .values(capture)
          .onConflictDoUpdate({ target: captures.connectionId, set: { startedAt: capture.startedAt, until } })
          .run();
        record(audit, CAPTURES_CHANGED);
        return true;
      }),
    stopCapture: (connectionId, now, audit) =>
      write(() => {
        const runs = and(eq(captures.connectionId, connectionId), gt(captures.until, now));
        const { changes } = orm.update(captures).set({ until: now }).where(runs).run();
        if (changes === 0) return false;
        record(audit, CAPTURES_CHANGED);
        return true;
      }),
    runningCaptures: (now) => read(() => orm.select().from(captures).where(gt(captures.until, now)).all()),
    addCapturedCall: (call, keep) =>
      write(() => {
        const { connectionId, at } = call;
        const covers = and(
          eq(captures.connectionId, connectionId),
          lte(captures.startedAt, at),
          gte(captures.until, at),
        );
        if (!orm.select().from(captures).where(covers).get()) return;
        orm.insert(table).values(call).run();
        const ofOne = eq(table.connectionId, connectionId);
        const newest = orm.select({ id: table.id }).from(table).where(ofOne).orderBy(desc(table.id)).limit(keep);
        orm
          .delete(table)
          .where(and(ofOne, notInArray(table.id, newest)))
          .run();
      }),
    capturedCalls: (connectionId, { limit, after }) =>
      read(() => {
        const rows = orm
          .select()
          .from(table)
          .where(and(eq(table.connectionId, connectionId), after === undefined ? undefined : lt(table.id, after)))
          .orderBy(desc(table.id))
          .limit(limit + 1)
          .all();
        return pageOf(rows, limit);
      }),
    deleteCapturedCalls: (before, limit) =>
      write(() => {
        const calls = deleteSome(orm, table, table.id, lt(table.at, before), limit);
        return deleteSome(orm, captures, captures.connectionId, lt(captures.until, before), limit) || calls;
      }),
  };
}

/** What was captured of a connection, and that it was. */
export function deleteCaptures(orm: SqliteAccess['orm'], connectionId: string): void {
  orm.delete(captures).where(eq(captures.connectionId, connectionId)).run();
  orm.delete(capturedCalls).where(eq(capturedCalls.connectionId, connectionId)).run();
}
