// Sessions of the browser console, in SQLite.
import { and, desc, eq, gt, isNull, lt } from 'drizzle-orm';
import type { ConsoleSessionStore } from '../../ports/index.ts';
import { isEnded } from '../shared/console-sessions.ts';
import type { SqliteAccess } from './client.ts';
import { consoleSessions } from './schema.ts';

export function createConsoleSessionStore({ orm, read, write, record }: SqliteAccess): ConsoleSessionStore {
  const { id, digest, openedAt, lastSeenAt, expiresAt } = consoleSessions;

  return {
    addConsoleSession: (session, audit, replaces) =>
      write(() => {
        if (replaces !== undefined) orm.delete(consoleSessions).where(eq(id, replaces)).run();
        orm.insert(consoleSessions).values(session).run();
        record(audit);
      }),
    consoleSession: (of) => read(() => orm.select().from(consoleSessions).where(eq(digest, of)).get()),
    openConsoleLink: (session, audit, replaces) =>
      write(() => {
        const isLink = and(eq(id, session.id), isNull(openedAt));
        if (orm.update(consoleSessions).set(session).where(isLink).run().changes === 0) return false;
        if (replaces !== undefined) orm.delete(consoleSessions).where(eq(id, replaces)).run();
        record(audit);
        return true;
      }),
    touchConsoleSession: (of, at) =>
      write(() => {
        const isOlder = and(eq(id, of), lt(lastSeenAt, at));
        orm.update(consoleSessions).set({ lastSeenAt: at }).where(isOlder).run();
      }),
    consoleSessions: (now, limit) =>
      read(() => orm.select().from(consoleSessions).where(gt(expiresAt, now)).orderBy(desc(id)).limit(limit).all()),
    endConsoleSessions: (which, audit) =>
      write(() => {
        const { changes } = orm.delete(consoleSessions).where(isEnded(consoleSessions, which)).run();
        if (changes > 0) record(audit);
        return changes;
      }),
  };
}
