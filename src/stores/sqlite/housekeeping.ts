// Deleting what has expired, and proving that the database accepts writes, in SQLite.
import { and, eq, inArray, lt, notExists, sql } from 'drizzle-orm';
import { CHANGE_RETENTION_MS } from '../../domain/time-limits.ts';
import type { HousekeepingStore } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import {
  agentSessions,
  candidates,
  changes,
  connectSessions,
  consoleSessions,
  flows,
  portalSessions,
} from './schema.ts';
import { truncateWal } from './secure-delete.ts';

const isInMemory = ({ memory }: SqliteAccess['orm']['$client']): boolean => memory;

export const createHousekeepingStore = ({ orm, write }: SqliteAccess): HousekeepingStore => ({
  deleteExpired: (before, limit) =>
    write(() => {
      const { stateDigest } = flows;
      const ended = orm.select({ stateDigest }).from(flows).where(lt(flows.expiresAt, before)).limit(limit);
      const { id } = connectSessions;
      const isFree = notExists(orm.select().from(candidates).where(eq(candidates.sessionId, id)));
      const isOver = and(lt(connectSessions.expiresAt, before), isFree);
      const over = orm.select({ id }).from(connectSessions).where(isOver).limit(limit);
      const isOld = sql`${changes.at} < unixepoch('subsec') * 1000 - ${CHANGE_RETENTION_MS}`;
      const old = orm.select({ seq: changes.seq }).from(changes).where(isOld).limit(limit);
      const isLeft = lt(consoleSessions.expiresAt, before);
      const left = orm.select({ id: consoleSessions.id }).from(consoleSessions).where(isLeft).limit(limit);
      const agents = orm
        .select({ id: agentSessions.id })
        .from(agentSessions)
        .where(lt(agentSessions.expiresAt, before))
        .limit(limit);
      const portals = orm
        .select({ id: portalSessions.id })
        .from(portalSessions)
        .where(lt(portalSessions.expiresAt, before))
        .limit(limit);
      const deleted = [
        orm.delete(flows).where(inArray(stateDigest, ended)).run(),
        orm.delete(connectSessions).where(inArray(id, over)).run(),
        orm.delete(portalSessions).where(inArray(portalSessions.id, portals)).run(),
        orm.delete(agentSessions).where(inArray(agentSessions.id, agents)).run(),
        orm.delete(changes).where(inArray(changes.seq, old)).run(),
        orm.delete(consoleSessions).where(inArray(consoleSessions.id, left)).run(),
      ];
      return deleted.some((one) => one.changes >= limit);
    }),
  wipeDeleted: async () => isInMemory(orm.$client) || truncateWal(orm.$client),
  // Rewrites a field of the file's header that nothing reads: it has to reach the disk like any other write.
  ping: () => write(() => void orm.run(sql`PRAGMA user_version = 1`)),
});
