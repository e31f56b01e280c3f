// The PostgreSQL store: the conformance suite against a real server.
import { beforeAll } from 'vitest';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { aDatabase, emptied } from '../../support/postgres.ts';
import { conformance } from '../conformance/index.ts';

let url: string;
beforeAll(async () => {
  url = await aDatabase();
  await migratePostgres(url);
});

conformance('PostgreSQL', async () => {
  await emptied(url);
  return { store: await openPostgres(url), another: () => openPostgres(url) };
});
