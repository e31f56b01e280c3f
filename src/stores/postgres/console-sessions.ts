// Sessions of the browser console, in PostgreSQL.
import { and, desc, eq, gt, isNull, lt } from 'drizzle-orm';
import type { ConsoleSessionStore } from '../../ports/index.ts';
import { isEnded } from '../shared/console-sessions.ts';
import type { PostgresAccess } from './client.ts';
import { consoleSessions } from './schema.ts';

export function createConsoleSessionStore({ autocommit, transaction, record }: PostgresAccess): ConsoleSessionStore {
  const { id, digest, openedAt, lastSeenAt, expiresAt } = consoleSessions;

  return {
    addConsoleSession: (session, audit, replaces) =>
      transaction(async (orm) => {
        if (replaces !== undefined) await orm.delete(consoleSessions).where(eq(id, replaces));
        await orm.insert(consoleSessions).values(session);
        await record(orm, audit);
      }),
    consoleSession: (of) =>
      autocommit(async (orm) => (await orm.select().from(consoleSessions).where(eq(digest, of)))[0]),
    openConsoleLink: (session, audit, replaces) =>
      transaction(async (orm) => {
        const isLink = and(eq(id, session.id), isNull(openedAt));
        const opened = await orm.update(consoleSessions).set(session).where(isLink).returning({ id });
        if (opened.length === 0) return false;
        if (replaces !== undefined) await orm.delete(consoleSessions).where(eq(id, replaces));
        await record(orm, audit);
        return true;
      }),
    touchConsoleSession: (of, at) =>
      autocommit(async (orm) => {
        const isOlder = and(eq(id, of), lt(lastSeenAt, at));
        await orm.update(consoleSessions).set({ lastSeenAt: at }).where(isOlder);
      }),
    consoleSessions: (now, limit) =>
      autocommit((orm) => orm.select().from(consoleSessions).where(gt(expiresAt, now)).orderBy(desc(id)).limit(limit)),
    endConsoleSessions: (which, audit) =>
      transaction(async (orm) => {
        const ended = await orm.delete(consoleSessions).where(isEnded(consoleSessions, which)).returning({ id });
        if (ended.length > 0) await record(orm, audit);
        return ended.length;
      }),
  };
}
