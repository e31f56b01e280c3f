// Agent sessions in SQLite.
import { and, count, desc, eq, inArray, isNotNull, type SQL, sql } from 'drizzle-orm';
import type { SessionEnd } from '../../domain/agent-session.ts';
import type { AgentSessionFilter, AgentSessionStore } from '../../ports/index.ts';
import {
  endedBy,
  inSessionRange,
  isListedSession,
  isLiveSession,
  madeBy,
  sessionsEnded,
  useOf,
} from '../shared/agent-sessions.ts';
import { boundedPage, stepOf } from '../shared/bounded-pages.ts';
import type { SqliteAccess } from './client.ts';
import { isCreatorThere } from './connect-sessions.ts';
import { agentSessions } from './schema.ts';

/** The newest of those that an index finds, of which those that are listed; and the last one that was examined. */
function listStep(
  orm: Pick<SqliteAccess['orm'], 'select'>,
  filter: AgentSessionFilter,
  after: string | undefined,
  examine: number,
  wanted: number,
) {
  const inRange = inSessionRange(agentSessions, filter, after);
  const { id } = agentSessions;
  const examined = orm.select().from(agentSessions).where(inRange).orderBy(desc(id)).limit(examine).as('examined');
  return {
    listed: orm
      .select()
      .from(examined)
      .where(isListedSession(examined, filter, (list) => sql`json_each(${list})`))
      .orderBy(desc(examined.id))
      .limit(wanted),
    last: orm
      .select({ id })
      .from(agentSessions)
      .where(inRange)
      .orderBy(desc(id))
      .limit(1)
      .offset(examine - 1),
  };
}

export function createAgentSessionStore({ orm, read, write, record }: SqliteAccess): AgentSessionStore {
  const { id, digest, parentId, uses, lastUsedAt, endedAt } = agentSessions;
  const live = (where: SQL | undefined, now: number) =>
    orm
      .select({ n: count() })
      .from(agentSessions)
      .where(and(where, isLiveSession(agentSessions, now)))
      .get()!.n;

  return {
    addAgentSession: (session, { callerId, keyId, mostLive, mostBelow }, audit) =>
      write(() => {
        const { createdAt: now } = session;
        if (callerId !== undefined && !isCreatorThere(orm, { callerId, keyId })) return 'maker_gone';
        if (session.parentId !== null && live(eq(id, session.parentId), now) === 0) return 'maker_gone';
        if (live(madeBy(agentSessions, session.callerId), now) >= mostLive) return 'too_many';
        if (session.parentId !== null && live(eq(parentId, session.parentId), now) >= mostBelow) return 'too_many';
        orm.insert(agentSessions).values(session).run();
        record(audit);
        return 'added';
      }),
    agentSessionsByDigest: (digests) =>
      read(() =>
        orm
          .select()
          .from(agentSessions)
          .where(inArray(digest, [...digests]))
          .all(),
      ),
    endedAgentSessions: (ids) =>
      read(() => {
        const found = orm
          .select({ id })
          .from(agentSessions)
          .where(and(inArray(id, [...ids]), sql`${endedAt} is null`))
          .all();
        const going = new Set(found.map((one) => one.id));
        return ids.filter((one) => !going.has(one));
      }),
    agentSession: (one) => read(() => orm.select().from(agentSessions).where(eq(id, one)).get()),
    agentSessions: (filter, page) =>
      boundedPage(page, -1, [
        (after, examine, wanted) =>
          read(() => {
            const { listed, last } = listStep(orm, filter, after, examine, wanted);
            return stepOf(listed.all(), wanted, () => last.get()?.id);
          }),
      ]),
    endAgentSessions: (ids, reason, audit) =>
      write(() => {
        const ended = endSessions(orm, inArray(id, [...ids]), reason, audit.at);
        for (let above = ids; above.length > 0; ) {
          const below = orm
            .select({ id })
            .from(agentSessions)
            .where(and(isNotNull(parentId), inArray(parentId, [...above])));
          above = below.all().map((one) => one.id);
          if (above.length > 0) ended.push(...endSessions(orm, inArray(id, [...above]), 'parent_ended', audit.at));
        }
        if (ended.length > 0) record(audit, ...sessionsEnded(ended));
        return ended;
      }),
    countSessionUse: (ids, now) =>
      write(() => {
        const which = inArray(id, [...ids]);
        const outcome = useOf(ids, orm.select().from(agentSessions).where(which).all(), now);
        if (outcome === 'counted')
          orm
            .update(agentSessions)
            .set({ uses: sql`${uses} + 1`, lastUsedAt: sql`max(coalesce(${lastUsedAt}, 0), ${now})` })
            .where(which)
            .run();
        return outcome;
      }),
    countLiveAgentSessions: (now) => read(() => live(undefined, now)),
  };
}

/** Inside an operation: ends those that match and are not over; returns their ids. */
export const endSessions = (
  orm: SqliteAccess['orm'],
  matching: SQL | undefined,
  reason: SessionEnd,
  now: number,
): string[] =>
  orm
    .update(agentSessions)
    .set(endedBy(reason, now))
    .where(and(matching, isLiveSession(agentSessions, now)))
    .returning({ id: agentSessions.id })
    .all()
    .map((one) => one.id);
