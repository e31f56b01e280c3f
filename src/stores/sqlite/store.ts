// The store on an embedded SQLite file, put together from its parts.
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { Store } from '../../ports/index.ts';
import { auditStore, recorder } from './audit.ts';
import { callerStore } from './callers.ts';
import { openChangeFeed } from './change-feed.ts';
import type { SqliteAccess } from './client.ts';
import { servedStore } from './cold-read.ts';
import { sessionStore } from './connect-sessions.ts';
import { connectionStore } from './connections.ts';
import { openDatabase, pathOf } from './database.ts';
import { declaredStore } from './declarative-file.ts';
import { GroupCommit, storeError } from './group-commit.ts';
import { upkeepStore } from './housekeeping.ts';
import { integrationStore } from './integrations.ts';
import { announce } from './liveness.ts';
import { paceStore } from './rate-buckets.ts';
import { refreshStore } from './refreshes.ts';
import { revocationStore } from './revocations.ts';
import { sealedStore } from './secret-columns.ts';

/**
 * Opens `file:<path>` or `file::memory:`, and migrates it. `migrations` is the folder of the generated SQL, for a
 * bundle that lies elsewhere. Rejects with `StoreError`, also when a newer version made the database.
 */
export async function openSqlite(url: string, migrations?: string): Promise<Store> {
  const client = openDatabase(url, migrations);
  const commits = new GroupCommit(client);
  const liveness = announce(pathOf(url));
  const orm = drizzle(client);
  const news = openChangeFeed(client);
  const audited = recorder(client);
  const access: SqliteAccess = {
    orm,
    read: async (question) => {
      try {
        return question();
      } catch (cause) {
        throw storeError(cause);
      }
    },
    write: (sentence) => commits.write(sentence),
    record: (entry, ...told) => {
      audited(entry);
      news.tell(told);
    },
  };
  return {
    ...integrationStore(access),
    ...callerStore(access),
    ...declaredStore(access),
    ...sessionStore(access),
    ...connectionStore(access),
    ...servedStore(client, orm),
    ...refreshStore(access, liveness),
    ...paceStore(access),
    ...revocationStore(access),
    ...auditStore(access),
    ...upkeepStore(access),
    ...sealedStore(access),
    subscribe: news.subscribe,
    close: async () => {
      commits.finish();
      news.stop();
      client.close();
      liveness.leave();
    },
  };
}

/** Brings the tables up to date and leaves. Throws `StoreError`. */
export function migrateSqlite(url: string, migrations?: string): void {
  openDatabase(url, migrations).close();
}
