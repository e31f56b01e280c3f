// A key rotation covers every secret column: the schema is walked, with every column of every table filled.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { getTableColumns, getTableName, is, Table } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as schema from '../../src/stores/sqlite/schema.ts';
import { secretColumns } from '../../src/stores/sqlite/secret-columns.ts';
import { openSqlite } from '../../src/stores/sqlite/store.ts';
import { fill } from './builders.ts';

const folder = mkdtempSync(join(tmpdir(), 'valetkey-secrets-'));
const path = join(folder, 'valetkey.db');
/** Tables that no code of this version writes. */
const DEPRECATED: string[] = [getTableName(schema.paces)];
const columns = Object.values(schema)
  .filter((one) => is(one, Table))
  .filter((table) => !DEPRECATED.includes(getTableName(table)))
  .flatMap((table) =>
    Object.values(getTableColumns(table)).map((column) => ({ table: getTableName(table), column: column.name })),
  );
let client: Sqlite.Database;

beforeAll(async () => {
  const store = await openSqlite(`file:${path}`);
  await fill(store);
  await store.close();
  client = new Sqlite(path, { readonly: true });
});
afterAll(() => {
  client.close();
  rmSync(folder, { recursive: true });
});

const rowsWhere = (table: string, condition: string) =>
  client.prepare(`select count(*) from "${table}" where ${condition}`).pluck().get() as number;

test('the walk sees every table of the database', () => {
  const tables = client
    .prepare("select name from sqlite_master where type = 'table' and name not like 'sqlite!_%' escape '!'")
    .pluck()
    .all();
  const walked = new Set(columns.map(({ table }) => table));
  expect(tables.filter((name) => name !== '__drizzle_migrations').sort()).toEqual([...walked, ...DEPRECATED].sort());
});

test.each(columns)('$table, $column is filled, so that a secret in it would be found', ({ table, column }) => {
  expect(rowsWhere(table, `"${column}" is not null`)).toBeGreaterThan(0);
});

test('a rotation covers every column that holds a ciphertext, but for the key checks', () => {
  const holding = columns.filter(({ table, column }) => rowsWhere(table, `instr("${column}", 'v3.') > 0`) > 0);
  const names = holding.map(({ table, column }) => `${table}.${column}`);
  expect(names.sort()).toEqual([...secretColumns, 'key_checks.sealed'].sort());
});
