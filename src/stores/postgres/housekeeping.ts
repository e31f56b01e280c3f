// Deleting what has expired, and proving that the database accepts writes, in PostgreSQL.
import { and, eq, inArray, lt, notExists, sql } from 'drizzle-orm';
import { CHANGE_RETENTION_MS } from '../../domain/time-limits.ts';
import type { HousekeepingStore } from '../../ports/index.ts';
import type { PostgresAccess } from './client.ts';
import type { Liveness } from './liveness.ts';
import {
  agentSessions,
  candidates,
  changes,
  connectSessions,
  consoleSessions,
  flows,
  portalSessions,
} from './schema.ts';

export const createHousekeepingStore = (
  { autocommit, transaction }: PostgresAccess,
  { holder }: Liveness,
): HousekeepingStore => ({
  deleteExpired: (before, limit) =>
    transaction(async (orm) => {
      const { stateDigest } = flows;
      const ended = orm.select({ stateDigest }).from(flows).where(lt(flows.expiresAt, before)).limit(limit);
      const { id } = connectSessions;
      const isFree = notExists(orm.select().from(candidates).where(eq(candidates.sessionId, id)));
      const isOver = and(lt(connectSessions.expiresAt, before), isFree);
      const over = orm.select({ id }).from(connectSessions).where(isOver).limit(limit);
      // A transaction's time, which an index can be searched by.
      const since = sql`(extract(epoch from statement_timestamp()) * 1000)::bigint - ${sql.raw(String(CHANGE_RETENTION_MS))}`;
      const old = orm.select({ seq: changes.seq }).from(changes).where(sql`${changes.at} < ${since}`).limit(limit);
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
        await orm.delete(flows).where(inArray(stateDigest, ended)),
        await orm.delete(connectSessions).where(inArray(id, over)),
        await orm.delete(portalSessions).where(inArray(portalSessions.id, portals)),
        await orm.delete(agentSessions).where(inArray(agentSessions.id, agents)),
        await orm.delete(changes).where(inArray(changes.seq, old)),
        await orm.delete(consoleSessions).where(inArray(consoleSessions.id, left)),
      ];
      return deleted.some(({ rowCount }) => (rowCount ?? 0) >= limit);
    }),
  // Dead rows, the write-ahead log and backups are the server's: SECURITY.md says what they may hold.
  wipeDeleted: async () => true,
  // A standby, or a primary that has become one, refuses it.
  ping: () =>
    autocommit(async (orm) => {
      await orm.execute(sql`update replicas set seen_at = clock_timestamp() where holder = ${holder}`);
    }),
});
