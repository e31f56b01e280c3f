// Operations that share a statement: what comes in one turn of the event loop, and what comes while one is under way.
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createBatches } from '../../../src/stores/postgres/batches.ts';
import { asked } from '../../support/postgres.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import { anEntry, connected, NOW, someCredentials, someRefreshedFields } from '../builders.ts';

/** Batches that end when the test says so. */
function held() {
  const begun: { batch: readonly number[]; end: PromiseWithResolvers<number[]> }[] = [];
  const run = createBatches<number, number>((batch) => {
    const end = Promise.withResolvers<number[]>();
    begun.push({ batch, end });
    return end.promise;
  });
  return { begun, run };
}

test('batches: those of one turn run together, and those that come meanwhile, each with its outcome', async () => {
  const { begun, run } = held();
  const first = [1, 2].map(run);
  await expect.poll(() => begun.length).toBe(1);
  const later = [3, 4].map(run);
  expect(begun.map(({ batch }) => batch)).toEqual([[1, 2]]);
  begun[0]!.end.resolve([10, 20]);
  expect(await Promise.all(first)).toEqual([10, 20]);
  await expect.poll(() => begun.length).toBe(2);
  expect(begun[1]!.batch).toEqual([3, 4]);
  begun[1]!.end.resolve([30, 40]);
  expect(await Promise.all(later)).toEqual([30, 40]);
});

test('batches: a failure rejects those of its batch, and the next one runs', async () => {
  const { begun, run } = held();
  const first = run(1);
  await expect.poll(() => begun.length).toBe(1);
  const second = run(2);
  begun[0]!.end.reject(new Error('away'));
  await expect(first).rejects.toThrow('away');
  await expect.poll(() => begun.length).toBe(2);
  begun[1]!.end.resolve([20]);
  expect(await second).toBe(20);
});

async function lockedConnection(url: string, id: string) {
  const client = new Client(url);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('begin');
  await client.query('select 1 from connections where id = $1 for no key update', [id]);
  return { release: () => client.query('commit') };
}

test('claims and commits that come together: one whose connection is locked holds up none of the others', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const given = { failures: 0, lastRefreshError: null };
  const all = [await connected(store, given), await connected(store, given), await connected(store, given)];
  const [first, locked, last] = all.map(({ connection }) => connection.id) as [string, string, string];
  const claim = (id: string) => store.claim(id, { attempt: `att_${id}`, generation: 1, now: NOW, monotonic: 0 });
  const lock = await lockedConnection(url, locked);
  // The first goes alone; the others are one statement.
  const claims = [claim(locked), claim(first), claim(last)] as const;
  expect([await claims[1], await claims[2]]).toMatchObject([{ fence: 1 }, { fence: 1 }]);
  expect(await asked(url, `select attempt from leases where connection_id = '${locked}'`)).toEqual([{ attempt: null }]);
  await lock.release();
  expect(await claims[0]).toMatchObject({ fence: 1, unresolved: null });

  const routine = { fence: 1, generation: 1, isRoutine: true, keepsValues: true };
  const commit = (id: string) =>
    store.commitRefresh(id, routine, someRefreshedFields(), someCredentials(), anEntry, 'changes');
  const again = await lockedConnection(url, locked);
  const commits = [commit(locked), commit(first), commit(last)] as const;
  expect([await commits[1], await commits[2]]).toEqual(['committed', 'committed']);
  expect((await store.connection(locked))?.generation).toBe(1);
  await again.release();
  expect(await commits[0]).toBe('committed');
  expect((await store.connection(locked))?.generation).toBe(2);
});

