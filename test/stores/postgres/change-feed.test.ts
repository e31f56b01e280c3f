// The change feed of PostgreSQL when something is missing: the notification, the listening connection, or numbers.
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Change, Store } from '../../../src/ports/index.ts';
import { openChangeFeed } from '../../../src/stores/postgres/change-feed.ts';
import { openPool, readAddress } from '../../../src/stores/postgres/database.ts';
import { startPooler } from '../../support/pooler.ts';
import { asked } from '../../support/postgres.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import { anEntry, anIntegration } from '../builders.ts';

/** A subscription with a clock of its own, and what it reported. */
async function subscribed(url: string) {
  const address = readAddress(url);
  const pool = openPool(address, 1);
  let ahead = 0;
  const liveness = { holder: 'me', tellApplied: async () => undefined, onDown: () => undefined };
  const changeFeed = openChangeFeed({ ...liveness, address, pool, now: () => performance.now() + ahead });
  onTestFinished(async () => {
    await changeFeed.stop();
    await pool.end();
  });
  const reported: Change[] = [];
  const feed = await changeFeed.subscribe((changes) => reported.push(...changes));
  const receives = async (id: string) => {
    const since = performance.now();
    const hasIt = () => expect(reported).toContainEqual({ kind: 'integration', id });
    await vi.waitFor(hasIt, { timeout: 30_000, interval: 5 });
    return performance.now() - since;
  };
  return { reported, feed, receives, pass: (ms: number) => (ahead += ms) };
}
const put = (store: Store, id: string) => store.putIntegration(anIntegration({ id }), anEntry());
const everything: Change = { kind: 'everything' };

test('a change without a notification is reported within the bound', async () => {
  const direct = await createMigratedDatabase();
  const pooler = await startPooler(direct, { unsupported: /^notify\b/ });
  onTestFinished(() => pooler.stop());
  const { feed, receives } = await subscribed(direct);
  expect(feed).toMatchObject({ delivery: 'pushed', everyMs: 2_000 });
  const writer = await openTestStore(pooler.urlFor(direct));
  const delays: number[] = [];
  for (const id of ['a', 'b', 'c']) {
    await put(writer, id);
    delays.push(await receives(id));
  }
  // Otherwise notifications were not held back.
  expect(Math.max(...delays)).toBeGreaterThan(500);
});

test('a listening connection that was terminated catches up, and listens again', async () => {
  const url = await createMigratedDatabase();
  const listeners = `select pid from pg_stat_activity where datname = current_database() and query ilike 'listen %'`;
  const [{ receives, reported }, writer] = [await subscribed(url), await openTestStore(url)];
  const [{ pid: before }] = (await asked(url, listeners)) as [{ pid: number }];
  await asked(url, `select pg_terminate_backend(${before})`);
  await put(writer, 'meanwhile');
  await receives('meanwhile');
  await vi.waitFor(
    async () => {
      const pids = (await asked(url, listeners)).map(({ pid }) => pid);
      expect(pids).toHaveLength(1);
      expect(pids).not.toContain(before);
    },
    { timeout: 30_000 },
  );
  const delays: number[] = [];
  for (const id of ['d', 'e', 'f']) {
    await put(writer, id);
    delays.push(await receives(id));
  }
  // Polled, each would take two seconds.
  expect(Math.min(...delays)).toBeLessThan(1_500);
  expect(reported).not.toContainEqual(everything);
});

describe('everything is reported as changed', () => {
  /** Some changes that were reported, then what happens to the table. */
  async function reportsEverything(happens: (url: string, pass: (ms: number) => void) => Promise<unknown>) {
    const url = await createMigratedDatabase();
    const { reported, receives, pass } = await subscribed(url);
    const writer = await openTestStore(url);
    for (const id of ['a', 'b', 'c']) await put(writer, id);
    await receives('c');
    reported.length = 0;
    await happens(url, pass);
    // Otherwise the table is only read two seconds later.
    await asked(url, 'notify valetkey_changes');
    await vi.waitFor(() => expect(reported).toEqual([everything]), { timeout: 30_000 });
    reported.length = 0;
    // From there on, changes are reported again.
    await put(writer, 'next');
    await receives('next');
    expect(reported).not.toContainEqual(everything);
  }
  /** In one query, so that no read falls in between. */
  const becomes =
    (numbersFrom: number, ...statements: string[]) =>
    (url: string) =>
      asked(url, [...statements, `alter table changes alter column seq restart with ${numbersFrom}`].join('; '));
  const insert = (seq: string) => `insert into changes (seq, kind) overriding system value select ${seq}, 'callers'`;

  test('after a fail-over to lower numbers', () => reportsEverything(becomes(2, 'delete from changes where seq > 1')));

  test('after a fail-over to other changes under the numbers seen', () =>
    reportsEverything(
      becomes(
        1_000,
        'update changes set at = at + 1 where seq = (select max(seq) from changes)',
        `${insert('max(seq) + 1')} from changes`,
      ),
    ));

  test('after a fail-over that lacks the last change seen', () =>
    reportsEverything(
      becomes(
        1_000,
        `with lost as (delete from changes where seq = (select max(seq) from changes) returning seq)
         insert into changes (seq, kind) overriding system value select seq + 30, 'callers' from lost`,
      ),
    ));

  test('when more numbers are missing than can be remembered', () =>
    reportsEverything(becomes(3_000, `${insert('max(seq) + 2000')} from changes`)));

  test('after no read for half of the retention', () => reportsEverything(async (_, pass) => pass(5 * 60_000 + 1)));
});

test('the lag is the time since the last read', async () => {
  const { feed, pass } = await subscribed(await createMigratedDatabase());
  expect(feed.lagMs()).toBeLessThan(10_000);
  pass(60_000);
  expect(feed.lagMs()).toBeGreaterThanOrEqual(60_000);
  await vi.waitFor(() => expect(feed.lagMs()).toBeLessThan(10_000), { timeout: 30_000 });
});

test('deleteExpired deletes changes after ten minutes, and no younger ones', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  for (const id of ['old', 'young']) await put(store, id);
  await asked(url, `update changes set at = at - ${10 * 60_000 + 1} where id = 'old'`);
  await store.deleteExpired(0, 100);
  expect(await asked(url, 'select id from changes')).toEqual([{ id: 'young' }]);
});
