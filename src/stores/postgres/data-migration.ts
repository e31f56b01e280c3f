// A PostgreSQL database as the source or the target of a data migration.
import { getTableColumns, getTableName, is, Table } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { Pool, PoolClient } from 'pg';
import { POSTGRES_DATA_MIGRATION_TIMEOUT_MS } from '../../domain/time-limits.ts';
import {
  type EndpointState,
  LOCAL_COLUMNS,
  MIGRATED_MARKER,
  type MigratedRow,
  type MigratedTable,
  type MigrationEndpoint,
  type Snapshot,
  UNFINISHED_MARKER,
} from '../../ports/index.ts';
import { batchesIn } from '../shared/migrated-reads.ts';
import { rejectingWith } from '../shared/store-errors.ts';
import { addReads } from './audit.ts';
import { openPool, readAddress, rowsOf } from './database.ts';
import { codeOf, storeError } from './errors.ts';
import { countLive } from './liveness.ts';
import { migrate, schemaState } from './migrations.ts';
import * as schema from './schema.ts';

const orStoreError = rejectingWith(storeError);

const PAGE = 1_000;

interface MigratedColumn {
  name: string;
  type: string;
}
const columns = new Map<string, MigratedColumn[]>(
  Object.values(schema)
    .filter((one) => is(one, Table))
    .map((table) => [
      getTableName(table),
      Object.values(getTableColumns(table))
        .map((column) => ({ name: column.name, type: column.getSQLType() }))
        .filter(({ name }) => !LOCAL_COLUMNS.includes(`${getTableName(table)}.${name}`)),
    ]),
);
const columnsOf = (table: MigratedTable): [key: MigratedColumn, ...rest: MigratedColumn[]] =>
  columns.get(table) as [MigratedColumn, ...MigratedColumn[]];

/** `rescued`: how many responses wait in the rescue file of this machine. Throws `StoreError` when the URL is invalid. */
export function postgresEndpoint(url: string, rescued: () => number): MigrationEndpoint {
  const address = readAddress(url);
  const pool = openPool(address, 2, { query_timeout: POSTGRES_DATA_MIGRATION_TIMEOUT_MS });

  return {
    name: nameOf(url),
    state: orStoreError(async () => ({ ...(await stateOf(pool)), rescued: rescued() })),
    read: orStoreError((work) => inSnapshot(pool, (client) => work(snapshotOf(client)))),
    begin: orStoreError(async (from) => {
      await migrate(address, undefined, from);
      if ((await schemaState(pool)).migratingFrom === undefined) await pool.query(markerTable(UNFINISHED_MARKER, from));
      // The leases are copied with their times: the trigger would make them before.
      await pool.query(`alter table connections disable trigger ${TIMED_INSERT}`);
    }),
    write: orStoreError(async (table, rows) => {
      const all = columnsOf(table);
      const values = all.map((_, at) => rows.map((row) => row[at] ?? null));
      // First, since the rows are copied on after the last one that is there. What finds nothing does no harm.
      const reads =
        table === 'audit'
          ? batchesIn(
              all.map(({ name }) => name),
              rows,
            )
          : [];
      if (reads.length > 0) await drizzle(pool).execute(addReads(reads));
      await pool.query(insertInto(table), values);
    }),
    finish: orStoreError(
      async () =>
        void (await pool.query(
          [
            CONTINUE_AUDIT_POSITIONS,
            CONTINUE_EVENT_POSITIONS,
            `alter table connections enable trigger ${TIMED_INSERT}`,
            `drop table ${UNFINISHED_MARKER}`,
          ].join('; '),
        )),
    ),
    markMigrated: orStoreError(async (to) => void (await pool.query(markerTable(MIGRATED_MARKER, to)))),
    unmarkMigrated: orStoreError(async () => void (await pool.query(`drop table if exists ${MIGRATED_MARKER}`))),
    close: () => pool.end(),
  };
}

const TIMED_INSERT = 'connections_timed_insert';

