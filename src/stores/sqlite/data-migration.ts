// A SQLite file as the place that data move from or to.
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { getTableColumns, getTableName, is, Table } from 'drizzle-orm';
import {
  type Altered,
  type CarriedPage,
  type CarriedRow,
  type CarriedTable,
  LEFT_BEHIND,
  MARK,
  type Place,
  type Reading,
  StoreError,
} from '../../ports/index.ts';
import { rejectingWith } from '../shared/store-errors.ts';
import { markIn, openDatabase, pathOf, versionOf } from './database.ts';
import { storeError } from './group-commit.ts';
import { isInUse } from './liveness.ts';
import { countRescued } from './rescue-file.ts';
import * as schema from './schema.ts';

const orStoreError = rejectingWith(storeError);

const PAGE = 1_000;

const columns = new Map<string, string[]>(
  Object.values(schema)
    .filter((one) => is(one, Table))
    .map((table) => [
      getTableName(table),
      Object.values(getTableColumns(table))
        .map(({ name }) => name)
        .filter((name) => !LEFT_BEHIND.includes(`${getTableName(table)}.${name}`)),
    ]),
);
const columnsOf = (table: CarriedTable): [key: string, ...rest: string[]] =>
  columns.get(table) as [string, ...string[]];
const listed = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');

/** `file:<path>`. Throws `StoreError` when it is not. */
export function sqlitePlace(url: string): Place {
  const path = resolvedPath(url);
  let target: Database | undefined;

  return {
    name: `file:${path}`,
    standing: orStoreError(() => {
      const waiting = countRescued(path);
      if (!existsSync(path)) return { version: 'absent', isInhabited: false, movingFrom: undefined, waiting };
      return looking(path, (client) => ({
        version: versionOf(client),
        isInhabited: isInUse(path),
        movingFrom: markIn(client),
        waiting,
      }));
    }),
    read: orStoreError((work) =>
      looking(path, (client) => {
        client.exec('begin');
        client.defaultSafeIntegers();
        return work(readingOf(client));
      }),
    ),
    begin: orStoreError((from) => {
      target = openDatabase(url, undefined, from);
      if (markIn(target) !== undefined) return;
      target.exec(`create table ${MARK} as select '${from.replaceAll("'", "''")}' as place`);
    }),
    write: orStoreError((table, rows) => {
      const names = columnsOf(table);
      const insert = target!.prepare(`insert into "${table}" (${listed(names)}) values (${names.map(() => '?')})`);
      target!.transaction(() => {
        for (const row of rows) insert.run(row);
      })();
    }),
    finish: orStoreError(() => void target!.exec(`drop table ${MARK}`)),
    close: async () => void target?.close(),
  };
}

/** The name stays the same before the file is there. */
function resolvedPath(url: string): string {
  const path = pathOf(url);
  if (path === ':memory:') throw new StoreError('a database in memory cannot be moved: name a file');
  const absolute = resolve(path);
  if (existsSync(absolute)) return realpathSync(absolute);
  const folder = dirname(absolute);
  return join(existsSync(folder) ? realpathSync(folder) : folder, basename(absolute));
}

/** With a connection of its own, which cannot write. */
async function looking<T>(path: string, work: (client: Database) => T | Promise<T>): Promise<T> {
  const client = new Sqlite(path, { readonly: true, fileMustExist: true });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

const readingOf = (client: Database): Reading => ({
  count: async (table) => Number(client.prepare(`select count(*) from "${table}"`).pluck().get()),
  last: async (table) => {
    const [key] = columnsOf(table);
    return client.prepare<[], string | null>(`select max("${key}") from "${table}"`).pluck().get() ?? undefined;
  },
  async *pages(table, after = '') {
    const names = columnsOf(table);
    const page = client
      .prepare<[string], unknown[]>(
        `select ${listed(names)} from "${table}" where "${names[0]}" > ? order by "${names[0]}" limit ${PAGE}`,
      )
      .raw();
    for (let last: string = after; ; ) {
      const stored = page.all(last);
      if (stored.length > 0) yield carried(table, names, stored);
      if (stored.length < PAGE) return;
      last = String(stored.at(-1)![0]);
    }
  },
});

function carried(table: CarriedTable, names: string[], stored: unknown[][]): CarriedPage {
  const altered: Altered[] = [];
  const rows = stored.map((values) => {
    const row = values.map(textOf);
    values.forEach((value, at) => {
      if (value !== null && row[at] !== String(value)) altered.push({ table, id: row[0]!, column: names[at]! });
    });
    return row as unknown as CarriedRow;
  });
  return { rows, altered };
}

const MOST = BigInt(Number.MAX_SAFE_INTEGER);

/** As the PostgreSQL schema would write it. Numbers that SQLite keeps as integers come as `bigint`, all others as `number`. */
function textOf(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value === 'string') return value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value;
  if (typeof value === 'bigint') return String(value > MOST ? MOST : value);
  if (typeof value === 'number') return String(Math.min(Math.round(value), Number.MAX_SAFE_INTEGER));
  throw new StoreError('the database holds bytes where there should be text');
}
