// Deleting what has expired, and proving that the database accepts writes, in PostgreSQL.
import { lt, sql } from 'drizzle-orm';
import { CHANGE_RETENTION_MS } from '../../domain/time-limits.ts';
import type { HousekeepingStore } from '../../ports/index.ts';
import type { PostgresAccess } from './client.ts';
import type { Liveness } from './liveness.ts';
import { changes, connectSessions, flows } from './schema.ts';

export const createHousekeepingStore = (
  { autocommit, transaction }: PostgresAccess,
  { holder }: Liveness,
): HousekeepingStore => ({
  deleteExpired: (before) =>
    transaction(async (orm) => {
      await orm.delete(flows).where(lt(flows.expiresAt, before));
      await orm.delete(connectSessions).where(lt(connectSessions.expiresAt, before));
      const since = sql`(extract(epoch from clock_timestamp()) * 1000)::bigint - ${sql.raw(String(CHANGE_RETENTION_MS))}`;
      await orm.delete(changes).where(sql`${changes.at} < ${since}`);
    }),
  // A standby, or a primary that has become one, refuses it.
  ping: () =>
    autocommit(async (orm) => {
      await orm.execute(sql`update replicas set seen_at = clock_timestamp() where holder = ${holder}`);
    }),
});
