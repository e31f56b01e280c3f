// The PostgreSQL database: how its URL is read, how connections are made, and which version its tables have.
import { setTimeout as pause } from 'node:timers/promises';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { Pool, type PoolConfig } from 'pg';
import {
  POSTGRES_ANSWER_TIMEOUT_MS,
  POSTGRES_CONNECT_TIMEOUT_MS,
  POSTGRES_CONTROL_TIMEOUT_MS,
  POSTGRES_MIGRATION_RETRY_MS,
  POSTGRES_MIGRATION_TIMEOUT_MS,
} from '../../domain/time-limits.ts';
import { packageFile } from '../../package-files.ts';
import { halfMoved, MARK, type PlaceStanding, StoreError } from '../../ports/index.ts';
import { codeOf, storeError } from './errors.ts';

const MIGRATIONS = packageFile('drizzle/postgres');

/** The same for signs of life and news, which are short, and tell soon whether the database is there at all. */
export const ASIDE: PoolConfig = {
  connectionTimeoutMillis: POSTGRES_CONTROL_TIMEOUT_MS,
  query_timeout: POSTGRES_CONTROL_TIMEOUT_MS,
};
const DEFAULT_POOL = 10;
const MOST_POOL = 200;

export interface Address {
  /** With the password. */
  connection: PoolConfig;
  /** Connections of this process to the database, besides two that it needs for itself. */
  pool: number;
  /** False: a pooler in transaction mode is in between, which does not know the statements of others. */
  isNamed: boolean;
}

/**
 * Reads `postgres://user:password@host:port/database`, with `sslmode`, `sslrootcert` and the like as `pg` reads them, and
 * of our own `pool` (how many connections, 10) and `prepare=false` (no named statements). Throws `StoreError`, which
 * tells nothing of the URL.
 */
export function readAddress(text: string): Address {
  if (!URL.canParse(text)) throw new StoreError('a PostgreSQL URL is postgres://user:password@host:port/database');
  const url = new URL(text);
  const pool = Number(url.searchParams.get('pool') ?? DEFAULT_POOL);
  if (!Number.isInteger(pool) || pool < 1 || pool > MOST_POOL)
    throw new StoreError(`pool is a number of connections from 1 to ${MOST_POOL}`);
  const prepare = url.searchParams.get('prepare') ?? 'true';
  if (prepare !== 'true' && prepare !== 'false') throw new StoreError('prepare is true or false');
  for (const ours of ['pool', 'prepare']) url.searchParams.delete(ours);
  const connection: PoolConfig = {
    connectionString: url.href,
    connectionTimeoutMillis: POSTGRES_CONNECT_TIMEOUT_MS,
    query_timeout: POSTGRES_ANSWER_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'valetkey',
  };
  return { connection, pool, isNamed: prepare === 'true' };
}

/** Connections are made when they are needed. Throws `StoreError` when the files that the URL names cannot be read. */
export function openPool({ connection }: Address, max: number, more: PoolConfig = {}): Pool {
  try {
    const pool = new Pool({ ...connection, pipeline: true, max, ...more });
    // What was being asked is told; a connection that ends while nobody uses it is no news.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => void client.on('error', () => undefined));
    return pool;
  } catch (cause) {
    throw storeError(cause);
  }
}

interface Migration {
  folderMillis: number;
  hash: string;
  sql: string[];
}

/** Of all that are starting at once, one at a time. The key of an advisory lock: any number that nobody else uses. */
const ONE_AT_A_TIME = 7_202_011_914;

/**
 * Brings the tables up to date, all of it or nothing. The lock is taken in the transaction that migrates, and ends with
 * it: so it holds behind a pooler in transaction mode too. Where there are no such locks, of those that start at once one
 * succeeds, and the others look again. Rejects with `StoreError`, also when a newer version made the database, or when a
 * move into it has not ended, unless it is the one from `movingFrom`.
 */
export async function migrate(
  address: Address,
  migrationsFolder: string = MIGRATIONS,
  movingFrom?: string,
): Promise<void> {
  const pool = openPool(address, 1, { query_timeout: POSTGRES_MIGRATION_TIMEOUT_MS });
  let isLocked = true;
  try {
    const known = readMigrationFiles({ migrationsFolder });
    const mark = await markIn(pool);
    if (mark !== undefined && mark !== movingFrom) throw new StoreError(halfMoved(mark));
    for (let tries = 1; pending(known, await applied(pool)).length > 0; tries++) {
      try {
        await apply(pool, known, isLocked);
      } catch (error) {
        if (error instanceof StoreError || tries === MIGRATION_TRIES) throw error;
        if (NOT_SUPPORTED.includes(codeOf(error) ?? '')) isLocked = false;
        await pause(POSTGRES_MIGRATION_RETRY_MS * Math.random() * tries);
      }
    }
  } catch (cause) {
    throw storeError(cause);
  } finally {
    await pool.end();
  }
}

/** When each was made; a database without the table has none. */
async function applied(pool: Pick<Pool, 'query'>): Promise<Set<number>> {
  const rows = await rowsOf(pool, 'select created_at as value from __drizzle_migrations');
  return new Set(rows?.map(Number));
}

/** Where data come from that are being moved into this database; undefined when none are. */
export const markIn = async (pool: Pick<Pool, 'query'>): Promise<string | undefined> =>
  (await rowsOf(pool, `select place as value from ${MARK}`))?.[0];

/** What made the tables. */
export async function versionOf(
  pool: Pick<Pool, 'query'>,
  migrationsFolder: string = MIGRATIONS,
): Promise<PlaceStanding['version']> {
  const known = new Set(readMigrationFiles({ migrationsFolder }).map((m) => m.folderMillis));
  const done = await applied(pool);
  if ([...done].some((at) => !known.has(at))) return 'newer';
  if (done.size === 0) return 'empty';
  return done.size < known.size ? 'older' : 'current';
}

/** Of the column `value`; undefined when there is no such table. */
export async function rowsOf(pool: Pick<Pool, 'query'>, question: string): Promise<string[] | undefined> {
  try {
    const { rows } = await pool.query<{ value: string }>(question);
    return rows.map(({ value }) => value);
  } catch (error) {
    if (codeOf(error) === UNDEFINED_TABLE) return undefined;
    throw error;
  }
}

const UNDEFINED_TABLE = '42P01';
/** The feature, or the function. */
const NOT_SUPPORTED = ['0A000', '42883'];
const MIGRATION_TRIES = 5;

function pending(known: Migration[], done: Set<number>): Migration[] {
  const all = new Set(known.map((migration) => migration.folderMillis));
  if ([...done].some((at) => !all.has(at)))
    throw new StoreError('the database was made by a newer version of Valetkey than this one');
  return known.filter((migration) => !done.has(migration.folderMillis));
}

async function apply(pool: Pool, known: Migration[], isLocked: boolean): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    if (isLocked) await client.query('select pg_advisory_xact_lock($1)', [ONE_AT_A_TIME]);
    await client.query(
      'create table if not exists __drizzle_migrations (created_at bigint primary key, hash text not null)',
    );
    for (const { folderMillis, hash, sql } of pending(known, await applied(client))) {
      for (const statement of sql) await client.query(statement);
      await client.query('insert into __drizzle_migrations (created_at, hash) values ($1, $2)', [folderMillis, hash]);
    }
    await client.query('commit');
    client.release();
  } catch (error) {
    client.release(true);
    throw error;
  }
}
