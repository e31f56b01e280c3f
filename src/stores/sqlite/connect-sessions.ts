// Connect sessions and their authorization flows in SQLite.
import { and, eq, gt, sql } from 'drizzle-orm';
import type { SessionStore } from '../../ports/index.ts';
import { whyNotBegin } from '../shared/connect-sessions.ts';
import type { SqliteAccess } from './client.ts';
import { connectSessions, flows } from './schema.ts';

export function createSessionStore({ orm, read, write, record }: SqliteAccess): SessionStore {
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
    addSession: (session, audit) =>
      write(() => {
        orm.insert(connectSessions).values(session).run();
        record(audit);
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
  };
}
