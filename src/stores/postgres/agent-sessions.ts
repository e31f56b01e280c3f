// Agent sessions in PostgreSQL.
import { and, asc, count, desc, eq, inArray, isNotNull, type SQL, sql } from 'drizzle-orm';
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
import type { Orm, PostgresAccess } from './client.ts';
import { isCreatorThere } from './connect-sessions.ts';
import { agentSessions } from './schema.ts';

/** The newest of those that an index finds, of which those that are listed; and the last one that was examined. */
function listStep(
  orm: Pick<Orm, 'select'>,
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
      .where(isListedSession(examined, filter, (list) => sql`json_array_elements_text(${list})`))
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

export function createAgentSessionStore({ autocommit, transaction, record }: PostgresAccess): AgentSessionStore {
  const { id, digest, parentId, uses, lastUsedAt, endedAt } = agentSessions;
  async function live(orm: Orm, where: SQL | undefined, now: number): Promise<number> {
    const counted = orm
      .select({ n: count() })
      .from(agentSessions)
      .where(and(where, isLiveSession(agentSessions, now)));
    return (await counted)[0]!.n;
  }
  /** Locked: what ends them waits until the session that they make is stored, and ends it too. */
  async function isParentLive(orm: Orm, parent: string, now: number): Promise<boolean> {
    const found = orm
      .select({ id })
      .from(agentSessions)
      .where(and(eq(id, parent), isLiveSession(agentSessions, now)));
    return (await found.for('no key update')).length > 0;
  }

  return {
    addAgentSession: (session, { callerId, keyId, mostLive, mostBelow }, audit) =>
      transaction(async (orm) => {
        const { createdAt: now } = session;
        if (callerId !== undefined && !(await isCreatorThere(orm, { callerId, keyId }))) return 'maker_gone';
        if (session.parentId !== null && !(await isParentLive(orm, session.parentId, now))) return 'maker_gone';
        if ((await live(orm, madeBy(agentSessions, session.callerId), now)) >= mostLive) return 'too_many';
        if (session.parentId !== null && (await live(orm, eq(parentId, session.parentId), now)) >= mostBelow)
          return 'too_many';
        await orm.insert(agentSessions).values(session);
        await record(orm, audit);
        return 'added';
      }),
    agentSessionsByDigest: (digests) =>
      autocommit((orm) =>
        orm
          .select()
          .from(agentSessions)
          .where(inArray(digest, [...digests])),
      ),
    endedAgentSessions: (ids) =>
      autocommit(async (orm) => {
        const found = await orm
          .select({ id })
          .from(agentSessions)
          .where(and(inArray(id, [...ids]), sql`${endedAt} is null`));
        const going = new Set(found.map((one) => one.id));
        return ids.filter((one) => !going.has(one));
      }),
    agentSession: (one) => autocommit(async (orm) => (await orm.select().from(agentSessions).where(eq(id, one)))[0]),
    agentSessions: (filter, page) =>
      boundedPage(page, -1, [
        (after, examine, wanted) =>
          autocommit(async (orm) => {
            const { listed, last } = listStep(orm, filter, after, examine, wanted);
            const rows = await listed;
            const [lastOne] = rows.length === wanted ? [] : await last;
            return stepOf(rows, wanted, () => lastOne?.id);
          }),
      ]),
    endAgentSessions: (ids, reason, audit) =>
      transaction(async (orm) => {
        const ended = await endSessions(orm, inArray(id, [...ids]), reason, audit.at);
        for (let above = ids; above.length > 0; ) {
          const below = orm
            .select({ id })
            .from(agentSessions)
            .where(and(isNotNull(parentId), inArray(parentId, [...above])));
          above = (await below).map((one) => one.id);
          if (above.length > 0)
            ended.push(...(await endSessions(orm, inArray(id, [...above]), 'parent_ended', audit.at)));
        }
        if (ended.length > 0) await record(orm, audit, ...sessionsEnded(ended));
        return ended;
      }),
    countSessionUse: (ids, now) =>
      transaction(async (orm) => {
        const which = inArray(id, [...ids]);
        // Always in this order: two requests that count the same sessions would deadlock.
        const found = orm.select().from(agentSessions).where(which).orderBy(asc(id)).for('no key update');
        const outcome = useOf(ids, await found, now);
        if (outcome === 'counted')
          await orm
            .update(agentSessions)
            .set({ uses: sql`${uses} + 1`, lastUsedAt: sql`greatest(${lastUsedAt}, ${now}::bigint)` })
            .where(which);
        return outcome;
      }),
    countLiveAgentSessions: (now) => autocommit((orm) => live(orm, undefined, now)),
  };
}

/** Inside a transaction: ends those that match and are not over; returns their ids. */
export async function endSessions(
  orm: Orm,
  matching: SQL | undefined,
  reason: SessionEnd,
  now: number,
): Promise<string[]> {
  const ended = await orm
    .update(agentSessions)
    .set(endedBy(reason, now))
    .where(and(matching, isLiveSession(agentSessions, now)))
    .returning({ id: agentSessions.id });
  return ended.map((one) => one.id);
}
