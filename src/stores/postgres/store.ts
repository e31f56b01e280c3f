// The store on a PostgreSQL database, put together from its parts.
import type { Store } from '../../ports/index.ts';
import { auditStore } from './audit.ts';
import { callerStore } from './callers.ts';
import { openChangeFeed } from './change-feed.ts';
import { openDoor } from './client.ts';
import { sessionStore } from './connect-sessions.ts';
import { connectionStore } from './connections.ts';
import { ASIDE, migrate, openPool, readAddress } from './database.ts';
import { declaredStore } from './declarative-file.ts';
import { storeError } from './errors.ts';
import { upkeepStore } from './housekeeping.ts';
import { integrationStore } from './integrations.ts';
import { announce } from './liveness.ts';
import { keepsNames } from './prepared-statements.ts';
import { paceStore } from './rate-buckets.ts';
import { refreshStore } from './refreshes.ts';
import { revocationStore } from './revocations.ts';
import { sealedStore } from './secret-columns.ts';

/** What is found out at the start about the way to the database, and goes well without anybody's doing. */
export type Finding = 'names_not_kept';

/**
 * Opens `postgres://…` (see `readAddress`), and migrates it. Rejects with `StoreError`, also when a newer version made the
 * database.
 */
export async function openPostgres(url: string, found: (finding: Finding) => void = () => undefined): Promise<Store> {
  const address = readAddress(url);
  await migrate(address);
  const pool = openPool(address, address.pool);
  // For signs of life and news, which must not wait in a line of others.
  const aside = openPool(address, 1, ASIDE);
  const close = async () => {
    await Promise.all([pool.end(), aside.end()]);
  };
  try {
    const isNamed = address.isNamed && (await keepsNames(pool, aside));
    if (isNamed !== address.isNamed) found('names_not_kept');
    const liveness = await announce(aside);
    const news = openChangeFeed({ address, pool: aside, onAway: liveness.onAway });
    const door = openDoor({ pool, isNamed, liveness, namesLost: () => found('names_not_kept'), rung: news.ring });
    let closing: Promise<void> | undefined;
    return {
      ...integrationStore(door),
      ...callerStore(door),
      ...declaredStore(door),
      ...sessionStore(door),
      ...connectionStore(door),
      ...refreshStore(door, liveness),
      ...paceStore(door),
      ...revocationStore(door),
      ...auditStore(door),
      ...upkeepStore(door, liveness),
      ...sealedStore(door),
      subscribe: news.watch,
      close: () => {
        closing ??= (async () => {
          await door.shut();
          await news.stop();
          await liveness.leave();
          await close();
        })();
        return closing;
      },
    };
  } catch (cause) {
    await close();
    throw storeError(cause);
  }
}

/** Brings the tables up to date and leaves. Rejects with `StoreError`. */
export const migratePostgres = (url: string): Promise<void> => migrate(readAddress(url));
