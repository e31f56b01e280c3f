// Moving everything from one database to another: the use case, put together with the stores that the URLs mean.
import type { Moved, Progress } from '../broker/maintenance/index.ts';
import { type Place, StoreError } from '../ports/index.ts';
import { openMigrationEndpoint } from '../stores/open.ts';

export type { Moved } from '../broker/maintenance/index.ts';

export interface Move {
  from: string;
  to: string;
  /** Where a broker on PostgreSQL has its rescue file. */
  dataDir: string;
  onProgress: (progress: Progress) => void;
}

/** Needs no key, and may be repeated. `refused`: why it did not begin, or why it failed. */
export async function moveData({ from, to, dataDir, onProgress }: Move): Promise<Moved | { refused: string }> {
  const endpoints: Place[] = [];
  const open = async (databaseUrl: string): Promise<Place> => {
    const endpoint = await openMigrationEndpoint({ databaseUrl, dataDir });
    endpoints.push(endpoint);
    return endpoint;
  };
  try {
    const { move } = await import('../broker/maintenance/index.ts');
    return await move({ source: await open(from), target: await open(to), told: onProgress });
  } catch (error) {
    if (error instanceof StoreError) return { refused: error.message };
    throw error;
  } finally {
    for (const endpoint of endpoints) await endpoint.close();
  }
}
