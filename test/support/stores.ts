// Stores on PostgreSQL as processes have them: each on a migrated database, closed when the test has ended.
import { onTestFinished } from 'vitest';
import type { Store } from '../../src/ports/index.ts';
import { migratePostgres, openPostgres } from '../../src/stores/postgres/store.ts';
import { aDatabase } from './postgres.ts';

let template: Promise<string> | undefined;

/** Of a database with tables, and nothing in them, that nobody else has. */
export async function aMigratedDatabase(): Promise<string> {
  template ??= aDatabase().then(async (url) => {
    await migratePostgres(url);
    return url;
  });
  return aDatabase(await template);
}

export async function opened(url: string): Promise<Store> {
  const store = await openPostgres(url);
  onTestFinished(() => store.close());
  return store;
}
