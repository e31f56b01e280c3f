// News in PostgreSQL when something is missing: the notification, the connection that listens, or the numbers themselves.
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Change, Store } from '../../../src/ports/index.ts';
import { openChangeFeed } from '../../../src/stores/postgres/change-feed.ts';
import { openPool, readAddress } from '../../../src/stores/postgres/database.ts';
import { startPooler } from '../../support/pooler.ts';
import { asked } from '../../support/postgres.ts';
import { aMigratedDatabase, opened } from '../../support/stores.ts';
import { anEntry, anIntegration } from '../builders.ts';

/** A watch with a clock of its own, and what it was told. */
async function watching(url: string) {
  const address = readAddress(url);
  const pool = openPool(address, 1);
  let ahead = 0;
  const changeFeed = openChangeFeed({ address, pool, onDown: () => undefined, now: () => performance.now() + ahead });
  onTestFinished(async () => {
    await changeFeed.stop();
    await pool.end();
  });
  const told: Change[] = [];
  const watch = await changeFeed.subscribe((changes) => told.push(...changes));
  const hears = async (id: string) => {
    const since = performance.now();
    const heard = () => expect(told).toContainEqual({ kind: 'integration', id });
    await vi.waitFor(heard, { timeout: 15_000, interval: 5 });
    return performance.now() - since;
  };
  return { told, watch, hears, pass: (ms: number) => (ahead += ms) };
}
const put = (store: Store, id: string) => store.putIntegration(anIntegration({ id }), anEntry());
const everything: Change = { kind: 'everything' };

test('a change of which nobody was notified is felt within the bound', async () => {
  const direct = await aMigratedDatabase();
  const pooler = await startPooler(direct, { lacks: /^notify\b/ });
  onTestFinished(() => pooler.stop());
  const { watch, hears } = await watching(direct);
  expect(watch).toMatchObject({ delivery: 'pushed', everyMs: 2_000 });
  const writer = await opened(pooler.through(direct));
  const took: number[] = [];
  for (const id of ['a', 'b', 'c']) {
    await put(writer, id);
    took.push(await hears(id));
  }
  expect(Math.max(...took)).toBeLessThan(watch.everyMs + 1_000);
  // Otherwise it was no use to keep the notifications back.
  expect(Math.max(...took)).toBeGreaterThan(500);
});

test('a listener that was cut off catches up, and listens again', async () => {
  const url = await aMigratedDatabase();
  const listeners = `select pid from pg_stat_activity where datname = current_database() and query ilike 'listen %'`;
  const [{ hears, told }, writer] = [await watching(url), await opened(url)];
  const [{ pid: before }] = (await asked(url, listeners)) as [{ pid: number }];
  await asked(url, `select pg_terminate_backend(${before})`);
  await put(writer, 'meanwhile');
  expect(await hears('meanwhile')).toBeLessThan(3_000);
  await vi.waitFor(async () => {
    const pids = (await asked(url, listeners)).map(({ pid }) => pid);
    expect(pids).toHaveLength(1);
    expect(pids).not.toContain(before);
  }, 10_000);
  const took: number[] = [];
  for (const id of ['d', 'e', 'f']) {
    await put(writer, id);
    took.push(await hears(id));
  }
  expect(Math.min(...took)).toBeLessThan(500);
  expect(told).not.toContainEqual(everything);
});

describe('nothing that is remembered is relied on', () => {
  /** Some changes that were told, and then what happens to the table. */
  async function isTold(happens: (url: string, pass: (ms: number) => void) => Promise<unknown>) {
    const url = await aMigratedDatabase();
    const { told, hears, pass } = await watching(url);
    const writer = await opened(url);
    for (const id of ['a', 'b', 'c']) await put(writer, id);
    await hears('c');
    told.length = 0;
    await happens(url, pass);
    // Otherwise it is only looked at two seconds later.
    await asked(url, 'notify valetkey_changes');
    await vi.waitFor(() => expect(told).toEqual([everything]), 10_000);
    told.length = 0;
    // And from there on as ever.
    await put(writer, 'next');
    await hears('next');
    expect(told).not.toContainEqual(everything);
  }
  /** At once, so that no look falls in between. */
  const becomes =
    (numbersFrom: number, ...statements: string[]) =>
    (url: string) =>
      asked(url, [...statements, `alter table changes alter column seq restart with ${numbersFrom}`].join('; '));
  const insert = (seq: string) => `insert into changes (seq, kind) overriding system value select ${seq}, 'callers'`;

  test('when a standby took over whose numbers are lower', () =>
    isTold(becomes(2, 'delete from changes where seq > 1')));

  test('when it has gone on with other changes, under the numbers that were seen', () =>
    isTold(
      becomes(
        1_000,
        'update changes set at = at + 1 where seq = (select max(seq) from changes)',
        `${insert('max(seq) + 1')} from changes`,
      ),
    ));

  test('when it has left some out', () =>
    isTold(
      becomes(
        1_000,
        `with lost as (delete from changes where seq = (select max(seq) from changes) returning seq)
         insert into changes (seq, kind) overriding system value select seq + 30, 'callers' from lost`,
      ),
    ));

  test('when more is missing than can be looked out for', () =>
    isTold(becomes(3_000, `${insert('max(seq) + 2000')} from changes`)));

  test('when nobody looked for half as long as changes are kept', () =>
    isTold(async (_, pass) => pass(5 * 60_000 + 1)));
});

test('a watch says how long ago it looked', async () => {
  const { watch, pass } = await watching(await aMigratedDatabase());
  expect(watch.lagMs()).toBeLessThan(10_000);
  pass(60_000);
  expect(watch.lagMs()).toBeGreaterThanOrEqual(60_000);
  await vi.waitFor(() => expect(watch.lagMs()).toBeLessThan(10_000), 10_000);
});

test('changes are swept after ten minutes, and no younger ones', async () => {
  const url = await aMigratedDatabase();
  const store = await opened(url);
  for (const id of ['old', 'young']) await put(store, id);
  await asked(url, `update changes set at = at - ${10 * 60_000 + 1} where id = 'old'`);
  await store.deleteExpired(0);
  expect(await asked(url, 'select id from changes')).toEqual([{ id: 'young' }]);
});
