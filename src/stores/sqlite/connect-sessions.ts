// Connect sessions, and the authorization flows that they lead to, in SQLite.
import { and, eq, gt, sql } from 'drizzle-orm';
import type { Store } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { connectSessions, flows } from './schema.ts';

type SessionStore = Pick<
  Store,
  'addSession' | 'session' | 'sessionBySecret' | 'beginFlow' | 'consumeFlow' | 'failSession'
>;

export function sessionStore({ orm, read, write, record }: SqliteAccess): SessionStore {
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

  return {
    addSession: (session, by) =>
      write(() => {
        orm.insert(connectSessions).values(session).run();
        record(by);
      }),
    session: (id) => read(() => byId.get({ id })),
    sessionBySecret: (digest) => read(() => bySecret.get({ digest })),
    beginFlow: (flow, now) =>
      write(() => {
        const session = byId.get({ id: flow.sessionId });
        if (session?.status !== 'pending' || session.expiresAt <= now) return 'gone';
        if (session.browserDigest !== null && session.browserDigest !== flow.browserDigest) return 'other_browser';
        if (session.browserDigest === null) {
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
    failSession: (id, error, by) =>
      write(() => {
        const { changes } = orm
          .update(connectSessions)
          .set({ status: 'failed', error })
          .where(and(eq(connectSessions.id, id), eq(connectSessions.status, 'pending')))
          .run();
        if (changes > 0) record(by);
      }),
  };
}
