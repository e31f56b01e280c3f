// A database that does not fit is refused at start, by name, with nothing written.
import { expect, onTestFinished, test, vi } from 'vitest';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { startPooler } from '../../support/pooler.ts';
import { aDatabase, asked, POSTGRES_MIGRATIONS, withoutFunctions } from '../../support/postgres.ts';
import { openTestStore } from '../../support/stores.ts';
import { aCaller, anEntry, aSigningKey } from '../builders.ts';

const tablesIn = async (url: string) =>
  (await asked(url, "select tablename from pg_tables where schemaname = 'public'")).map(({ tablename }) => tablename);

/** Another database of the same server, which is dropped with the server. */
async function databaseWith(options: string): Promise<string> {
  const any = await aDatabase();
  const url = new URL(any);
  url.pathname = `${url.pathname.slice(1)}_other`;
  await asked(any, `create database ${url.pathname.slice(1)} template template0 ${options}`);
  return url.href;
}

test('a pooler in statement mode is refused', async () => {
  const url = await aDatabase();
  const pooler = await startPooler(url, { mode: 'statement' });
  onTestFinished(() => pooler.stop());
  for (const open of [openPostgres, migratePostgres])
    await expect(open(`${pooler.urlFor(url)}?prepare=false`)).rejects.toThrow(/pooler in statement mode .* pool_mode/);
  expect(await tablesIn(url)).toEqual([]);
});

test.each(['LATIN1', 'WIN1252', 'EUC_JP'])('the encoding %s is refused', async (encoding) => {
  const url = await databaseWith(`encoding '${encoding}' locale 'C'`);
  await expect(openPostgres(url)).rejects.toThrow(
    `the encoding of the database is ${encoding}, which cannot hold the names of all owners: create one with encoding 'UTF8'`,
  );
  expect(await tablesIn(url)).toEqual([]);
});

test('SQL_ASCII holds every owner, and is accepted', async () => {
  const store = await openPostgres(await databaseWith("encoding 'SQL_ASCII' locale 'C'"));
  await store.close();
});

test('a database without snapshots is refused', async () => {
  const url = await aDatabase();
  await asked(url, withoutFunctions('^pg_current_snapshot$'));
  await expect(openPostgres(url)).rejects.toThrow(/has no snapshots \(pg_current_snapshot\)/);
  expect(await tablesIn(url)).toEqual([]);
});

test.each([
  ['PostgreSQL 15.12-YB-2025.2.1.0-b0 on x86_64-pc-linux-gnu', '-YB-'],
  ['CockroachDB CCL v25.4.3 (x86_64-pc-linux-gnu)', 'CockroachDB'],
])('%s is refused', async (version, name) => {
  const url = await aDatabase();
  await asked(url, withoutFunctions('^version$'));
  await asked(url, `create function version() returns text language sql return '${version}'`);
  await expect(openPostgres(url)).rejects.toThrow(`the database is not PostgreSQL (${name})`);
  expect(await tablesIn(url)).toEqual([]);
});

test('a user that may not take advisory locks migrates, changes who hears events and uses keys', async () => {
  const url = new URL(await aDatabase());
  const name = url.pathname.slice(1);
  await asked(
    url.href,
    `create role owner_${name} login; alter database ${name} owner to owner_${name};
     revoke execute on function pg_advisory_xact_lock(bigint) from public`,
  );
  url.username = `owner_${name}`;
  await Promise.all([migratePostgres(url.href), migratePostgres(url.href), migratePostgres(url.href)]);
  expect(await asked(url.href, 'select * from __drizzle_migrations')).toHaveLength(POSTGRES_MIGRATIONS);
  const store = await openTestStore(url.href);
  const caller = aCaller();
  await store.addCaller(caller, null, anEntry());
  expect(await store.updateCaller({ ...caller, name: 'other' }, anEntry())).toBe('updated');
  expect(await store.swapSigningKeys('jwt', [], [aSigningKey({ purpose: 'jwt' })], [anEntry()])).toBe(true);
});

test('a user that may not create tables is refused at the first attempt', async () => {
  const url = new URL(await aDatabase());
  await asked(url.href, `create role reader_${url.pathname.slice(1)} login`);
  url.username = `reader_${url.pathname.slice(1)}`;
  // A further attempt would wait for a random time.
  const random = vi.spyOn(Math, 'random');
  onTestFinished(() => random.mockRestore());
  await expect(migratePostgres(url.href)).rejects.toThrow(/permission denied for schema public \(42501\)/);
  expect(random).not.toHaveBeenCalled();
});
