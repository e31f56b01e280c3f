// Waiting for a connection of the pool to PostgreSQL: what waits is served in its turn, and what waits too long is told so.
import { Pool } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { problemOfError } from '../../../src/http/errors/problem.ts';
import { StoreBusyError } from '../../../src/ports/index.ts';
import { createPoolWaits } from '../../../src/stores/postgres/pool-waits.ts';
import { openPostgres } from '../../../src/stores/postgres/store.ts';
import { aDatabase } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';

async function aPool() {
  const pool = new Pool({ connectionString: await aDatabase(), max: 2, connectionTimeoutMillis: 60_000 });
  onTestFinished(() => pool.end());
  let now = 0;
  const waits = createPoolWaits({ pool, monotonic: () => now });
  return {
    pool,
    waits,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

test('while a connection is free or can be made, nothing waits', async () => {
  const { waits } = await aPool();
  const one = await waits.connect();
  one.release();
  const both = [await waits.connect(), await waits.connect()];
  expect(waits.state()).toEqual({ waiting: 0, waited: 0, waitedMs: 0, timedOut: 0 });
  for (const client of both) client.release();
});

test('while all are in use, operations wait in their order, and for how long is counted', async () => {
  const { waits, pass } = await aPool();
  const [one, two] = [await waits.connect(), await waits.connect()];
  const served: string[] = [];
  const first = waits.connect().then((client) => {
    served.push('first');
    return client;
  });
  const second = waits.connect().then((client) => {
    served.push('second');
    return client;
  });
  expect(waits.state()).toEqual({ waiting: 2, waited: 0, waitedMs: 0, timedOut: 0 });
  pass(30);
  one.release();
  (await first).release();
  (await second).release();
  two.release();
  expect(served).toEqual(['first', 'second']);
  expect(waits.state()).toEqual({ waiting: 0, waited: 2, waitedMs: 60, timedOut: 0 });
});

test('what waits too long is refused as busy: 503, and that nothing was done', async () => {
  const { pool, waits } = await aPool();
  const held = [await waits.connect(), await waits.connect()];
  pool.options.connectionTimeoutMillis = 1;
  const error: unknown = await waits.connect().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  for (const client of held) client.release();
  expect(error).toBeInstanceOf(StoreBusyError);
  expect(waits.state()).toMatchObject({ waiting: 0, waited: 1, timedOut: 1 });
  const { status, headers, body } = problemOfError(error, 'req_1');
  expect([status, headers['retry-after']]).toEqual([503, '1']);
  expect(JSON.parse(body)).toMatchObject({
    code: 'store_unavailable',
    detail: expect.stringMatching(/busy.*Nothing was done/),
  });
});

test('a server that cannot be reached is no busy one', async () => {
  const pool = new Pool({ host: '127.0.0.1', port: 1, max: 1, connectionTimeoutMillis: 60_000 });
  pool.on('error', () => undefined);
  onTestFinished(() => pool.end());
  const waits = createPoolWaits({ pool, monotonic: () => 0 });
  await expect(waits.connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(waits.state()).toMatchObject({ timedOut: 0 });
});

test('a store with one connection serves what comes at once, one after the other', async () => {
  const store = await openPostgres(`${await createMigratedDatabase()}?pool=1`);
  onTestFinished(() => store.close());
  const waitedBefore = store.databaseWaits().waited;
  const answers = await Promise.all(Array.from({ length: 30 }, () => store.countConnections()));
  expect(answers).toEqual(Array.from({ length: 30 }, () => []));
  const { waited, waiting, timedOut } = store.databaseWaits();
  expect(waited - waitedBefore).toBeGreaterThanOrEqual(29);
  expect([waiting, timedOut]).toEqual([0, 0]);
});
