// The order of locks in PostgreSQL: sets of claims and commits lock connections, then their leases one after the other. What another
// operation does to several leases, or to a lease and its connection, must not wait for them in the opposite order.
import { Client } from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { CLAIMED_DUE_AGAIN_MS } from '../../../src/domain/time-limits.ts';
import type { Store } from '../../../src/ports/index.ts';
import { asked } from '../../support/postgres.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import { aCaller, anEntry, anIntegration, connected, NOW, someCredentials } from '../builders.ts';

const HOUR = 3_600_000;

/** A transaction of another process that goes on as the test says. */
async function transactionOf(url: string) {
  const client = new Client(url);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('begin');
  return {
    lockConnections: (ids: string[]) =>
      client.query('select 1 from connections where id = any($1) for no key update', [ids]),
    /** Fails if someone else has locked it: that is who waits for this transaction, and so the deadlock. */
    async claimLease(id: string) {
      await client.query('select 1 from leases where connection_id = $1 for no key update nowait', [id]);
      await client.query('update leases set fence = fence + 1 where connection_id = $1', [id]);
    },
    lock: (table: string, id: string) => client.query(`select 1 from ${table} where id = $1 for update nowait`, [id]),
    commit: () => client.query('commit'),
  };
}

/** Until a statement waits for a lock. */
const waits = (url: string) =>
  vi.waitFor(
    async () =>
      expect(
        await asked(
          url,
          `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        ),
      ).toHaveLength(1),
    { timeout: 30_000 },
  );

async function due(store: Store, count: number) {
  const made = await Promise.all(Array.from({ length: count }, () => connected(store, { nextRefreshAt: NOW - 1 })));
  return made.map(({ connection }) => connection.id).toSorted();
}

const dueTimes = async (url: string) =>
  (await asked(url, 'select due_at from leases order by connection_id')).map(({ due_at }) => Number(due_at));

test('postponing: leases that another transaction has locked are left, and it waits for none of them', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const ids = await due(store, 3);
  const claiming = await transactionOf(url);
  await claiming.claimLease(ids[1]!);
  await store.postponeDue(ids, NOW);
  const later = NOW + CLAIMED_DUE_AGAIN_MS;
  expect(await dueTimes(url)).toEqual([later, NOW - 1, later]);
  await claiming.commit();
  await store.postponeDue(ids, NOW);
  expect(await dueTimes(url)).toEqual([later, later, later]);
});

test.each([
  ['the first', 0, 1],
  ['the second', 1, 0],
])(
  'correcting due times beside a set of claims that has %s of two leases: it does not hold the other one meanwhile, and both are corrected',
  async (_, one, other) => {
    const url = await createMigratedDatabase();
    const store = await openTestStore(url);
    const ids = await due(store, 2);
    await store.postponeDue(ids, NOW + HOUR);
    const claiming = await transactionOf(url);
    await claiming.lockConnections(ids);
    await claiming.claimLease(ids[one]!);
    const correcting = store.correctDueTimes(NOW, { limit: 9, after: undefined });
    await waits(url);
    await claiming.claimLease(ids[other]!);
    await claiming.commit();
    expect(await correcting).toEqual({ corrected: 2, next: null });
    expect(await dueTimes(url)).toEqual([NOW, NOW]);
  },
);

test('reconnecting without a refresh token beside a claim of the connection: it does not hold the lease while it waits', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const { connection } = await connected(store);
  const claiming = await transactionOf(url);
  await claiming.lockConnections([connection.id]);
  const reconnecting = store.renewConnection(
    connection,
    { ...someCredentials(), refreshToken: undefined },
    null,
    anEntry(),
  );
  await waits(url);
  await claiming.claimLease(connection.id);
  await claiming.commit();
  expect(await reconnecting).toEqual({ generation: 2 });
});

test('declarations at once, each in an order of its own: no one holds a row while it waits for an earlier one', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const integrations = ['a', 'b'].map((id) => ({ settings: anIntegration({ id }), audit: anEntry() }));
  const callers = ['clr_a', 'clr_b'].map((id) => ({ caller: aCaller({ id }), keys: undefined, audit: anEntry() }));
  await store.putDeclared({ integrations, callers });
  for (const [table, first, second, declared] of [
    ['integrations', 'a', 'b', { integrations: integrations.toReversed(), callers: [] }],
    ['callers', 'clr_a', 'clr_b', { integrations: [], callers: callers.toReversed() }],
  ] as const) {
    const other = await transactionOf(url);
    await other.lock(table, first);
    const applying = store.putDeclared({
      integrations: declared.integrations.map((one) => ({ ...one, audit: anEntry() })),
      callers: declared.callers.map((one) => ({ ...one, audit: anEntry() })),
    });
    await waits(url);
    await other.lock(table, second);
    await other.commit();
    expect(await applying).toBe('stored');
  }
});
