// Candidates in SQLite: the grants of two-phase connect sessions that wait for their finish.
import { and, asc, eq, inArray, lte, ne, or, type Placeholder, type SQL, sql } from 'drizzle-orm';
import { type SessionStore, StoreError } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { prepared } from './prepared-queries.ts';
import { isThere } from './read-integration.ts';
import { candidates, connectSessions, pendingRevocations } from './schema.ts';

type CandidateStore = Pick<
  SessionStore,
  'awaitFinish' | 'candidate' | 'countWrongAttempt' | 'endedCandidates' | 'destroyCandidate'
>;

const isAwaiting = (id: string): SQL | undefined =>
  and(eq(connectSessions.id, id), eq(connectSessions.status, 'awaiting_finish'));

const hasEnded = (now: number | Placeholder): SQL | undefined =>
  or(ne(connectSessions.status, 'awaiting_finish'), lte(connectSessions.expiresAt, now));

export function createCandidateStore({ orm, read, write, record }: SqliteAccess): CandidateStore {
  // Asked by every round of the housekeeping.
  const ended = prepared(() =>
    orm
      .select({ candidate: candidates, session: connectSessions })
      .from(candidates)
      .innerJoin(connectSessions, eq(connectSessions.id, candidates.sessionId))
      .where(hasEnded(sql.placeholder('now')))
      .orderBy(asc(candidates.sessionId))
      .limit(sql.placeholder('limit')),
  );

  return {
    awaitFinish: (candidate, until, audit, of) =>
      write(() => {
        const { sessionId } = candidate;
        const isPending = and(eq(connectSessions.id, sessionId), eq(connectSessions.status, 'pending'));
        const [session] = orm
          .update(connectSessions)
          .set({ ...until, status: 'awaiting_finish' })
          .where(and(isPending, eq(connectSessions.finish, true)))
          .returning({ integration: connectSessions.integration })
          .all();
        if (!session) return 'session_over';
        if (!isThere(orm, session.integration, of))
          throw new StoreError('the integration of the candidate is not there');
        orm.insert(candidates).values(candidate).run();
        record(audit);
        return 'awaiting';
      }),

    candidate: (sessionId) =>
      read(() => orm.select().from(candidates).where(eq(candidates.sessionId, sessionId)).get()),

    countWrongAttempt: (id, limit, error, audit) =>
      write(() => {
        const [counted] = orm
          .update(connectSessions)
          .set({ wrongAttempts: sql`${connectSessions.wrongAttempts} + 1` })
          .where(isAwaiting(id))
          .returning({ wrongAttempts: connectSessions.wrongAttempts })
          .all();
        if (!counted) return undefined;
        if (counted.wrongAttempts >= limit)
          orm.update(connectSessions).set({ status: 'failed', error }).where(isAwaiting(id)).run();
        record(audit);
        return counted.wrongAttempts;
      }),

    endedCandidates: (now, limit) => read(() => ended.all({ now, limit })),

    destroyCandidate: (sessionId, now, revocation, audit) =>
      write(() => {
        const ended = orm
          .select({ id: connectSessions.id })
          .from(connectSessions)
          .where(and(eq(connectSessions.id, sessionId), hasEnded(now)));
        const deleted = orm.delete(candidates).where(inArray(candidates.sessionId, ended)).run();
        if (deleted.changes === 0) return false;
        orm.update(connectSessions).set({ status: 'expired' }).where(isAwaiting(sessionId)).run();
        if (revocation) orm.insert(pendingRevocations).values(revocation).run();
        record(audit);
        return true;
      }),
  };
}
