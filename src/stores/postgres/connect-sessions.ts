// Connect sessions and their authorization flows in PostgreSQL.
import { and, eq, gt } from 'drizzle-orm';
import type { SessionStore } from '../../ports/index.ts';
import { whyNotBegin } from '../shared/connect-sessions.ts';
import { placeholderFor } from '../shared/placeholders.ts';
import type { PostgresAccess } from './client.ts';
import { connectSessions, flows } from './schema.ts';

export function createSessionStore({ autocommit, transaction, prepared, record }: PostgresAccess): SessionStore {
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

  return {
    addSession: (session, audit) =>
      transaction(async (orm) => {
        await orm.insert(connectSessions).values(session);
        await record(orm, audit);
      }),
    session: (id) => autocommit(async (orm) => (await statements(orm).byId.execute({ id }))[0]),
    sessionBySecret: (digest) => autocommit(async (orm) => (await statements(orm).bySecret.execute({ digest }))[0]),
    beginFlow: (flow, now) =>
      transaction(async (orm) => {
        const [session] = await statements(orm).locked.execute({ id: flow.sessionId });
        const refused = whyNotBegin(session, flow, now);
        if (refused) return refused;
        if (session?.browserDigest === null) {
          const bound = { browserDigest: flow.browserDigest, expiresAt: flow.expiresAt };
          await orm.update(connectSessions).set(bound).where(eq(connectSessions.id, session.id));
        }
        await orm.insert(flows).values(flow);
        return 'begun';
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
        const [session] = await statements(orm).byId.execute({ id: flow.sessionId });
        return session && { flow, session };
      }),
    failSession: (id, error, audit) =>
      transaction(async (orm) => {
        const failed = await orm
          .update(connectSessions)
          .set({ status: 'failed', error })
          .where(and(eq(connectSessions.id, id), eq(connectSessions.status, 'pending')))
          .returning({ id: connectSessions.id });
        if (failed.length > 0) await record(orm, audit);
      }),
  };
}
