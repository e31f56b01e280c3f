// The change feed of PostgreSQL when something is missing: the notification, the listening connection, numbers, or commits.
import { Client } from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Change, Store } from '../../../src/ports/index.ts';
import { openChangeFeed } from '../../../src/stores/postgres/change-feed.ts';
import { openPool, readAddress } from '../../../src/stores/postgres/database.ts';
import { createStatementNames } from '../../../src/stores/postgres/prepared-statements.ts';
import { migratePostgres } from '../../../src/stores/postgres/store.ts';
import { startPooler } from '../../support/pooler.ts';
import { asked } from '../../support/postgres.ts';
import { startPostgres } from '../../support/postgres-server.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { anEntry, anIntegration, connected, NOW, someCredentials, someRefreshedFields } from '../builders.ts';

/** A subscription with a clock of its own, and what it reported. */
async function subscribed(url: string) {
  const address = readAddress(url);
  const pool = openPool(address, 1);
  let ahead = 0;
  const liveness = { holder: 'me', tellApplied: async () => undefined, onDown: () => undefined, isAlone: () => false };
  const names = createStatementNames(true, () => undefined);
  const changeFeed = openChangeFeed({ ...liveness, address, pool, names, now: () => performance.now() + ahead });
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

  test('after a fail-over to a server whose transactions have lower numbers', async () => {
    const url = await createMigratedDatabase();
    const link = await startTcpProxy(url);
    const other = await startPostgres();
    onTestFinished(async () => {
      await link.close();
      await other.stop();
    });
    const name = new URL(url).pathname.slice(1);
    await asked(other.url('postgres'), `create database ${name}`);
    await migratePostgres(other.url(name));
    const next = async (server: string) => {
      const [row] = await asked(server, 'select pg_snapshot_xmax(pg_current_snapshot())::text as next');
      return Number(row!.next);
    };
    // The other server is a new one, and this one may be too.
    const ahead = `do $$ begin for i in 1..4000 loop perform 1; commit; perform pg_current_xact_id(); end loop; end $$`;
    await asked(url, ahead);
    expect(await next(url)).toBeGreaterThan(await next(other.url(name)));
    const { reported, receives } = await subscribed(link.url);
    link.redirectTo(other.port);
    link.cut();
    link.heal();
    await vi.waitFor(() => expect(reported).toContainEqual(everything), { timeout: 30_000 });
    await put(await openTestStore(other.url(name)), 'there');
    await receives('there');
  });

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

  test('after no read for half of the retention', () => reportsEverything(async (_, pass) => pass(5 * 60_000 + 1)));
});

describe('a change is reported, and not everything,', () => {
  /** A transaction that has added a change and is open. */
  async function anOpenTransaction(url: string, id: string): Promise<Client> {
    const client = new Client({ connectionString: url });
    await client.connect();
    onTestFinished(() => client.end().catch(() => undefined));
    await client.query('begin');
    await client.query("insert into changes (kind, id) values ('integration', $1)", [id]);
    return client;
  }

  test('whose transaction began first and ends last, after minutes', async () => {
    const url = await createMigratedDatabase();
    const before = await anOpenTransaction(url, 'before');
    const { reported, receives, pass } = await subscribed(url);
    const during = await anOpenTransaction(url, 'during');
    const writer = await openTestStore(url);
    for (const id of ['a', 'b']) {
      await put(writer, id);
      await receives(id);
      pass(2 * 60_000);
    }
    for (const client of [before, during]) await client.query('commit');
    for (const id of ['before', 'during']) await receives(id);
    expect(reported).not.toContainEqual(everything);
  });

  test('after thousands of numbers that are missing, or given out long before', async () => {
    const url = await createMigratedDatabase();
    const { reported, receives } = await subscribed(url);
    const insert = (seq: number, id: string) =>
      asked(url, `insert into changes (seq, kind, id) overriding system value values (${seq}, 'integration', '${id}')`);
    await insert(900_000, 'high');
    await receives('high');
    await insert(7, 'low');
    await receives('low');
    expect(reported).not.toContainEqual(everything);
  });

  test('of a transaction that was rolled back, never', async () => {
    const url = await createMigratedDatabase();
    const { reported, receives } = await subscribed(url);
    await (await anOpenTransaction(url, 'undone')).query('rollback');
    await put(await openTestStore(url), 'done');
    await receives('done');
    expect(reported).toEqual([{ kind: 'integration', id: 'done' }]);
  });

  test('of more changes than one read brings, each', async () => {
    const url = await createMigratedDatabase();
    const { reported } = await subscribed(url);
    await asked(url, `insert into changes (kind, id) select 'integration', n from generate_series(1, 5000) n`);
    await vi.waitFor(() => expect(reported).toHaveLength(5_000), { timeout: 30_000 });
    expect(reported.map((change) => 'id' in change && Number(change.id))).toEqual(
      Array.from({ length: 5_000 }, (_, i) => i + 1),
    );
  });

  test('by a standby that gave it the number of a transaction that it had lost', async () => {
    const url = await createMigratedDatabase();
    const link = await startTcpProxy(url);
    onTestFinished(() => link.close());
    const { reported, receives } = await subscribed(link.url);
    const [row] = await asked(url, 'select pg_current_xact_id()::text as xid');
    await put(await openTestStore(url), 'seen');
    await receives('seen');
    link.cut();
    await asked(url, `insert into changes (kind, id, xid) values ('integration', 'again', '${row!.xid}')`);
    link.heal();
    await receives('again');
    expect(reported).toContainEqual({ kind: 'reconnected' });
    expect(reported).not.toContainEqual(everything);
  });

  test('while a transaction of another application is open, by what is new alone', async () => {
    const url = await createMigratedDatabase();
    const open = await anOpenTransaction(url, 'open');
    const { receives } = await subscribed(url);
    const added = `insert into changes (kind, id) values ('integration', n)`;
    await asked(url, `do $$ begin for n in 1..4000 loop ${added}; commit; end loop; end $$`);
    await receives('4000');
    const rowsRead = async () => {
      await asked(url, 'select pg_stat_force_next_flush()');
      const [row] = await asked(
        url,
        `select (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int as count from pg_stat_user_tables where relname = 'changes'`,
      );
      return Number(row!.count);
    };
    await asked(url, 'analyze changes');
    const before = await rowsRead();
    const writer = await openTestStore(url);
    for (let n = 0; n < 5; n++) {
      await put(writer, `more_${n}`);
      await receives(`more_${n}`);
    }
    await open.query('rollback');
    expect((await rowsRead()) - before).toBeLessThan(4_000);
  });
});

