// A database that does not fit is refused at start, by name, with nothing written.
import { expect, onTestFinished, test, vi } from 'vitest';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { startPooler } from '../../support/pooler.ts';
import { aDatabase, asked } from '../../support/postgres.ts';

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
