// The PostgreSQL store: the conformance suite against a real server.
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { aDatabase, emptied } from '../../support/postgres.ts';
import { conformance } from '../conformance/index.ts';

let database: string | undefined;
async function migrated(): Promise<string> {
  const url = await aDatabase();
  await migratePostgres(url);
  return url;
}

conformance('PostgreSQL', async () => {
  database ??= await migrated();
  const url = database;
  await emptied(url);
  return { store: await openPostgres(url), another: () => openPostgres(url) };
});
