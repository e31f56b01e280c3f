// The database of a deployment, for commands beside its brokers: one that no broker has used means that its URL has a typing error.
import type { Logger, Store } from '../ports/index.ts';
import { openExistingStore } from '../stores/open.ts';
import type { Config } from './config.ts';
import { SetupError } from './setup-error.ts';

export interface UsedStore {
  store: Store;
  /** The ids of the keys that it has proofs of. */
  kids: string[];
}

/** Makes no database. Without `dataDir`: as `openStore`. Rejects with `SetupError` if no broker has used it, or with `StoreError`. */
export async function openUsedStore(
  location: Pick<Config, 'databaseUrl'> & Partial<Pick<Config, 'dataDir'>>,
  log: Logger,
): Promise<UsedStore> {
  const store = await openExistingStore(location, log);
  try {
    const kids = (await store.keyChecks()).map(({ kid }) => kid);
    if (kids.length === 0) throw new SetupError(['VALETKEY_DATABASE_URL: no broker has used this database yet']);
    return { store, kids };
  } catch (error) {
    await store.close();
    throw error;
  }
}
