// The key ring's proofs, the sweeping of what has ended, and the sign of life, in PostgreSQL.
import { asc, eq, lt, sql } from 'drizzle-orm';
import { CHANGE_RETENTION_MS } from '../../domain/time-limits.ts';
import type { Store } from '../../ports/index.ts';
import type { PostgresAccess } from './client.ts';
import type { Liveness } from './liveness.ts';
import { changes, connectSessions, flows, keyChecks } from './schema.ts';

export const upkeepStore = (
  { ask, write, record }: PostgresAccess,
  { holder }: Liveness,
): Pick<Store, 'keyChecks' | 'addKeyCheck' | 'removeKeyCheck' | 'deleteExpired' | 'ping'> => ({
  keyChecks: () => ask((orm) => orm.select().from(keyChecks).orderBy(asc(keyChecks.kid))),
  // Two replicas may meet a new key at the same time: the first proof is as good as the second.
  addKeyCheck: (check) =>
    ask(async (orm) => {
      await orm.insert(keyChecks).values(check).onConflictDoNothing();
    }),
  removeKeyCheck: (kid, by) =>
    write(async (orm) => {
      const removed = await orm.delete(keyChecks).where(eq(keyChecks.kid, kid)).returning({ kid: keyChecks.kid });
      if (removed.length > 0) await record(orm, by);
    }),
  deleteExpired: (before) =>
    write(async (orm) => {
      await orm.delete(flows).where(lt(flows.expiresAt, before));
      await orm.delete(connectSessions).where(lt(connectSessions.expiresAt, before));
      const since = sql`(extract(epoch from clock_timestamp()) * 1000)::bigint - ${sql.raw(String(CHANGE_RETENTION_MS))}`;
      await orm.delete(changes).where(sql`${changes.at} < ${since}`);
    }),
  // A standby, or a primary that has become one, would refuse it.
  ping: () =>
    ask(async (orm) => {
      await orm.execute(sql`update replicas set seen_at = clock_timestamp() where holder = ${holder}`);
    }),
});
