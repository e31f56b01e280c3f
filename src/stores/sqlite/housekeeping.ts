// Deleting what has expired, and proving that the database accepts writes, in SQLite.
import { and, eq, lt, notExists, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import { CHANGE_RETENTION_MS } from '../../domain/time-limits.ts';
import type { HousekeepingStore } from '../../ports/index.ts';
import { deleteSome } from './chosen-rows.ts';
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

export const createHousekeepingStore = ({ orm, write, truncateLog }: SqliteAccess): HousekeepingStore => ({
  deleteExpired: (before, limit) =>
    write(() => {
      const { id } = connectSessions;
      const isFree = notExists(orm.select().from(candidates).where(eq(candidates.sessionId, id)));
      const isOld = sql`${changes.at} < unixepoch('subsec') * 1000 - ${CHANGE_RETENTION_MS}`;
      const expired = <T extends SQLiteTable & { expiresAt: SQLiteColumn }>(table: T, key: SQLiteColumn, more?: SQL) =>
        deleteSome(orm, table, key, and(lt(table.expiresAt, before), more), limit);
      const left = [
        expired(flows, flows.stateDigest),
        expired(connectSessions, id, isFree),
        expired(portalSessions, portalSessions.id),
        expired(agentSessions, agentSessions.id),
        expired(consoleSessions, consoleSessions.id),
        deleteSome(orm, changes, changes.seq, isOld, limit),
      ];
      return left.includes(true);
    }),
  wipeDeleted: truncateLog,
  // Rewrites a field of the file's header that nothing reads: it has to reach the disk like any other write.
  ping: () => write(() => void orm.run(sql`PRAGMA user_version = 1`)),
});
