// The PostgreSQL store: the conformance suite against a real server.
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { aDatabase, clear } from '../../support/postgres.ts';
import { conformance } from '../conformance/index.ts';

let database: Promise<string> | undefined;
async function migrated(): Promise<string> {
  const url = await aDatabase();
  await migratePostgres(url);
  return url;
}
const url = () => {
  database ??= migrated();
  return database;
};

conformance('PostgreSQL', { open: async () => openPostgres(await url()), clear: async () => clear(await url()) });
