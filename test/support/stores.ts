// PostgreSQL stores for tests: each on a migrated database, closed when the test ends.
import { onTestFinished } from 'vitest';
import type { Store } from '../../src/ports/index.ts';
import { migratePostgres, openPostgres } from '../../src/stores/postgres/store.ts';
import { aDatabase, sharedDatabase } from './postgres.ts';

let template: Promise<string> | undefined;

/** The URL of a new database with empty tables. */
export async function createMigratedDatabase(): Promise<string> {
  template ??= sharedDatabase('migrated', migratePostgres);
  return aDatabase(await template);
}

export async function openTestStore(url: string): Promise<Store> {
  const store = await openPostgres(url);
  onTestFinished(() => store.close());
  return store;
}
