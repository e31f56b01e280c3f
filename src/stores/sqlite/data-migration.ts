// A SQLite file as the source or the target of a data migration.
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { getTableColumns, getTableName, is, Table } from 'drizzle-orm';
import { ownersIn, weekOf } from '../../domain/audit-reads.ts';
import { SQLITE_OPEN_BUSY_TIMEOUT_MS } from '../../domain/time-limits.ts';
import {
  type AlteredValue,
  type EndpointState,
  LOCAL_COLUMNS,
  MIGRATED_MARKER,
  type MigratedPage,
  type MigratedRow,
  type MigratedTable,
  type MigrationEndpoint,
  type Snapshot,
  StoreError,
  UNFINISHED_MARKER,
} from '../../ports/index.ts';
import { batchesIn } from '../shared/migrated-reads.ts';
import { rejectingWith } from '../shared/store-errors.ts';
import { ADD_READS } from './audit-writer.ts';
import { openDatabase, pathOf } from './database.ts';
import { schemaState } from './migrations.ts';
import { isInUse } from './process-locks.ts';
import { countRescued } from './rescue-file.ts';
import * as schema from './schema.ts';
import { storeError } from './store-error.ts';

const orStoreError = rejectingWith(storeError);

const PAGE = 1_000;

const columns = new Map<string, string[]>(
  Object.values(schema)
    .filter((one) => is(one, Table))
    .map((table) => [
      getTableName(table),
      Object.values(getTableColumns(table))
        .map(({ name }) => name)
        .filter((name) => !LOCAL_COLUMNS.includes(`${getTableName(table)}.${name}`)),
    ]),
);
const columnsOf = (table: MigratedTable): [key: string, ...rest: string[]] =>
  columns.get(table) as [string, ...string[]];
const listed = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');

/** Throws `StoreError` when the URL is not `file:<path>`. */
export function sqliteEndpoint(url: string): MigrationEndpoint {
  const path = resolvedPath(url);
  let target: Database | undefined;

  return {
    name: `file:${path}`,
    state: orStoreError(async (): Promise<EndpointState> => {
      const rescued = countRescued(path);
      if (!existsSync(path))
        return { version: 'absent', isInUse: false, migratingFrom: undefined, migratedTo: undefined, rescued };
      return readingOnly(path, (client) => {
        const { version, migratingFrom, migratedTo } = schemaState(client);
        return { version, isInUse: isInUse(path), migratingFrom, migratedTo, rescued };
      });
    }),
    read: orStoreError((work) =>
      readingOnly(path, (client) => {
        client.exec('begin');
        client.defaultSafeIntegers();
        return work(snapshotOf(client));
      }),
    ),
    begin: orStoreError((from) => {
      target = openDatabase(url, undefined, from);
      if (schemaState(target).migratingFrom !== undefined) return;
      target.exec(markerTable(UNFINISHED_MARKER, from));
    }),
    write: orStoreError((table, rows) => {
      const names = columnsOf(table);
      const insert = target!.prepare(`insert into "${table}" (${listed(names)}) values (${names.map(() => '?')})`);
      target!.transaction(() => {
        for (const row of rows) insert.run(row);
        // The leases are copied with their times, after this: the trigger has made some.
        if (table === 'connections') target!.exec('delete from leases');
        if (table === 'audit') addReads(target!, batchesIn(names, rows));
      })();
    }),
    finish: orStoreError(() => void target!.exec(`drop table ${UNFINISHED_MARKER}`)),
    markMigrated: orStoreError((to) => changing(path, markerTable(MIGRATED_MARKER, to))),
    unmarkMigrated: orStoreError(() => changing(path, `drop table if exists ${MIGRATED_MARKER}`)),
    close: async () => void target?.close(),
  };
}

function addReads(client: Database, batches: ReturnType<typeof batchesIn>): void {
  const add = client.prepare(ADD_READS);
  for (const batch of batches) add.run(weekOf(batch.at), batch.id, JSON.stringify(ownersIn(batch)));
}

/** The same before and after the file is made. */
function resolvedPath(url: string): string {
  const path = pathOf(url);
  if (path === ':memory:') throw new StoreError('a database in memory cannot be migrated: name a file');
  const absolute = resolve(path);
  if (existsSync(absolute)) return realpathSync(absolute);
  const folder = dirname(absolute);
  return join(existsSync(folder) ? realpathSync(folder) : folder, basename(absolute));
}

/** On a connection of its own, which cannot write. */
async function readingOnly<T>(path: string, work: (client: Database) => T | Promise<T>): Promise<T> {
  const client = new Sqlite(path, { readonly: true, fileMustExist: true });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

const markerTable = (marker: string, place: string): string =>
  `create table if not exists ${marker} as select '${place.replaceAll("'", "''")}' as place`;

/** Durable once it returns, also where the journal is a WAL. */
function changing(path: string, statement: string): void {
  const client = new Sqlite(path, { fileMustExist: true, timeout: SQLITE_OPEN_BUSY_TIMEOUT_MS });
  try {
    client.pragma('synchronous = FULL');
    client.exec(statement);
  } finally {
    client.close();
  }
}

const snapshotOf = (client: Database): Snapshot => ({
  count: async (table) => Number(client.prepare(`select count(*) from "${table}"`).pluck().get()),
  lastKey: async (table) => {
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
      if (stored.length > 0) yield pageOf(table, names, stored);
      if (stored.length < PAGE) return;
      last = String(stored.at(-1)![0]);
    }
  },
});

function pageOf(table: MigratedTable, names: string[], stored: unknown[][]): MigratedPage {
  const altered: AlteredValue[] = [];
  const rows = stored.map((values) => {
    const row = values.map(textOf);
    values.forEach((value, at) => {
      if (value !== null && row[at] !== String(value)) altered.push({ table, id: row[0]!, column: names[at]! });
    });
    return row as unknown as MigratedRow;
  });
  return { rows, altered };
}

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** As the PostgreSQL schema would write it. Integers of SQLite come as `bigint`, other numbers as `number`. */
function textOf(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value === 'string') return value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value;
  if (typeof value === 'bigint') return String(value > MAX ? MAX : value);
  if (typeof value === 'number') return String(Math.min(Math.round(value), Number.MAX_SAFE_INTEGER));
  throw new StoreError('the database holds bytes where there should be text');
}
