// A PostgreSQL database as the place that data move from or to.
import { getTableColumns, getTableName, is, Table } from 'drizzle-orm';
import type { Pool, PoolClient } from 'pg';
import { POSTGRES_DATA_MIGRATION_TIMEOUT_MS } from '../../domain/time-limits.ts';
import {
  type CarriedRow,
  type CarriedTable,
  LEFT_BEHIND,
  MARK,
  type Place,
  type PlaceStanding,
  type Reading,
} from '../../ports/index.ts';
import { rejectingWith } from '../shared/store-errors.ts';
import { markIn, migrate, openPool, readAddress, rowsOf, versionOf } from './database.ts';
import { codeOf, storeError } from './errors.ts';
import { COUNT_LIVE } from './liveness.ts';
import * as schema from './schema.ts';

const orStoreError = rejectingWith(storeError);

const PAGE = 1_000;

interface Carried {
  name: string;
  type: string;
}
const columns = new Map<string, Carried[]>(
  Object.values(schema)
    .filter((one) => is(one, Table))
    .map((table) => [
      getTableName(table),
      Object.values(getTableColumns(table))
        .map((column) => ({ name: column.name, type: column.getSQLType() }))
        .filter(({ name }) => !LEFT_BEHIND.includes(`${getTableName(table)}.${name}`)),
    ]),
);
const columnsOf = (table: CarriedTable): [key: Carried, ...rest: Carried[]] =>
  columns.get(table) as [Carried, ...Carried[]];

/** `waiting`: how many answers of providers wait on this machine. Throws `StoreError` when the URL is none. */
export function postgresPlace(url: string, waiting: () => number): Place {
  const address = readAddress(url);
  const pool = openPool(address, 2, { query_timeout: POSTGRES_DATA_MIGRATION_TIMEOUT_MS });

  return {
    name: nameOf(url),
    standing: orStoreError(async () => ({ ...(await standingOf(pool)), waiting: waiting() })),
    read: orStoreError((work) => asOfOneMoment(pool, (client) => work(readingOf(client)))),
    begin: orStoreError(async (from) => {
      await migrate(address, undefined, from);
      if ((await markIn(pool)) === undefined)
        await pool.query(`create table ${MARK} as select ${literal(from)} as place`);
    }),
    write: orStoreError(async (table, rows) => {
      const all = columnsOf(table);
      const values = all.map((_, at) => rows.map((row) => row[at] ?? null));
      await pool.query(insertionOf(table), values);
    }),
    finish: orStoreError(async () => void (await pool.query(`drop table ${MARK}`))),
    close: () => pool.end(),
  };
}

/** Neither user nor password, nor how it is reached. */
function nameOf(text: string): string {
  const { hostname, port, pathname, searchParams } = new URL(text);
  return `postgres://${hostname || searchParams.get('host') || 'localhost'}:${port || '5432'}${pathname}`;
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'::text`;

async function standingOf(pool: Pool): Promise<Omit<PlaceStanding, 'waiting'>> {
  try {
    const version = await versionOf(pool);
    const [alive = '0'] = (await rowsOf(pool, COUNT_LIVE)) ?? [];
    return { version, isInhabited: Number(alive) > 0, movingFrom: await markIn(pool) };
  } catch (error) {
    if (codeOf(error) !== NO_SUCH_DATABASE) throw error;
    return { version: 'absent', isInhabited: false, movingFrom: undefined };
  }
}

const NO_SUCH_DATABASE = '3D000';

/** Nothing is set but in the transaction: it may go through a pooler. */
const BEGIN = [
  'begin isolation level repeatable read read only',
  'set local statement_timeout = 0',
  'set local idle_in_transaction_session_timeout = 0',
].join('; ');

async function asOfOneMoment<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query(BEGIN);
    const value = await work(client);
    await client.query('commit');
    client.release();
    return value;
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/** As SQLite orders texts, whatever the database's own order is. */
const byBytes = ({ name }: Carried): string => `"${name}" collate "C"`;

const readingOf = (client: PoolClient): Reading => ({
  count: async (table) => Number((await rowsOf(client, `select count(*) as value from "${table}"`))?.[0]),
  last: async (table) => {
    const [key] = columnsOf(table);
    return (
      await rowsOf(client, `select "${key.name}" as value from "${table}" order by ${byBytes(key)} desc limit 1`)
    )?.[0];
  },
  // A cursor, since an index in another order is of no use: the table is sorted once, not for each page.
  async *pages(table, after = '') {
    const all = columnsOf(table);
    const [key] = all;
    const cursor = `carry_${table}`;
    const texts = all.map(({ name }) => `"${name}"::text`);
    await client.query(
      `declare ${cursor} no scroll cursor for
       select ${texts} from "${table}" where ${byBytes(key)} > $1 order by ${byBytes(key)}`,
      [after],
    );
    for (;;) {
      const { rows } = await client.query<(string | null)[]>({
        text: `fetch ${PAGE} from ${cursor}`,
        rowMode: 'array',
      });
      if (rows.length > 0) yield { rows: rows as unknown as CarriedRow[], altered: [] };
      if (rows.length < PAGE) break;
    }
    await client.query(`close ${cursor}`);
  },
});

/** One parameter for each column: its values. */
function insertionOf(table: CarriedTable): string {
  const all = columnsOf(table);
  const names = all.map(({ name }) => `"${name}"`);
  const texts = all.map((_, at) => `$${at + 1}::text[]`);
  const typed = all.map(({ name, type }) => `given."${name}"::${type}`);
  return `insert into "${table}" (${names}) select ${typed} from unnest(${texts}) as given (${names})`;
}
