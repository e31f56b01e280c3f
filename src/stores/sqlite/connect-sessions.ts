// Connect sessions and their authorization flows in SQLite.
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
import { createCandidateStore } from './candidates.ts';
import type { SqliteAccess } from './client.ts';
import { prepared } from './prepared-queries.ts';
import { callerKeys, callers, connectSessions, consumedFlows, flows } from './schema.ts';

export function createSessionStore(access: SqliteAccess): SessionStore {
  const { orm, read, write, record } = access;
  const byId = prepared(() =>
    orm
      .select()
      .from(connectSessions)
      .where(eq(connectSessions.id, sql.placeholder('id'))),
  );
  const bySecret = prepared(() =>
    orm
      .select()
      .from(connectSessions)
      .where(eq(connectSessions.secretDigest, sql.placeholder('digest'))),
  );

  const flowByState = prepared(() =>
    orm
      .select({ sessionId: flows.sessionId, browserDigest: flows.browserDigest })
      .from(flows)
      .where(eq(flows.stateDigest, sql.placeholder('stateDigest'))),
  );
  const consumedByState = prepared(() =>
    orm
      .select({ sessionId: consumedFlows.sessionId, browserDigest: consumedFlows.browserDigest })
      .from(consumedFlows)
      .where(eq(consumedFlows.stateDigest, sql.placeholder('stateDigest'))),
  );

  /** Those that make room for one more. */
  function olderFlows(sessionId: string): SQL | undefined {
    const { stateDigest, expiresAt } = flows;
    const ofSession = eq(flows.sessionId, sessionId);
    const newest = orm.select({ stateDigest }).from(flows).where(ofSession).orderBy(desc(expiresAt));
    return and(ofSession, notInArray(stateDigest, newest.limit(MOST_FLOWS - 1)));
  }

  return {
    ...createCandidateStore(access),
    addSession: (session, audit, creator, stepUps) =>
      write(() => {
        if (creator && !isCreatorThere(orm, creator)) return 'creator_gone';
        if (stepUps) {
          const earlier = authorizedSince(connectSessions, session, stepUps.since);
          const found = orm.select({ n: count() }).from(connectSessions).where(earlier).get();
          if (found!.n >= stepUps.most) return 'exhausted';
        }
        orm.insert(connectSessions).values(session).run();
        record(audit);
        return 'added';
      }),
    session: (id) => read(() => byId.get({ id })),
    sessionBySecret: (digest) => read(() => bySecret.get({ digest })),
    beginFlow: (flow, now, binds = true) =>
      write(() => {
        const session = byId.get({ id: flow.sessionId });
        const refused = whyNotBegin(session, flow, now);
        if (refused || !session) return refused ?? 'gone';
        const changed = changedByFlow(session, flow, binds);
        if (changed) orm.update(connectSessions).set(changed).where(eq(connectSessions.id, session.id)).run();
        orm.delete(flows).where(olderFlows(session.id)).run();
        orm.insert(flows).values(flow).run();
        return 'begun';
      }),
    flowOf: (stateDigest) =>
      read(() => {
        const flow = flowByState.get({ stateDigest });
        const found = flow ?? consumedByState.get({ stateDigest });
        return found && { ...found, isConsumed: !flow };
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
        if (!flow) return undefined;
        const { sessionId } = flow;
        orm.insert(consumedFlows).values({ stateDigest, sessionId, browserDigest, consumedAt: now }).run();
        orm
          .update(connectSessions)
          .set({ browserDigest })
          .where(and(eq(connectSessions.id, sessionId), isNull(connectSessions.browserDigest)))
          .run();
        return { flow, session: byId.get({ id: sessionId })! };
      }),
    failSession: (id, error, audit, pageError) =>
      write(() => {
        const { changes } = orm
          .update(connectSessions)
          .set({ status: 'failed', error, pageError: pageError ?? null })
          .where(and(eq(connectSessions.id, id), eq(connectSessions.status, 'pending')))
          .run();
        if (changes > 0) record(audit);
      }),
    endSession: (id, end, audit) =>
      write(() => {
        const mayGoOn = or(isOpenSession(connectSessions), isRetriable(connectSessions, audit.at));
        const isOpen = and(eq(connectSessions.id, id), mayGoOn);
        if (orm.update(connectSessions).set(end).where(isOpen).run().changes === 0) return false;
        record(audit);
        return true;
      }),
    async connectSessions(filter, page) {
      if (!canBeWithin(filter)) return emptyPage();
      return boundedPage(page, 1, [
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
      ]);
    },
    reopenSession: (id, error, now, audit) =>
      write(() => {
        const { changes } = orm
          .update(connectSessions)
          .set({ status: 'pending', error: null, pageError: null })
          .where(failedWith(connectSessions, id, error, now))
          .run();
        if (changes > 0) record(audit);
        return changes > 0;
      }),
    bindSession: (id, browserDigest, now) =>
      write(() => {
        const session = byId.get({ id });
        const refused = whyNotBegin(session, { browserDigest }, now);
        if (refused) return refused;
        orm.update(connectSessions).set({ browserDigest }).where(eq(connectSessions.id, id)).run();
        return 'bound';
      }),
    chooseIntegration: ({ id, integration, mac = null }, now) =>
      write(() => {
        const { status, expiresAt } = connectSessions;
        const isOpen = and(eq(connectSessions.id, id), eq(status, 'pending'), gt(expiresAt, now));
        if (orm.update(connectSessions).set({ integration, mac }).where(isOpen).run().changes === 0) return false;
        // What was begun at another one leads nowhere.
        orm.delete(flows).where(eq(flows.sessionId, id)).run();
        return true;
      }),
    hasFailedSession: (slot, error, since) =>
      read(() => {
        const { id } = connectSessions;
        const failed = failedSince(connectSessions, slot, error, since);
        return orm.select({ id }).from(connectSessions).where(failed).limit(1).get() !== undefined;
      }),
  };
}

/** Inside an operation. */
export const isCreatorThere = (
  orm: SqliteAccess['orm'],
  { callerId, keyId }: { callerId: string; keyId: string | null },
): boolean =>
  (keyId === null
    ? orm.select({ id: callers.id }).from(callers).where(eq(callers.id, callerId)).get()
    : orm
        .select({ id: callerKeys.id })
        .from(callerKeys)
        .where(and(eq(callerKeys.callerId, callerId), eq(callerKeys.id, keyId)))
        .get()) !== undefined;

/** Inside an operation: ends sessions that match, and that are open or may be tried again by `now`. */
export function cancelSessions(orm: SqliteAccess['orm'], matching: SQL | undefined, now: number): void {
  // Two statements: each has an index.
  for (const mayGoOn of [isOpenSession(connectSessions), isRetriable(connectSessions, now)])
    orm.update(connectSessions).set(cancelled).where(and(matching, mayGoOn)).run();
}
