// Candidates in PostgreSQL: the grants of two-phase connect sessions that wait for their finish.
import { and, asc, eq, inArray, lte, ne, or, type SQL, sql } from 'drizzle-orm';
import { type SessionStore, StoreError } from '../../ports/index.ts';
import type { PostgresAccess } from './client.ts';
import { isThere } from './read-integration.ts';
import { candidates, connectSessions, pendingRevocations } from './schema.ts';

type CandidateStore = Pick<
  SessionStore,
  'awaitFinish' | 'candidate' | 'countWrongAttempt' | 'endedCandidates' | 'destroyCandidate'
>;

const isAwaiting = (id: string): SQL | undefined =>
  and(eq(connectSessions.id, id), eq(connectSessions.status, 'awaiting_finish'));

const hasEnded = (now: number): SQL | undefined =>
  or(ne(connectSessions.status, 'awaiting_finish'), lte(connectSessions.expiresAt, now));

export function createCandidateStore({ autocommit, transaction, record }: PostgresAccess): CandidateStore {
  return {
    awaitFinish: (candidate, until, audit, of) =>
      transaction(async (orm) => {
        const { sessionId } = candidate;
        const isPending = and(eq(connectSessions.id, sessionId), eq(connectSessions.status, 'pending'));
        const [session] = await orm
          .update(connectSessions)
          .set({ ...until, status: 'awaiting_finish' })
          .where(and(isPending, eq(connectSessions.finish, true)))
          .returning({ integration: connectSessions.integration });
        if (!session) return 'session_over';
        if (!(await isThere(orm, session.integration, of)))
          throw new StoreError('the integration of the candidate is not there');
        await orm.insert(candidates).values(candidate);
        await record(orm, audit);
        return 'awaiting';
      }),

    candidate: (sessionId) =>
      autocommit(async (orm) => (await orm.select().from(candidates).where(eq(candidates.sessionId, sessionId)))[0]),

    countWrongAttempt: (id, limit, error, audit) =>
      transaction(async (orm) => {
        const [counted] = await orm
          .update(connectSessions)
          .set({ wrongAttempts: sql`${connectSessions.wrongAttempts} + 1` })
          .where(isAwaiting(id))
          .returning({ wrongAttempts: connectSessions.wrongAttempts });
        if (!counted) return undefined;
        if (counted.wrongAttempts >= limit)
          await orm.update(connectSessions).set({ status: 'failed', error }).where(isAwaiting(id));
        await record(orm, audit);
        return counted.wrongAttempts;
      }),

    endedCandidates: (now, limit) =>
      autocommit((orm) =>
        orm
          .select({ candidate: candidates, session: connectSessions })
          .from(candidates)
          .innerJoin(connectSessions, eq(connectSessions.id, candidates.sessionId))
          .where(hasEnded(now))
          .orderBy(asc(candidates.sessionId))
          .limit(limit),
      ),

    destroyCandidate: (sessionId, now, revocation, audit) =>
      transaction(async (orm) => {
        // Locked: a finish that is under way decides first.
        const ended = await orm
          .select({ id: connectSessions.id })
          .from(connectSessions)
          .where(and(eq(connectSessions.id, sessionId), hasEnded(now)))
          .for('no key update');
        const ids = ended.map(({ id }) => id);
        if (ids.length === 0) return false;
        const deleted = await orm
          .delete(candidates)
          .where(inArray(candidates.sessionId, ids))
          .returning({ id: candidates.sessionId });
        if (deleted.length === 0) return false;
        await orm.update(connectSessions).set({ status: 'expired' }).where(isAwaiting(sessionId));
        if (revocation) await orm.insert(pendingRevocations).values(revocation);
        await record(orm, audit);
        return true;
      }),
  };
}
