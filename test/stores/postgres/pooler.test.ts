// The PostgreSQL store behind a pooler in transaction mode, with three connections: the parts of the conformance suite whose
// operations have several statements, take locks, or rely on their own connection; all of them in the long run.
import { afterAll } from 'vitest';
import { openPostgres } from '../../../src/stores/postgres/store.ts';
import { isLong } from '../../support/long.ts';
import { type Pooler, startPooler } from '../../support/pooler.ts';
import { clear } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { conformance } from '../conformance/index.ts';

let started: Promise<{ direct: string; pooler: Pooler }> | undefined;
async function start() {
  const direct = await createMigratedDatabase();
  return { direct, pooler: await startPooler(direct) };
}
const running = () => {
  started ??= start();
  return started;
};
afterAll(async () => (await started)?.pooler.stop());

const LONG = ['connect sessions and flows', 'rate buckets', 'revocations', 'change feed'] as const;
const PARTS = ['refreshes', 're-encryption', ...(isLong ? LONG : [])] as const;

async function open() {
  const { direct, pooler } = await running();
  return openPostgres(`${pooler.urlFor(direct)}?prepare=false`);
}

conformance('PostgreSQL, pooled,', { open, clear: async () => clear((await running()).direct) }, PARTS);
