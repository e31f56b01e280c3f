// The PostgreSQL store: the conformance suite against a real server.
import { openPostgres } from '../../../src/stores/postgres/store.ts';
import { clear } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { conformance } from '../conformance/index.ts';

let database: Promise<string> | undefined;
const url = () => {
  database ??= createMigratedDatabase();
  return database;
};

conformance('PostgreSQL', { open: async () => openPostgres(await url()), clear: async () => clear(await url()) });
