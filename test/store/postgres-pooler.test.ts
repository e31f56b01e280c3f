// The PostgreSQL store behind a pooler in transaction mode: the conformance suite, three connections for everybody.
import { afterAll, beforeAll } from 'vitest';
import { migratePostgres, openPostgres } from '../../src/adapters/postgres/store.ts';
import { type Pooler, startPooler } from '../support/pooler.ts';
import { aDatabase, emptied } from '../support/postgres.ts';
import { conformance } from './conformance.ts';

let direct: string;
let pooler: Pooler;
beforeAll(async () => {
  direct = await aDatabase();
  pooler = await startPooler(direct);
  await migratePostgres(direct);
});
afterAll(() => pooler?.stop());

conformance('PostgreSQL, pooled,', async () => {
  await emptied(direct);
  const url = `${pooler.through(direct)}?prepare=false`;
  return { store: await openPostgres(url), another: () => openPostgres(url) };
});
