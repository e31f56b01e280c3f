// Processes that have ended, on PostgreSQL: others may take over what they had claimed only once what they have left in their
// rescue file is committed.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import type { Store } from '../../../src/ports/index.ts';
import { openStore } from '../../../src/stores/open.ts';
import { hasPostgres } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { anEntry, connected, NOW, someCredentials, someRefreshedFields } from '../builders.ts';

async function setup() {
  const databaseUrl = await createMigratedDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-ended-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const open = async (machine: string): Promise<Store> => {
    const store = await openStore({ databaseUrl, dataDir: join(folder, machine) }, createLogger('silent'));
    onTestFinished(() => store.close());
    return store;
  };
  const locksOf = (machine: string) => readdirSync(join(folder, machine)).filter((name) => name.includes('-alive-'));
  return { open, locksOf };
}

/** Without a reuse window: a silent holder is in doubt for minutes. */
const claim = (store: Store, id: string) =>
  store.claim(id, { attempt: `att_${randomUUID()}`, generation: 1, now: NOW, monotonic: performance.now() });

/** A process that ends without having stored the response of its refresh. */
async function endedWithin(open: (machine: string) => Promise<Store>) {
  const ended = await open('a');
  await ended.reportEnded(async () => false);
  const { connection } = await connected(ended);
  const claimed = await claim(ended, connection.id);
  if (typeof claimed === 'string') throw new Error(claimed);
  await ended.close();
  return { connection, fence: claimed.fence };
}

test.skipIf(!hasPostgres())(
  'is reported by the next one on its machine, once what it has left is committed',
  async () => {
    const { open, locksOf } = await setup();
    const { connection, fence } = await endedWithin(open);
    const other = await open('b');
    const next = await open('a');
    // It is open, and has not looked into the rescue file yet.
    expect(await claim(other, connection.id)).toBe('busy');
    await next.reportEnded(async () => false);
    expect(await claim(other, connection.id)).toBe('busy');
    expect(locksOf('a')).toHaveLength(2);

    await next.reportEnded(async () => {
      const held = { fence, generation: 1 };
      await next.commitRefresh(connection.id, held, someRefreshedFields(), someCredentials(), () => anEntry());
      return true;
    });
    expect((await other.connection(connection.id))?.generation).toBe(2);
    expect(locksOf('a')).toHaveLength(1);
  },
);

test.skipIf(!hasPostgres())('that has left nothing: what it had claimed is taken over at once', async () => {
  const { open, locksOf } = await setup();
  const { connection } = await endedWithin(open);
  const other = await open('b');
  const next = await open('a');
  await next.reportEnded(async () => true);
  expect(await claim(other, connection.id)).toMatchObject({ unresolved: expect.anything() });
  await next.close();
  expect(locksOf('a')).toEqual([]);
});

test.skipIf(!hasPostgres())('a look that fails is repeated by the next heartbeat', async () => {
  const { open, locksOf } = await setup();
  const { connection } = await endedWithin(open);
  const next = await open('a');
  let looks = 0;
  await next.reportEnded(async () => {
    if (++looks === 1) throw new Error('the rescue file cannot be read');
    return true;
  });
  expect(locksOf('a')).toHaveLength(2);
  await expect.poll(() => locksOf('a'), { timeout: 30_000 }).toHaveLength(1);
  expect(await claim(await open('b'), connection.id)).toMatchObject({ unresolved: expect.anything() });
});