/** New audit entries have places after those that were copied, and after those that were sealed and have been deleted. */
const CONTINUE_AUDIT_POSITIONS = `select setval('audit_position', last) from
  (select greatest((select max(position) from audit), (select max(to_position) from audit_seals)) as last) as copied
  where last > 0`;

/** The feed goes on after the events that were copied. */
const CONTINUE_EVENT_POSITIONS = `select setval('event_position', last) from
  (select max(position) as last from events) as copied where last > 0`;

/** Neither the user nor how it is reached; with the schema, when the URL names one. */
function nameOf(text: string): string {
  const { hostname, port, pathname, searchParams } = new URL(text);
  const [, schema] = /search_path\s*=\s*"?([^\s",]+)/.exec(searchParams.get('options') ?? '') ?? [];
  const host = hostname || searchParams.get('host') || 'localhost';
  return `postgres://${host}:${port || '5432'}${pathname}${schema === undefined ? '' : ` (schema ${schema})`}`;
}

const markerTable = (marker: string, place: string): string =>
  `create table if not exists ${marker} as select '${place.replaceAll("'", "''")}'::text as place`;

async function stateOf(pool: Pool): Promise<Omit<EndpointState, 'rescued'>> {
  try {
    const { version, migratingFrom, migratedTo } = await schemaState(pool);
    const hasReplicas = version === 'older' || version === 'current' || version === 'newer';
    const [alive = '0'] = (hasReplicas && (await rowsOf(pool, countLive()))) || [];
    return { version, isInUse: Number(alive) > 0, migratingFrom, migratedTo };
  } catch (error) {
    if (codeOf(error) !== NO_SUCH_DATABASE) throw error;
    return { version: 'absent', isInUse: false, migratingFrom: undefined, migratedTo: undefined };
  }
}

const NO_SUCH_DATABASE = '3D000';

/** The timeouts are set in the transaction alone, so that it may go through a pooler. */
const BEGIN = [
  'begin isolation level repeatable read read only',
  'set local statement_timeout = 0',
  'set local idle_in_transaction_session_timeout = 0',
].join('; ');

async function inSnapshot<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
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

/** As SQLite orders texts, whatever the collation of the database. */
const byBytes = ({ name }: MigratedColumn): string => `"${name}" collate "C"`;

const snapshotOf = (client: PoolClient): Snapshot => ({
  count: async (table) => Number((await rowsOf(client, `select count(*) as value from "${table}"`))?.[0]),
  lastKey: async (table) => {
    const [key] = columnsOf(table);
    return (
      await rowsOf(client, `select "${key.name}" as value from "${table}" order by ${byBytes(key)} desc limit 1`)
    )?.[0];
  },
  // A cursor sorts the table once; an index in another collation could not, and each page would sort it again.
  async *pages(table, after = '') {
    const all = columnsOf(table);
    const [key] = all;
    const cursor = `migrate_${table}`;
    const texts = all.map(textOf);
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
      if (rows.length > 0) yield { rows: rows as unknown as MigratedRow[], altered: [] };
      if (rows.length < PAGE) break;
    }
    await client.query(`close ${cursor}`);
  },
});

/** As SQLite writes it: a boolean is a number there. */
const textOf = ({ name, type }: MigratedColumn): string =>
  type === 'boolean' ? `"${name}"::int::text` : `"${name}"::text`;

const typedOf = ({ name, type }: MigratedColumn): string =>
  type === 'boolean' ? `given."${name}"::int::boolean` : `given."${name}"::${type}`;

/** One parameter for each column: its values. */
function insertInto(table: MigratedTable): string {
  const all = columnsOf(table);
  const names = all.map(({ name }) => `"${name}"`);
  const texts = all.map((_, at) => `$${at + 1}::text[]`);
  const typed = all.map(typedOf);
  return `insert into "${table}" (${names}) select ${typed} from unnest(${texts}) as given (${names})`;
}
