// Deleting what has expired, and proving that the database accepts writes, in SQLite.
import { lt, sql } from 'drizzle-orm';
import { CHANGE_RETENTION_MS } from '../../domain/time-limits.ts';
import type { HousekeepingStore } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { changes, connectSessions, flows } from './schema.ts';

export const createHousekeepingStore = ({ orm, write }: SqliteAccess): HousekeepingStore => ({
  deleteExpired: (before) =>
    write(() => {
      orm.delete(flows).where(lt(flows.expiresAt, before)).run();
      orm.delete(connectSessions).where(lt(connectSessions.expiresAt, before)).run();
      orm.delete(changes).where(sql`${changes.at} < unixepoch('subsec') * 1000 - ${CHANGE_RETENTION_MS}`).run();
    }),
  // Rewrites a field of the file's header that nothing reads: it has to reach the disk like any other write.
  ping: () => write(() => void orm.run(sql`PRAGMA user_version = 1`)),
});
