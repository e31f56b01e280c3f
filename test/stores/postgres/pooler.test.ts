// The PostgreSQL store behind a pooler in transaction mode, with three connections: the parts of the conformance suite whose
// operations have several statements, take locks, or rely on their own connection.
import { afterAll, beforeAll } from 'vitest';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { type Pooler, startPooler } from '../../support/pooler.ts';
import { aDatabase, emptied } from '../../support/postgres.ts';
import { conformance } from '../conformance/index.ts';

let direct: string;
let pooler: Pooler;
beforeAll(async () => {
  direct = await aDatabase();
  pooler = await startPooler(direct);
  await migratePostgres(direct);
});
afterAll(() => pooler?.stop());

const PARTS = [
  'connect sessions and flows',
  'refreshes',
  'rate buckets',
  'revocations',
  're-encryption',
  'change feed',
] as const;

const open = async () => {
  await emptied(direct);
  const url = `${pooler.urlFor(direct)}?prepare=false`;
  return { store: await openPostgres(url), another: () => openPostgres(url) };
};

conformance('PostgreSQL, pooled,', open, PARTS);
