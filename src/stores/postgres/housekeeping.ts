// Deleting what has expired, and proving that the database accepts writes, in PostgreSQL.
import { and, asc, eq, inArray, lt, notExists, type SQL, sql } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { CHANGE_RETENTION_MS } from '../../domain/time-limits.ts';
import type { HousekeepingStore } from '../../ports/index.ts';
import { deleteSome } from './chosen-rows.ts';
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
      const { id } = connectSessions;
      const isFree = notExists(orm.select().from(candidates).where(eq(candidates.sessionId, id)));
      const since = sql`(extract(epoch from statement_timestamp()) * 1000)::bigint - ${sql.raw(String(CHANGE_RETENTION_MS))}`;
      // The oldest by their numbers: those of a session that had numbers left may be younger, and are deleted in their turn.
      const { seq, at } = changes;
      const oldest = orm.select({ seq, at }).from(changes).orderBy(asc(seq)).limit(limit).as('oldest');
      const old = orm.select({ seq: oldest.seq }).from(oldest).where(sql`${oldest.at} < ${since}`);
      const expired = <T extends PgTable & { expiresAt: PgColumn }>(table: T, key: PgColumn, more?: SQL) =>
        deleteSome(orm, table, key, and(lt(table.expiresAt, before), more), limit);
      const left = [
        await expired(flows, flows.stateDigest),
        await expired(connectSessions, id, isFree),
        await expired(portalSessions, portalSessions.id),
        await expired(agentSessions, agentSessions.id),
        await expired(consoleSessions, consoleSessions.id),
        await deleteSome(orm, changes, seq, inArray(seq, old), limit),
      ];
      return left.includes(true);
    }),
  // Dead rows, the write-ahead log and backups are the server's: SECURITY.md says what they may hold.
  wipeDeleted: async () => true,
  // A standby, or a primary that has become one, refuses it.
  ping: () =>
    autocommit(async (orm) => {
      await orm.execute(sql`update replicas set seen_at = clock_timestamp() where holder = ${holder}`);
    }),
});
