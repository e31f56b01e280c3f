// Migrating all data from one database to another, and going back to the first: the use case with the stores that the URLs
// mean.
import type { DataMigrationProgress, DataMigrationResult } from '../broker/maintenance/index.ts';
import { type Logger, type MigrationEndpoint, StoreError } from '../ports/index.ts';
import { openMigrationEndpoint, type StoreLocation } from '../stores/open.ts';

export type { DataMigrationResult } from '../broker/maintenance/index.ts';

export interface DataMigrationOptions {
  from: string;
  to: string;
  /** Where a broker on PostgreSQL has its rescue file on this machine. */
  dataDir: string;
  onProgress: (progress: DataMigrationProgress) => void;
}

/**
 * See `migrateData`. Needs no key, since secrets are copied as they are encrypted, and may be repeated. `refused`: why it
 * did not begin, or why it failed.
 */
export async function runDataMigration({
  from,
  to,
  dataDir,
  onProgress,
}: DataMigrationOptions): Promise<DataMigrationResult | { refused: string }> {
  const endpoints: MigrationEndpoint[] = [];
  const open = async (databaseUrl: string): Promise<MigrationEndpoint> => {
    const endpoint = await openMigrationEndpoint({ databaseUrl, dataDir });
    endpoints.push(endpoint);
    return endpoint;
  };
  try {
    const { migrateData } = await import('../broker/maintenance/index.ts');
    return await migrateData({ source: await open(from), target: await open(to), onProgress });
  } catch (error) {
    if (error instanceof StoreError) return { refused: error.message };
    throw error;
  } finally {
    for (const endpoint of endpoints) await endpoint.close();
  }
}

/**
 * Lets a broker start on a database that was migrated to another one: the operator says that no broker was ever started on
 * the target, so that nothing that is stored here was spent there. Rejects with `StoreError`.
 */
export async function unmarkMigratedSource(location: StoreLocation, log: Logger): Promise<void> {
  if (location.databaseUrl.endsWith(':memory:')) return;
  const endpoint = await openMigrationEndpoint(location);
  try {
    const { migratedTo } = await endpoint.state();
    if (migratedTo === undefined) return;
    await endpoint.unmarkMigrated();
    log.warn(
      { migrated_to: migratedTo },
      'data migration: starting on the source because of --force; never start a broker on the target',
    );
  } finally {
    await endpoint.close();
  }
}
