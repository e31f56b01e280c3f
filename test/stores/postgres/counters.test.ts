// The counters of connections in PostgreSQL: the migration counts what is there, and commits neither wait nor grow with rows.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { packageFile } from '../../../src/package-files.ts';
import { readAddress } from '../../../src/stores/postgres/database.ts';
import { migrate } from '../../../src/stores/postgres/migrations.ts';
import { migratePostgres } from '../../../src/stores/postgres/store.ts';
import { aDatabase, asked } from '../../support/postgres.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';

/** The migrations of the release before. */
function earlierMigrations(): string {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-migrations-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  cpSync(packageFile('drizzle/postgres'), folder, { recursive: true });
  const path = join(folder, 'meta', '_journal.json');
  const journal = JSON.parse(readFileSync(path, 'utf8'));
  const at = journal.entries.findIndex(({ tag }: { tag: string }) => tag.endsWith('_counters'));
  writeFileSync(path, JSON.stringify({ ...journal, entries: journal.entries.slice(0, at) }));
  return folder;
}

/** Rows as a session writes them that does not know of counters. */
const adding = (from: number, to: number, status = 'active', failures = 0) => `
  insert into connections (id, integration, owner, label, status, scopes, metadata, params, captured, token_type,
    issued_at, failures, generation, created_at, updated_at)
  select 'con_' || n, 'acme', 'user_' || n, '', '${status}', '[]', '{}', '{}', '{}', 'Bearer', 1, ${failures}, 1, 1, 1
  from generate_series(${from}, ${to}) n`;

test('the migration waits for writers that have begun, and counts what they commit', async () => {
  const url = await aDatabase();
  await migrate(readAddress(url), earlierMigrations());
  await asked(url, adding(1, 50));
  const writer = new Client({ connectionString: url });
  await writer.connect();
  onTestFinished(() => writer.end());
  await writer.query(`begin; ${adding(51, 60)}; update connections set failures = 2 where id = 'con_1'`);
  const migrating = migratePostgres(url);
  const waiting = `select 1 from pg_locks where not granted and relation = 'connections'::regclass`;
  await expect.poll(() => asked(url, waiting), { timeout: 30_000 }).toHaveLength(1);
  await writer.query('commit');
  await migrating;
  const store = await openTestStore(url);
  expect(await store.countConnections()).toEqual([{ integration: 'acme', status: 'active', count: 60, failing: 1 }]);
});

test('opposite changes at the same time wait for each other only where they change the same connection', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  await asked(url, adding(1, 1));
  await asked(url, adding(2, 2, 'needs_reauth'));
  const clients = [new Client({ connectionString: url }), new Client({ connectionString: url })] as const;
  for (const client of clients) {
    await client.connect();
    onTestFinished(() => client.end());
    await client.query(`begin; set local lock_timeout = '20s'`);
  }
  const [one, two] = clients;
  await one.query("update connections set status = 'needs_reauth' where id = 'con_1'");
  await two.query("update connections set status = 'active' where id = 'con_2'");
  await one.query(adding(3, 3, 'active', 1));
  // Neither the change that is under way nor the fold waits, and none of what is not committed counts.
  expect(await store.foldConnectionCounts()).toBe(false);
  const counts = async () =>
    new Set((await store.countConnections()).map(({ status, count, failing }) => `${status} ${count} ${failing}`));
  expect(await counts()).toEqual(new Set(['active 1 0', 'needs_reauth 1 0']));
  await one.query('commit');
  await two.query('rollback');
  expect(await counts()).toEqual(new Set(['active 1 1', 'needs_reauth 2 0']));
});

test('many rows in one statement are one row of the counter; many changes are folded; without connections, all is 0', async () => {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const stored = async () => (await asked(url, 'select count(*)::int as n from connection_counts'))[0]!.n;
  await asked(url, adding(1, 300));
  expect(await stored()).toBe(1);
  await asked(url, "update connections set failures = failures + 1 where id < 'con_2'");
  await asked(url, 'update connections set failures = failures + 1');
  expect(await stored()).toBe(1 + 2 * 300);
  const active = { integration: 'acme', status: 'active', count: 300, failing: 300 };
  expect(await store.countConnections()).toEqual([active]);
  expect(await store.foldConnectionCounts()).toBe(false);
  expect(await stored()).toBe(1);
  expect(await store.countConnections()).toEqual([active]);
  await asked(url, "delete from leases where connection_id = 'con_1'; delete from connections where id = 'con_1'");
  expect(await store.countConnections()).toEqual([{ ...active, count: 299, failing: 299 }]);
  await asked(url, 'truncate connections cascade');
  expect(await store.countConnections()).toEqual([]);
});

test('commits of several processes beside folds: the sums are exact at every moment, and no row is a bottleneck', async () => {
  const url = await createMigratedDatabase();
  const stores = await Promise.all([1, 2, 3].map(() => openTestStore(url)));
  const CONNECTIONS = 60;
  await asked(url, adding(1, CONNECTIONS + 1));
  let isWriting = true;
  const [open, ...clients] = await Promise.all(
    [-1, 0, 1, 2, 3].map(async (nth) => {
      const client = new Client({ connectionString: url });
      await client.connect();
      onTestFinished(() => client.end());
      return { client, nth };
    }),
  );
  // Each changes rows of its own: whatever it waits for is the counter. What this one has changed is not free until the end.
  await open!.client.query(
    `begin; update connections set status = 'needs_reauth', failures = 1 where id = 'con_${CONNECTIONS + 1}'`,
  );
  const writing = Promise.all(
    clients.map(async ({ client, nth }) => {
      await client.query(`set lock_timeout = '20s'`);
      for (let i = 0; i < 150; i++) {
        const id = `con_${1 + ((4 * i + nth) % CONNECTIONS)}`;
        const change = i % 3 === 2 ? "status = 'needs_reauth'" : `status = 'active', failures = ${i % 2}`;
        await client.query('begin');
        await client.query(`update connections set ${change} where id = '${id}'`);
        await client.query(i % 7 === 6 ? 'rollback' : 'commit');
      }
    }),
  ).finally(() => {
    isWriting = false;
  });
  let folded = 0;
  const looking = stores.map(async (store) => {
    const totals = new Set<number>();
    while (isWriting) {
      totals.add((await store.countConnections()).reduce((sum, { count }) => sum + count, 0));
      await store.foldConnectionCounts();
      folded++;
    }
    return totals;
  });
  await writing;
  await open!.client.query('rollback');
  for (const totals of await Promise.all(looking)) expect([...totals]).toEqual([CONNECTIONS + 1]);
  expect(folded).toBeGreaterThan(3);
  const truth = await asked(
    url,
    `select status, count(*)::int as count, count(*) filter (where status = 'active' and failures > 0)::int as failing
     from connections group by status order by status`,
  );
  const told = (await stores[0]!.countConnections()).map(({ status, count, failing }) => ({ status, count, failing }));
  expect(told.sort((a, b) => (a.status < b.status ? -1 : 1))).toEqual(truth);
});
