// Which store the URL of a database means: opened, migrated, and carried from one to another.
import { join } from 'node:path';
import type { Moved, Progress } from '../broker/maintenance/index.ts';
import { type Logger, type Place, type Store, StoreError } from '../ports/index.ts';
import type { Config } from '../runtime/config.ts';
import type { Finding } from './postgres/store.ts';
import { openRescue, type RescueFile, waitingIn } from './sqlite/rescue-file.ts';

export type { Moved } from '../broker/maintenance/index.ts';

/** For a deployment that migrates before it starts. Rejects with `StoreError`. */
export async function migrateStore(databaseUrl: string): Promise<void> {
  if (isPostgres(databaseUrl)) return (await import('./postgres/store.ts')).migratePostgres(databaseUrl);
  (await import('./sqlite/store.ts')).migrateSqlite(databaseUrl);
}

export const isPostgres = (databaseUrl: string): boolean => /^postgres(ql)?:/.test(databaseUrl);

const FOUND: Record<Finding, string> = {
  names_not_kept: 'a pooler is in front of the database: statements go without names, as with prepare=false in its URL',
};

/** Only what is used is loaded. */
export async function openStore({ databaseUrl }: Config, log: Logger): Promise<Store> {
  if (isPostgres(databaseUrl)) {
    const { openPostgres } = await import('./postgres/store.ts');
    return openPostgres(databaseUrl, (finding) => log.warn({ finding }, FOUND[finding]));
  }
  return (await import('./sqlite/store.ts')).openSqlite(databaseUrl);
}

/** Beside the data; where these are elsewhere, in a folder of this machine. */
export const openRescueFile = ({ databaseUrl, dataDir }: Config): RescueFile =>
  openRescue(isPostgres(databaseUrl) ? `file:${join(dataDir, 'valetkey')}` : databaseUrl);

export interface Move {
  from: string;
  to: string;
  /** Where a broker on PostgreSQL keeps on this machine what the database would not take. */
  dataDir: string;
  told: (progress: Progress) => void;
}

/** Carries everything from one database to another, which needs no key. Tells why not, or how it went; may be run again. */
export async function moveData({ from, to, dataDir, told }: Move): Promise<Moved | { refused: string }> {
  const places: Place[] = [];
  const placeAt = async (url: string): Promise<Place> => {
    const place = isPostgres(url)
      ? (await import('./postgres/data-migration.ts')).postgresPlace(url, () => waitingIn(join(dataDir, 'valetkey')))
      : (await import('./sqlite/data-migration.ts')).sqlitePlace(url);
    places.push(place);
    return place;
  };
  try {
    const { move } = await import('../broker/maintenance/index.ts');
    return await move({ source: await placeAt(from), target: await placeAt(to), told });
  } catch (error) {
    if (error instanceof StoreError) return { refused: error.message };
    throw error;
  } finally {
    for (const place of places) await place.close();
  }
}
