// The store on a PostgreSQL database, put together from its parts.
import type { Store } from '../../ports.ts';
import { auditStore } from './audit.ts';
import { callerStore } from './callers.ts';
import { connectionStore } from './connections.ts';
import { ASIDE, migrate, openPool, readAddress } from './database.ts';
import { declaredStore } from './declared.ts';
import { storeError } from './errors.ts';
import { integrationStore } from './integrations.ts';
import { announce } from './liveness.ts';
import { openDoor } from './postgres.ts';
import { refreshStore } from './refreshing.ts';
import { revocationStore } from './revocations.ts';
import { sealedStore } from './sealed.ts';
import { sessionStore } from './sessions.ts';
import { upkeepStore } from './upkeep.ts';
import { openNews } from './watch.ts';

/**
 * Opens `postgres://…` (see `readAddress`), and migrates it. `migrations` is the folder of the generated SQL, for a bundle
 * that lies elsewhere. Rejects with `StoreError`, also when a newer version made the database.
 */
export async function openPostgres(url: string, migrations?: string): Promise<Store> {
  const address = readAddress(url);
  await migrate(address, migrations);
  const pool = openPool(address, address.pool);
  // For signs of life and news, which must not wait in a line of others.
  const aside = openPool(address, 1, ASIDE);
  const close = async () => {
    await Promise.all([pool.end(), aside.end()]);
  };
  try {
    const liveness = await announce(aside);
    const news = openNews(address, aside, liveness);
    const door = openDoor(pool, address.isNamed, liveness, news.ring);
    let closing: Promise<void> | undefined;
    return {
      ...integrationStore(door),
      ...callerStore(door),
      ...declaredStore(door),
      ...sessionStore(door),
      ...connectionStore(door),
      ...refreshStore(door, liveness),
      ...revocationStore(door),
      ...auditStore(door),
      ...upkeepStore(door, liveness),
      ...sealedStore(door),
      watch: news.watch,
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
export const migratePostgres = (url: string, migrations?: string): Promise<void> =>
  migrate(readAddress(url), migrations);
