// The PostgreSQL store behind a pooler in transaction mode, with three connections: the parts of the conformance suite whose
// operations have several statements, take locks, or rely on their own connection.
import { afterAll } from 'vitest';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { type Pooler, startPooler } from '../../support/pooler.ts';
import { aDatabase, emptied } from '../../support/postgres.ts';
import { conformance } from '../conformance/index.ts';

let started: { direct: string; pooler: Pooler } | undefined;
async function start() {
  const direct = await aDatabase();
  await migratePostgres(direct);
  return { direct, pooler: await startPooler(direct) };
}
afterAll(() => started?.pooler.stop());

const PARTS = [
  'connect sessions and flows',
  'refreshes',
  'rate buckets',
  'revocations',
  're-encryption',
  'change feed',
] as const;

const open = async () => {
  started ??= await start();
  const { direct, pooler } = started;
  await emptied(direct);
  const url = `${pooler.urlFor(direct)}?prepare=false`;
  return { store: await openPostgres(url), another: () => openPostgres(url) };
};

conformance('PostgreSQL, pooled,', open, PARTS);
