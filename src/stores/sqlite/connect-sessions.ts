// Connect sessions and their authorization flows in SQLite.
import { and, asc, eq, gt, type SQL, sql } from 'drizzle-orm';
import type { SessionStore } from '../../ports/index.ts';
import { boundedPage, stepOf } from '../shared/bounded-pages.ts';
import { inSessionRange, isOpenSession, matchesSession, whyNotBegin } from '../shared/connect-sessions.ts';
import { createCandidateStore } from './candidates.ts';
import type { SqliteAccess } from './client.ts';
import { callerKeys, callers, connectSessions, flows } from './schema.ts';

export function createSessionStore(access: SqliteAccess): SessionStore {
  const { orm, read, write, record } = access;
  const byId = orm
    .select()
    .from(connectSessions)
    .where(eq(connectSessions.id, sql.placeholder('id')))
    .prepare();
  const bySecret = orm
    .select()
    .from(connectSessions)
    .where(eq(connectSessions.secretDigest, sql.placeholder('digest')))
    .prepare();

  const isThere = ({ callerId, keyId }: { callerId: string; keyId: string | null }): boolean =>
    (keyId === null
      ? orm.select({ id: callers.id }).from(callers).where(eq(callers.id, callerId)).get()
      : orm
          .select({ id: callerKeys.id })
          .from(callerKeys)
          .where(and(eq(callerKeys.callerId, callerId), eq(callerKeys.id, keyId)))
          .get()) !== undefined;

  return {
    ...createCandidateStore(access),
    addSession: (session, audit, creator) =>
      write(() => {
        if (creator && !isThere(creator)) return 'creator_gone';
        orm.insert(connectSessions).values(session).run();
        record(audit);
        return 'added';
      }),
    session: (id) => read(() => byId.get({ id })),
    sessionBySecret: (digest) => read(() => bySecret.get({ digest })),
    beginFlow: (flow, now) =>
      write(() => {
        const session = byId.get({ id: flow.sessionId });
        const refused = whyNotBegin(session, flow, now);
        if (refused) return refused;
        if (session?.browserDigest === null) {
          const bound = { browserDigest: flow.browserDigest, expiresAt: flow.expiresAt };
          orm.update(connectSessions).set(bound).where(eq(connectSessions.id, session.id)).run();
        }
        orm.insert(flows).values(flow).run();
        return 'begun';
      }),
    consumeFlow: (stateDigest, browserDigest, now) =>
      write(() => {
        const [flow] = orm
          .delete(flows)
          .where(
            and(eq(flows.stateDigest, stateDigest), eq(flows.browserDigest, browserDigest), gt(flows.expiresAt, now)),
          )
          .returning()
          .all();
        return flow && { flow, session: byId.get({ id: flow.sessionId })! };
      }),
    failSession: (id, error, audit) =>
      write(() => {
        const { changes } = orm
          .update(connectSessions)
          .set({ status: 'failed', error })
          .where(and(eq(connectSessions.id, id), eq(connectSessions.status, 'pending')))
          .run();
        if (changes > 0) record(audit);
      }),
    endSession: (id, end, audit) =>
      write(() => {
        const isOpen = and(eq(connectSessions.id, id), isOpenSession(connectSessions));
        if (orm.update(connectSessions).set(end).where(isOpen).run().changes === 0) return false;
        record(audit);
        return true;
      }),
    connectSessions: (filter, page) =>
      boundedPage(page, 1, [
        (after, examine, wanted) =>
          read(() => {
            const examined = orm
              .select({ id: connectSessions.id })
              .from(connectSessions)
              .where(inSessionRange(connectSessions, filter, after))
              .orderBy(asc(connectSessions.id))
              .limit(examine)
              .all();
            const last = examined.at(-1)?.id;
            if (last === undefined) return { rows: [], until: null };
            const inStep = and(inSessionRange(connectSessions, filter, after), sql`${connectSessions.id} <= ${last}`);
            const rows = orm
              .select()
              .from(connectSessions)
              .where(and(inStep, matchesSession(connectSessions, filter)))
              .orderBy(asc(connectSessions.id))
              .limit(wanted)
              .all();
            return stepOf(rows, wanted, () => (examined.length === examine ? last : undefined));
          }),
      ]),
  };
}

/** Inside an operation: ends open sessions that match. */
export function cancelSessions(orm: SqliteAccess['orm'], matching: SQL | undefined): void {
  orm
    .update(connectSessions)
    .set({ status: 'cancelled' })
    .where(and(matching, isOpenSession(connectSessions)))
    .run();
}