test('claims and commits that come together: each has its own outcome, in whatever order', async () => {
  const url = await createMigratedDatabase();
  const [one, other] = [await openTestStore(url), await openTestStore(url)];
  const given = { failures: 0, lastRefreshError: null };
  const made = await Promise.all(Array.from({ length: 6 }, () => connected(one, given)));
  const [free, held, newer, gone, unsent, left] = made.map(({ connection }) => connection.id) as [string, ...string[]];
  const claim = (store: typeof one, id: string, given: object = {}) =>
    store.claim(id, { attempt: `att_${id}`, generation: 1, now: NOW, monotonic: 0, ...given });
  await claim(other, held!);
  await asked(url, `update connections set generation = 2 where id = '${newer}'`);
  await one.revoke(gone!, 'unsupported', NOW, anEntry());
  await claim(one, unsent!);
  await claim(one, left!);
  await one.releaseUnsent(left!, { fence: 1, unresolved: { attempt: 'att_first', startedAt: NOW - 5 } });
  const outcomes = await Promise.all([
    claim(one, held!),
    claim(one, unsent!, { unsent: { fence: 1, unresolved: { attempt: 'att_0', startedAt: NOW - 7 } } }),
    claim(one, newer!),
    claim(one, free),
    claim(one, gone!),
    claim(one, left!),
  ]);
  expect(outcomes).toMatchObject([
    'busy',
    { fence: 2, unresolved: { attempt: 'att_0', startedAt: NOW - 7 }, connection: { id: unsent } },
    'gone',
    { fence: 1, unresolved: null, connection: { id: free }, credentials: made[0]!.credentials },
    'gone',
    { fence: 2, unresolved: { attempt: 'att_first', startedAt: NOW - 5 }, connection: { id: left } },
  ]);
  expect(await asked(url, `select fence, attempt from leases where connection_id = '${free}'`)).toEqual([
    { fence: 1, attempt: `att_${free}` },
  ]);

  const changed = someRefreshedFields();
  const commit = (id: string, fence: number, generation: number) => {
    const routine = { fence, generation, isRoutine: true, keepsValues: true };
    return one.commitRefresh(id, routine, changed, someCredentials(), anEntry, 'changes');
  };
  const committed = await Promise.all([
    commit(left!, 1, 1),
    commit(newer!, 0, 1),
    commit(free, 1, 1),
    commit(unsent!, 2, 1),
  ]);
  // The first is the answer of an earlier claim: it is committed by itself, and leaves the lease to the newer one.
  expect(committed).toEqual(['committed', 'superseded', 'committed', 'committed']);
  const stillHeld = await asked(url, 'select connection_id as id from leases where holder is not null order by 1');
  expect(stillHeld.map(({ id }) => id)).toEqual([held, left].toSorted());
  const changes = await asked(url, `select id from changes where kind = 'connection' and generation > 1`);
  expect(changes).toEqual([{ id: left }]);
  const refreshed = await asked(url, 'select connection_id as id from leases where refreshed_generation = 2');
  expect(refreshed.map(({ id }) => id).toSorted()).toEqual([free, unsent].toSorted());
});

test('many connections that someone has locked: two claims wait for the locks, the others do not', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const claim = (id: string) => store.claim(id, { attempt: `att_${id}`, generation: 1, now: NOW, monotonic: 0 });
  const ids = await Promise.all(Array.from({ length: 20 }, async () => (await connected(store)).connection.id));
  const locks = await Promise.all(ids.map((id) => lockedConnection(url, id)));
  const claims = ids.map(claim);
  const claimed = Promise.all(claims);
  const answered: unknown[] = [];
  for (const one of claims) void one.then((outcome) => answered.push(outcome));
  await expect.poll(() => answered).toEqual(Array.from({ length: 18 }, () => 'busy'));
  // The pool has connections for the rest meanwhile.
  const free = (await connected(store)).connection.id;
  expect(await claim(free)).toMatchObject({ fence: 1 });
  for (const lock of locks) await lock.release();
  expect((await claimed).filter((outcome) => outcome !== 'busy')).toHaveLength(2);
});

test('a claim that the database refuses fails alone', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const all = [await connected(store), await connected(store), await connected(store)];
  const [first, bad, last] = all.map(({ connection }) => connection.id) as [string, string, string];
  await asked(url, `update leases set fence = ${2 ** 31 - 1} where connection_id = '${bad}'`);
  const claim = (id: string) => store.claim(id, { attempt: `att_${id}`, generation: 1, now: NOW, monotonic: 0 });
  const outcomes = await Promise.allSettled([claim(first), claim(bad), claim(last)]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(outcomes[2]).toMatchObject({ value: { fence: 1, unresolved: null } });
});

test('a claim that fails beside one of a free lease: that one is claimed', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const [free, bad] = [await connected(store), await connected(store)].map(({ connection }) => connection.id);
  const unresolved = `fence = ${2 ** 31 - 1}, attempt = 'att_0', started_at = ${NOW}`;
  await asked(url, `update leases set ${unresolved} where connection_id = '${bad}'`);
  const claim = (id: string) => store.claim(id, { attempt: `att_${id}`, generation: 1, now: NOW, monotonic: 0 });
  const [claimed, failed] = await Promise.allSettled([claim(free!), claim(bad!)]);
  expect(claimed).toMatchObject({ status: 'fulfilled', value: { fence: 1, unresolved: null } });
  expect(failed.status).toBe('rejected');
});
