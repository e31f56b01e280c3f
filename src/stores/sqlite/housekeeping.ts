// The key ring's proofs, the sweeping of what has ended, and the sign of life, in SQLite.
import { asc, eq, lt, sql } from 'drizzle-orm';
import { CHANGE_RETENTION_MS } from '../../domain/time-limits.ts';
import type { Store } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { changes, connectSessions, flows, keyChecks } from './schema.ts';

export const upkeepStore = ({
  orm,
  read,
  write,
  record,
}: SqliteAccess): Pick<Store, 'keyChecks' | 'addKeyCheck' | 'removeKeyCheck' | 'deleteExpired' | 'ping'> => ({
  keyChecks: () => read(() => orm.select().from(keyChecks).orderBy(asc(keyChecks.kid)).all()),
  // Two replicas may meet a new key at the same time: the first proof is as good as the second.
  addKeyCheck: (check) => write(() => void orm.insert(keyChecks).values(check).onConflictDoNothing().run()),
  removeKeyCheck: (kid, by) =>
    write(() => {
      if (orm.delete(keyChecks).where(eq(keyChecks.kid, kid)).run().changes > 0) record(by);
    }),
  deleteExpired: (before) =>
    write(() => {
      orm.delete(flows).where(lt(flows.expiresAt, before)).run();
      orm.delete(connectSessions).where(lt(connectSessions.expiresAt, before)).run();
      orm.delete(changes).where(sql`${changes.at} < unixepoch('subsec') * 1000 - ${CHANGE_RETENTION_MS}`).run();
    }),
  // Rewrites a field of the file's header, which nothing reads: it has to reach the disk like any other write.
  ping: () => write(() => void orm.run(sql`PRAGMA user_version = 1`)),
});
