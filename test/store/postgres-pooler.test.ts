// The PostgreSQL store behind a pooler in transaction mode: the conformance suite, three connections for everybody.
import { afterAll, beforeAll } from 'vitest';
import { migratePostgres, openPostgres } from '../../src/adapters/postgres/store.ts';
import { type Pooler, startPooler } from '../support/pooler.ts';
import { aDatabase } from '../support/postgres.ts';
import { conformance } from './conformance.ts';

let template: string;
let pooler: Pooler;
beforeAll(async () => {
  template = await aDatabase();
  pooler = await startPooler(template);
  await migratePostgres(template);
});
afterAll(() => pooler?.stop());

conformance('PostgreSQL, pooled,', async () => {
  const url = `${pooler.through(await aDatabase(template))}?prepare=false`;
  return { store: await openPostgres(url), another: () => openPostgres(url) };
});
