// Connect sessions and their authorization flows in PostgreSQL.
import { and, asc, count, desc, eq, gt, isNull, notInArray, or, type SQL, sql } from 'drizzle-orm';
import type { SessionStore } from '../../ports/index.ts';
import { boundedPage, emptyPage, stepOf } from '../shared/bounded-pages.ts';
import {
  authorizedSince,
  cancelled,
  changedByFlow,
  failedSince,
  failedWith,
  inSessionRange,
  isOpenSession,
  isRetriable,
  MOST_FLOWS,
  matchesSession,
  whyNotBegin,
} from '../shared/connect-sessions.ts';
import { canBeWithin } from '../shared/filters.ts';
import { placeholderFor } from '../shared/placeholders.ts';
import { createCandidateStore } from './candidates.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { callerKeys, callers, connections, connectSessions, consumedFlows, flows } from './schema.ts';

export function createSessionStore(access: PostgresAccess): SessionStore {
  const { autocommit, transaction, prepared, record } = access;
  const statements = prepared((orm, name) => {
    const byId = eq(connectSessions.id, placeholderFor(connectSessions.id, 'id'));
    return {
      byId: orm.select().from(connectSessions).where(byId).prepare(name('session')),
      locked: orm.select().from(connectSessions).where(byId).for('no key update').prepare(name('session_locked')),
      bySecret: orm
        .select()
        .from(connectSessions)
        .where(eq(connectSessions.secretDigest, placeholderFor(connectSessions.secretDigest, 'digest')))
        .prepare(name('session_by_secret')),
    };
  });

  /** Those that make room for one more. */
  function olderFlows(orm: Orm, sessionId: string): SQL | undefined {
    const { stateDigest, expiresAt } = flows;
    const ofSession = eq(flows.sessionId, sessionId);
    const newest = orm.select({ stateDigest }).from(flows).where(ofSession).orderBy(desc(expiresAt));
    return and(ofSession, notInArray(stateDigest, newest.limit(MOST_FLOWS - 1)));
  }

  return {
    ...createCandidateStore(access),
    addSession: (session, audit, creator, stepUps) =>
      transaction(async (orm) => {
        if (creator && !(await isCreatorThere(orm, creator))) return 'creator_gone';
        if (stepUps) {
          // Of several at once, each counts those before it.
          const { id } = connections;
          await orm
            .select({ id })
            .from(connections)
            .where(eq(id, session.connectionId ?? ''))
            .for('no key update');
          const earlier = authorizedSince(connectSessions, session, stepUps.since);
          const [found] = await orm.select({ n: count() }).from(connectSessions).where(earlier);
          if (found!.n >= stepUps.most) return 'exhausted';
        }
        await orm.insert(connectSessions).values(session);
        await record(orm, audit);
        return 'added';
      }),
    session: (id) => autocommit(async (orm) => (await statements(orm).byId.execute({ id }))[0]),
    sessionBySecret: (digest) => autocommit(async (orm) => (await statements(orm).bySecret.execute({ digest }))[0]),
    beginFlow: (flow, now, binds = true) =>
      transaction(async (orm) => {
        const [session] = await statements(orm).locked.execute({ id: flow.sessionId });
        const refused = whyNotBegin(session, flow, now);
        if (refused || !session) return refused ?? 'gone';
        const changed = changedByFlow(session, flow, binds);
        if (changed) await orm.update(connectSessions).set(changed).where(eq(connectSessions.id, session.id));
        await orm.delete(flows).where(olderFlows(orm, session.id));
        await orm.insert(flows).values(flow);
        return 'begun';
      }),
    flowOf: (stateDigest) =>
      autocommit(async (orm) => {
        const { sessionId, browserDigest } = flows;
        const consumed = { sessionId: consumedFlows.sessionId, browserDigest: consumedFlows.browserDigest };
        // One statement: a flow that is consumed between two would be found by neither.
        const [found] = await orm
          .select({ sessionId, browserDigest, isConsumed: sql<boolean>`false` })
          .from(flows)
          .where(eq(flows.stateDigest, stateDigest))
          .unionAll(
            orm
              .select({ ...consumed, isConsumed: sql<boolean>`true` })
              .from(consumedFlows)
              .where(eq(consumedFlows.stateDigest, stateDigest)),
          );
        return found;
      }),
    consumeFlow: (stateDigest, browserDigest, now) =>
      transaction(async (orm) => {
        const [flow] = await orm
          .delete(flows)
          .where(
            and(eq(flows.stateDigest, stateDigest), eq(flows.browserDigest, browserDigest), gt(flows.expiresAt, now)),
          )
          .returning();
        if (!flow) return undefined;
        const { sessionId } = flow;
        await orm.insert(consumedFlows).values({ stateDigest, sessionId, browserDigest, consumedAt: now });
        await orm
          .update(connectSessions)
          .set({ browserDigest })
          .where(and(eq(connectSessions.id, sessionId), isNull(connectSessions.browserDigest)));
        const [session] = await statements(orm).byId.execute({ id: sessionId });
        return session && { flow, session };
      }),
    failSession: (id, error, audit, pageError) =>
      transaction(async (orm) => {
        const failed = await orm
          .update(connectSessions)
          .set({ status: 'failed', error, pageError: pageError ?? null })
          .where(and(eq(connectSessions.id, id), eq(connectSessions.status, 'pending')))
          .returning({ id: connectSessions.id });
        if (failed.length > 0) await record(orm, audit);
      }),
    endSession: (id, end, audit) =>
      transaction(async (orm) => {
        const mayGoOn = or(isOpenSession(connectSessions), isRetriable(connectSessions, audit.at));
        const ended = await orm
          .update(connectSessions)
          .set(end)
          .where(and(eq(connectSessions.id, id), mayGoOn))
          .returning({ id: connectSessions.id });
        if (ended.length === 0) return false;
        await record(orm, audit);
        return true;
      }),
    async connectSessions(filter, page) {
      if (!canBeWithin(filter)) return emptyPage();
      return boundedPage(page, 1, [
        (after, examine, wanted) =>
          autocommit(async (orm) => {
            const inRange = inSessionRange(connectSessions, filter, after);
            const { id } = connectSessions;
            const [last] = await orm
              .select({ id })
              .from(connectSessions)
              .where(inRange)
              .orderBy(asc(id))
              .limit(1)
              .offset(examine - 1);
            const inStep = and(inRange, last && sql`${id} <= ${last.id}`);
            const rows = await orm
              .select()
              .from(connectSessions)
              .where(and(inStep, matchesSession(connectSessions, filter)))
              .orderBy(asc(id))
              .limit(wanted);
            return stepOf(rows, wanted, () => last?.id);
          }),
      ]);
    },
    reopenSession: (id, error, now, audit) =>
      transaction(async (orm) => {
        const opened = await orm
          .update(connectSessions)
          .set({ status: 'pending', error: null, pageError: null })
          .where(failedWith(connectSessions, id, error, now))
          .returning({ id: connectSessions.id });
        if (opened.length > 0) await record(orm, audit);
        return opened.length > 0;
      }),
    bindSession: (id, browserDigest, now) =>
      transaction(async (orm) => {
        const [session] = await statements(orm).locked.execute({ id });
        const refused = whyNotBegin(session, { browserDigest }, now);
        if (refused) return refused;
        await orm.update(connectSessions).set({ browserDigest }).where(eq(connectSessions.id, id));
        return 'bound';
      }),
    chooseIntegration: ({ id, integration, mac = null }, now) =>
      transaction(async (orm) => {
        const { status, expiresAt } = connectSessions;
        const isOpen = and(eq(connectSessions.id, id), eq(status, 'pending'), gt(expiresAt, now));
        const { rowCount } = await orm.update(connectSessions).set({ integration, mac }).where(isOpen);
        if (rowCount === 0) return false;
        // What was begun at another one leads nowhere.
        await orm.delete(flows).where(eq(flows.sessionId, id));
        return true;
      }),
    hasFailedSession: (slot, error, since) =>
      autocommit(async (orm) => {
        const { id } = connectSessions;
        const failed = failedSince(connectSessions, slot, error, since);
        return (await orm.select({ id }).from(connectSessions).where(failed).limit(1)).length > 0;
      }),
  };
}

/** Inside a transaction: it stays there until that ends. */
export async function isCreatorThere(
  orm: Orm,
  { callerId, keyId }: { callerId: string; keyId: string | null },
): Promise<boolean> {
  const caller = orm.select({ id: callers.id }).from(callers).where(eq(callers.id, callerId));
  if ((await caller.for('key share')).length === 0) return false;
  if (keyId === null) return true;
  const ofKey = and(eq(callerKeys.callerId, callerId), eq(callerKeys.id, keyId));
  return (await orm.select({ id: callerKeys.id }).from(callerKeys).where(ofKey).for('key share')).length > 0;
}

/** Inside a transaction: ends sessions that match, and that are open or may be tried again by `now`. */
export async function cancelSessions(orm: Orm, matching: SQL | undefined, now: number): Promise<void> {
  // Two statements: each has an index.
  for (const mayGoOn of [isOpenSession(connectSessions), isRetriable(connectSessions, now)])
    await orm.update(connectSessions).set(cancelled).where(and(matching, mayGoOn));
}
