// Connect sessions, and the authorization flows that they lead to, in PostgreSQL.
import { and, eq, gt } from 'drizzle-orm';
import type { Store } from '../../ports/index.ts';
import { given, type PostgresAccess } from './client.ts';
import { connectSessions, flows } from './schema.ts';

type SessionStore = Pick<
  Store,
  'addSession' | 'session' | 'sessionBySecret' | 'beginFlow' | 'consumeFlow' | 'failSession'
>;

export function sessionStore({ ask, write, prepared, record }: PostgresAccess): SessionStore {
  const statements = prepared((orm, name) => {
    const byId = eq(connectSessions.id, given(connectSessions.id, 'id'));
    return {
      byId: orm.select().from(connectSessions).where(byId).prepare(name('session')),
      locked: orm.select().from(connectSessions).where(byId).for('no key update').prepare(name('session_locked')),
      bySecret: orm
        .select()
        .from(connectSessions)
        .where(eq(connectSessions.secretDigest, given(connectSessions.secretDigest, 'digest')))
        .prepare(name('session_by_secret')),
    };
  });

  return {
    addSession: (session, by) =>
      write(async (orm) => {
        await orm.insert(connectSessions).values(session);
        await record(orm, by);
      }),
    session: (id) => ask(async (orm) => (await statements(orm).byId.execute({ id }))[0]),
    sessionBySecret: (digest) => ask(async (orm) => (await statements(orm).bySecret.execute({ digest }))[0]),
    beginFlow: (flow, now) =>
      write(async (orm) => {
        const [session] = await statements(orm).locked.execute({ id: flow.sessionId });
        if (session?.status !== 'pending' || session.expiresAt <= now) return 'gone';
        if (session.browserDigest !== null && session.browserDigest !== flow.browserDigest) return 'other_browser';
        if (session.browserDigest === null) {
          const bound = { browserDigest: flow.browserDigest, expiresAt: flow.expiresAt };
          await orm.update(connectSessions).set(bound).where(eq(connectSessions.id, session.id));
        }
        await orm.insert(flows).values(flow);
        return 'begun';
      }),
    consumeFlow: (stateDigest, browserDigest, now) =>
      write(async (orm) => {
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
    failSession: (id, error, by) =>
      write(async (orm) => {
        const failed = await orm
          .update(connectSessions)
          .set({ status: 'failed', error })
          .where(and(eq(connectSessions.id, id), eq(connectSessions.status, 'pending')))
          .returning({ id: connectSessions.id });
        if (failed.length > 0) await record(orm, by);
      }),
  };
}