describe('a routine refresh', () => {
  async function refreshable(store: Store) {
    const { connection } = await connected(store, { failures: 0, lastRefreshError: null });
    const { id } = connection;
    let generation = 0;
    const refresh = async (by: Store) => {
      generation++;
      const claimed = await by.claim(id, { attempt: `att_${generation}`, generation, now: NOW, monotonic: 0 });
      if (typeof claimed === 'string') throw new Error(claimed);
      const held = { fence: claimed.fence, generation, isRoutine: true, keepsValues: true };
      const committing = by.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry, 'changes');
      expect(await committing).toBe('committed');
      return { kind: 'connection', id, generation: generation + 1, isRefresh: true };
    };
    return { id, refresh };
  }
  async function watching(store: Store) {
    const reported: Change[] = [];
    await store.subscribe((changes) => reported.push(...changes));
    const receives = (change: object) =>
      vi.waitFor(() => expect(reported).toContainEqual(change), { timeout: 30_000, interval: 5 });
    return { reported, receives };
  }

  test('is reported to the others, and not to the process that made it', async () => {
    const url = await createMigratedDatabase();
    const [store, other] = [await openTestStore(url), await openTestStore(url)];
    const { refresh } = await refreshable(store);
    const [own, others] = [await watching(store), await watching(other)];
    await others.receives(await refresh(store));
    // Of several that are not read yet, the last one stands for all.
    await refresh(store);
    await others.receives(await refresh(store));
    await put(store, 'after');
    await own.receives({ kind: 'integration', id: 'after' });
    expect(own.reported).toEqual([{ kind: 'integration', id: 'after' }]);
    const byOther = await refresh(other);
    await own.receives(byOther);
    expect(others.reported).not.toContainEqual(byOther);
  });

  test('does not hide another change of the connection at that generation', async () => {
    const url = await createMigratedDatabase();
    const [store, other] = [await openTestStore(url), await openTestStore(url)];
    const { id, refresh } = await refreshable(store);
    const { receives } = await watching(store);
    const made = await refresh(store);
    await other.revoke(id, 'unsupported', NOW, anEntry());
    await receives({ kind: 'connection', id, generation: made.generation });
  });

  test('is reported by a server that gave its number to another transaction', async () => {
    const url = await createMigratedDatabase();
    const link = await startTcpProxy(url);
    onTestFinished(() => link.close());
    const store = await openTestStore(link.url);
    const { id, refresh } = await refreshable(store);
    const { reported, receives } = await watching(store);
    const made = await refresh(store);
    await put(store, 'seen');
    await receives({ kind: 'integration', id: 'seen' });
    expect(reported).not.toContainEqual(made);
    link.cut();
    link.heal();
    await receives({ kind: 'reconnected' });
    await receives(made);
    const next = await refresh(store);
    const another = `(select refreshed_xid from leases where connection_id = '${id}')`;
    await asked(url, `insert into changes (kind, id, generation, xid) values ('connection', 'other', 7, ${another})`);
    await receives({ kind: 'connection', id: 'other', generation: 7 });
    expect(reported).not.toContainEqual(next);
  });

  /** By hand: of connections of the numbers up to there, in one transaction of this client. */
  async function manyRefreshable(url: string, count: number) {
    const store = await openTestStore(url);
    const { connection } = await connected(store, { failures: 0, lastRefreshError: null });
    const names = (
      await asked(url, `select column_name as name from information_schema.columns where table_name = 'connections'`)
    ).map(({ name }) => String(name));
    const changed: Record<string, string> = { id: `'con_' || lpad(n::text, 5, '0')`, owner: `'user_' || n` };
    await asked(
      url,
      `insert into connections (${names}) select ${names.map((name) => changed[name] ?? `c.${name}`)}
       from connections c, generate_series(1, ${count}) n where c.id = '${connection.id}';
       insert into grants (connection_id) select id from connections on conflict do nothing`,
    );
    const ids = Array.from({ length: count }, (_, n) => `con_${String(n + 1).padStart(5, '0')}`);
    const commit = (of: readonly string[], generation: number) => {
      const each = (value: number | null) => `array_fill(${value}::bigint, array[${of.length}])`;
      const text = `array_fill('t'::text, array[${of.length}])`;
      return `select * from valetkey_commit_refreshes('{${of}}', ${each(0)}::integer[], ${each(generation)}::integer[],
        ${Array(7).fill(each(NOW))}, ${Array(4).fill(text)})`.replace(each(NOW), each(null));
    };
    return { ids, commit };
  }
  const refreshOf = (id: string, generation: number): Change => ({
    kind: 'connection',
    id,
    generation,
    isRefresh: true,
  });
  const clientOf = async (url: string) => {
    const client = new Client(url);
    await client.connect();
    onTestFinished(() => client.end());
    return client;
  };

  test('is reported with thousands of others of its transaction, between the changes before and after it', async () => {
    const url = await createMigratedDatabase();
    const { ids, commit } = await manyRefreshable(url, 4_500);
    const { reported, receives } = await subscribed(url);
    const change = (id: string) => `insert into changes (kind, id) values ('integration', '${id}')`;
    await asked(url, change('before'));
    await asked(url, `${change('with')}; ${commit(ids, 1)}`);
    await asked(url, `${change('after')}; notify valetkey_changes`);
    await receives('after');
    const changed = (id: string) => ({ kind: 'integration', id });
    const refreshed = ids.map((id) => refreshOf(id, 2));
    // Behind transactions of others on the server, changes from before the subscription may be reported as well.
    const from = reported.findIndex((one) => 'id' in one && one.id === 'before');
    expect(reported.slice(from)).toEqual([changed('before'), ...refreshed, changed('with'), changed('after')]);
  });

  test('is reported when it is committed, however many came later, and once more when it was refreshed again', async () => {
    const url = await createMigratedDatabase();
    const { ids, commit } = await manyRefreshable(url, 3);
    const [first, second, third] = ids as [string, string, string];
    const { reported, receives } = await subscribed(url);
    const open = await clientOf(url);
    await open.query('begin');
    await open.query(commit([first], 1));
    await asked(url, commit([second, third], 1));
    await put(await openTestStore(url), 'meanwhile');
    await receives('meanwhile');
    expect(reported).toEqual(expect.arrayContaining([refreshOf(second, 2), refreshOf(third, 2)]));
    expect(reported).not.toContainEqual(refreshOf(first, 2));
    await open.query('commit');
    await asked(url, `${commit([second], 2)}; notify valetkey_changes`);
    await vi.waitFor(
      () => expect(reported).toEqual(expect.arrayContaining([refreshOf(first, 2), refreshOf(second, 3)])),
      { timeout: 30_000 },
    );
    expect(reported.filter((change) => 'id' in change && change.id === third)).toHaveLength(1);
  });

  test('is not reported again by a claim, nor by what else changes its lease', async () => {
    const url = await createMigratedDatabase();
    const { ids, commit } = await manyRefreshable(url, 2);
    const { reported, receives } = await subscribed(url);
    await asked(url, commit(ids, 1));
    await asked(url, `update leases set fence = fence + 1, due_at = due_at + 1, holder = 'h'`);
    await put(await openTestStore(url), 'after');
    await receives('after');
    expect(reported.slice(0, -1)).toEqual(ids.map((id) => refreshOf(id, 2)));
  });

  test('that a standby lacks has everything reported as changed', async () => {
    const url = await createMigratedDatabase();
    const { ids, commit } = await manyRefreshable(url, 2);
    const { reported, receives } = await subscribed(url);
    await asked(url, commit(ids, 1));
    await put(await openTestStore(url), 'after');
    await receives('after');
    expect(reported).not.toContainEqual(everything);
    // The last one seen, which may have been the first of its connection; transactions have gone on meanwhile.
    await asked(
      url,
      `update leases set refreshed_xid = null where connection_id = '${ids[1]}'; notify valetkey_changes`,
    );
    await vi.waitFor(() => expect(reported.at(-1)).toEqual(everything), { timeout: 30_000 });
    await asked(url, commit([ids[0]!], 2));
    await asked(url, 'notify valetkey_changes');
    await vi.waitFor(() => expect(reported.at(-1)).toEqual(refreshOf(ids[0]!, 3)), { timeout: 30_000 });
  });

  test('is among the changes as long as a replica of an earlier release may be alive', async () => {
    const url = await createMigratedDatabase();
    const { ids, commit } = await manyRefreshable(url, 2);
    const changes = async (generation: number) => {
      await asked(url, commit(ids, generation));
      const rows = await asked(url, `select id from changes where generation = ${generation + 1} order by id`);
      return rows.map((row) => row.id);
    };
    expect(await changes(1)).toEqual([]);
    await asked(url, `insert into replicas (holder, seen_at, applied_seq) values ('earlier', clock_timestamp(), 0)`);
    const { reported, receives } = await subscribed(url);
    expect(await changes(2)).toEqual(ids);
    await put(await openTestStore(url), 'after');
    await receives('after');
    // Each once, though it is there twice.
    expect(reported.slice(0, -1)).toEqual(ids.map((id) => refreshOf(id, 3)));
    // It may be frozen, or its clock set: it is not judged in minutes.
    await asked(url, `update replicas set seen_at = seen_at - interval '59 minutes' where holder = 'earlier'`);
    expect(await changes(3)).toEqual(ids);
    await asked(url, `update replicas set seen_at = seen_at - interval '2 minutes' where holder = 'earlier'`);
    expect(await changes(4)).toEqual([]);
  });

  test('notifies no one where no other process is, and all of them once one is', async () => {
    const url = await createMigratedDatabase();
    const listener = new Client({ connectionString: url });
    await listener.connect();
    onTestFinished(() => listener.end());
    const heard: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query('listen valetkey_changes');
    const alone = await openTestStore(url);
    const { refresh } = await refreshable(alone);
    const ofRefreshes = () => heard.filter((payload) => payload !== '' && payload !== 'closed');
    for (let n = 0; n < 3; n++) await refresh(alone);
    // It sends at the latest now what it was to send.
    await alone.close();
    await asked(url, "notify valetkey_changes, 'closed'");
    await vi.waitFor(() => expect(heard).toContain('closed'), { timeout: 30_000 });
    expect(ofRefreshes()).toEqual([]);
    const store = await openTestStore(url);
    await openTestStore(url);
    await vi.waitFor(
      async () => {
        await refresh(store);
        expect(ofRefreshes()).not.toEqual([]);
      },
      { timeout: 30_000, interval: 50 },
    );
    const holders = await asked(url, 'select holder from replicas');
    expect(holders).toContainEqual({ holder: ofRefreshes()[0] });
  });
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

describe('a replica of an earlier release, which knows only numbers,', () => {
  /** Its row, as far as it has applied changes. */
  const applied = (url: string, seq: string) =>
    asked(
      url,
      `insert into replicas (holder, seen_at, applied_seq) values ('earlier', clock_timestamp(), ${seq})
       on conflict (holder) do update set seen_at = excluded.seen_at, applied_seq = excluded.applied_seq`,
    );

  test('is waited for', async () => {
    const url = await createMigratedDatabase();
    const store = await openTestStore(url);
    await applied(url, '0');
    expect(await store.untilApplied(100)).toBe(1);
    const waiting = store.untilApplied(30_000);
    await vi.waitFor(
      async () => {
        await applied(url, '(select max(seq) from changes)');
        expect(await Promise.race([waiting, undefined])).toBe(0);
      },
      { timeout: 30_000 },
    );
  });

  test('is told by the number of its barrier that the others have applied what came before', async () => {
    const url = await createMigratedDatabase();
    const store = await openTestStore(url);
    await store.subscribe(() => undefined);
    const [barrier] = await asked(url, `insert into changes (kind, id) values ('barrier', 'earlier') returning seq`);
    await asked(url, 'notify valetkey_changes');
    await vi.waitFor(
      async () => {
        const [row] = await asked(url, 'select applied_seq from replicas');
        expect(Number(row!.applied_seq)).toBeGreaterThanOrEqual(Number(barrier!.seq));
      },
      { timeout: 30_000 },
    );
  });
});
