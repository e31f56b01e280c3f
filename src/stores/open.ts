// Which store a database URL means, by its scheme. Only the driver that is used is loaded.
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { createLogThrottle } from '../domain/log-throttle.ts';
import { STORE_ERROR_LOG_INTERVAL_MS } from '../domain/time-limits.ts';
import { type Logger, type MigrationEndpoint, type Store, StoreError, type WithdrawalLog } from '../ports/index.ts';
import { makeFolder } from './shared/own-files.ts';
import { openWithdrawalLog } from './shared/withdrawal-log.ts';
import { countRescued, openRescue, type RescueFile } from './sqlite/rescue-file.ts';

export type { RescueFile } from './sqlite/rescue-file.ts';

export interface StoreLocation {
  /** `file:<path>`, `file::memory:` or `postgres://…`. */
  databaseUrl: string;
  /** A folder of this machine, for what lies beside a database that is elsewhere: the rescue file, and process locks. */
  dataDir: string;
}

const isPostgres = (databaseUrl: string): boolean => /^postgres(ql)?:/.test(databaseUrl);

/**
 * Migrates the tables when needed. Without a `dataDir`, others learn only from its silence that this process has ended.
 * `monotonic`: as of `Clock`. Rejects with `StoreError`.
 */
export async function openStore(
  { databaseUrl, dataDir }: Pick<StoreLocation, 'databaseUrl'> & Partial<StoreLocation>,
  log: Logger,
  monotonic?: () => number,
): Promise<Store> {
  if (!isPostgres(databaseUrl)) {
    const { openSqlite } = await import('./sqlite/store.ts');
    const throttle = createLogThrottle(monotonic ?? (() => performance.now()), STORE_ERROR_LOG_INTERVAL_MS);
    return openSqlite(databaseUrl, undefined, monotonic, (err) => {
      const suppressed = throttle();
      if (suppressed !== undefined)
        log.warn({ err, suppressed }, 'audit log: the thread that appends failed, the event loop appends');
    });
  }
  const { openPostgres } = await import('./postgres/store.ts');
  const { openProcessLocks } = await import('./sqlite/process-locks.ts');
  const onNamesLost = () =>
    log.warn(
      { prepared_statements: false },
      'a pooler is in front of the database: prepared statements are not used, as with prepare=false in its URL',
    );
  const locks = dataDir === undefined ? undefined : openProcessLocks(remoteData(dataDir));
  return openPostgres(databaseUrl, onNamesLost, monotonic, locks).catch((error: unknown) => {
    locks?.release();
    throw error;
  });
}

/** As `openStore`, of a database that is there: an SQLite file is not made. */
export async function openExistingStore(location: Parameters<typeof openStore>[0], log: Logger): Promise<Store> {
  if (!isPostgres(location.databaseUrl)) (await import('./sqlite/database.ts')).existingPath(location.databaseUrl);
  return openStore(location, log);
}

/** Only migrates the tables, for a deployment that does so before it starts. Rejects with `StoreError`. */
export async function migrateStore(databaseUrl: string): Promise<void> {
  if (isPostgres(databaseUrl)) return (await import('./postgres/store.ts')).migratePostgres(databaseUrl);
  (await import('./sqlite/store.ts')).migrateSqlite(databaseUrl);
}

/** See `backupSqlite`. PostgreSQL has tools of its own for that. Rejects with `StoreError`. */
export async function backupStore(databaseUrl: string, to: string): Promise<{ bytes: number; rescued: number }> {
  if (isPostgres(databaseUrl))
    throw new StoreError(
      'a PostgreSQL database is backed up with its own tools: pg_dump --format=custom --file=FILE, with the URL of the database',
    );
  return (await import('./sqlite/backup.ts')).backupSqlite(databaseUrl, to);
}

/** Beside an SQLite file; otherwise in the data folder. Throws `StoreError`. */
export const openRescueFile = ({ databaseUrl, dataDir }: StoreLocation): RescueFile =>
  openRescue(isPostgres(databaseUrl) ? `file:${remoteData(dataDir)}` : databaseUrl);

/** For a database that may lose commits, in the data folder. */
export const openWithdrawals = ({ dataDir }: Pick<StoreLocation, 'dataDir'>, now: () => number): WithdrawalLog =>
  openWithdrawalLog(remoteData(dataDir), now);

/** The database as the source or target of a data migration. Rejects with `StoreError` when the URL is not valid. */
export async function openMigrationEndpoint({ databaseUrl, dataDir }: StoreLocation): Promise<MigrationEndpoint> {
  if (!isPostgres(databaseUrl)) return (await import('./sqlite/data-migration.ts')).sqliteEndpoint(databaseUrl);
  const { postgresEndpoint } = await import('./postgres/data-migration.ts');
  return postgresEndpoint(databaseUrl, () => countRescued(remoteData(dataDir)));
}

/** Makes the data folder of a database that is elsewhere. Throws the error of the system if this user cannot write there. */
export function reserveDataDir({ databaseUrl, dataDir }: StoreLocation): void {
  if (!isPostgres(databaseUrl)) return;
  makeFolder(dataDir);
  accessSync(dataDir, constants.W_OK | constants.X_OK);
}

/** Where the files beside a remote database are on this machine. */
const remoteData = (dataDir: string): string => join(dataDir, 'valetkey');
