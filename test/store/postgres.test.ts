// The PostgreSQL store: the conformance suite against a real server.
import { beforeAll } from 'vitest';
import { migratePostgres, openPostgres } from '../../src/adapters/postgres/store.ts';
import { aDatabase } from '../support/postgres.ts';
import { conformance } from './conformance.ts';

/** Migrated once, and copied. */
let template: string;
beforeAll(async () => {
  template = await aDatabase();
  await migratePostgres(template);
});

conformance('PostgreSQL', async () => {
  const url = await aDatabase(template);
  return { store: await openPostgres(url), another: () => openPostgres(url) };
});
