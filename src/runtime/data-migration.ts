// Migrating all data from one database to another: the use case with the stores that the URLs mean.
import type { DataMigrationProgress, DataMigrationResult } from '../broker/maintenance/index.ts';
import { type MigrationEndpoint, StoreError } from '../ports/index.ts';
import { openMigrationEndpoint } from '../stores/open.ts';

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
