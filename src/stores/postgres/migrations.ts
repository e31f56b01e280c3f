// The migrations of the PostgreSQL database: which it has, and bringing it up to date. Tables and journal are in one
// schema, the first of `search_path` that exists, so that two deployments can share a database.
import { setTimeout as pause } from 'node:timers/promises';
import { escapeIdentifier, type Pool } from 'pg';
import {
  POSTGRES_MIGRATION_LOCK_TIMEOUT_MS,
  POSTGRES_MIGRATION_RETRY_MS,
  POSTGRES_MIGRATION_TIMEOUT_MS,
} from '../../domain/time-limits.ts';
import { packageFile } from '../../package-files.ts';
import {
  type DatabaseVersion,
  MIGRATED_MARKER,
  migratedAway,
  StoreError,
  UNFINISHED_MARKER,
  unfinishedMigration,
} from '../../ports/index.ts';
import {
  type AppliedMigration,
  assertUsable,
  classifyDatabase,
  JOURNAL,
  type Migration,
  readMigrations,
  tablesOf,
} from '../shared/migration-journal.ts';
import { type Address, openPool, rowsOf } from './database.ts';
import { codeOf, isDenied, storeError } from './errors.ts';
import { lockWhereSupported } from './locks.ts';
import { assertMeetsRequirements } from './requirements.ts';

const MIGRATIONS = packageFile('drizzle/postgres');
const MAX_ATTEMPTS = 5;
/** Migrations of replicas that start together run one at a time. The key of an advisory lock: an arbitrary number. */
const LOCK_KEY = 7_202_011_914;
const INSUFFICIENT_PRIVILEGE = '42501';

type Queryable = Pick<Pool, 'query'>;

export interface SchemaState {
  version: DatabaseVersion;
  /** Tables of another application that are in the way of the next migrations. */
  inTheWay: string[];
  /** The source of an unfinished data migration into it. */
  migratingFrom: string | undefined;
  /** The target of a data migration from it. */
  migratedTo: string | undefined;
}

/** The database that a marker table names. */
async function markedIn(db: Queryable, schema: string, marker: string): Promise<string | undefined> {
  if ((await existing(db, schema, [marker])).length === 0) return undefined;
  return (await rowsOf(db, `select place as value from ${within(schema, marker)}`))?.[0];
}

/** Rejects with `StoreError` when `search_path` names no schema, or leaves open which is meant. */
export async function schemaState(db: Queryable, migrationsFolder: string = MIGRATIONS): Promise<SchemaState> {
  const known = readMigrations(migrationsFolder);
  const schema = await ownSchema(db);
  const { version, inTheWay } = await versionIn(db, schema, known);
  if (version === 'empty') await assertNoneLaterInPath(db, schema, known);
  const migratingFrom = await markedIn(db, schema, UNFINISHED_MARKER);
  return { version, inTheWay, migratingFrom, migratedTo: await markedIn(db, schema, MIGRATED_MARKER) };
}

/**
 * Brings the tables up to date, all of it or nothing. The lock is taken in the transaction that migrates, and ends with
 * it, so it works behind a pooler in transaction mode too. Where the database has no such locks, one of several
 * concurrent migrations succeeds, and the others retry and find nothing to do. Rejects with `StoreError`, also when this
 * version must not use the database (`assertUsable`), when it was migrated to another one, or when a data migration into it
 * is unfinished, unless it is the one from `migratingFrom`.
 */
export async function migrate(
  address: Address,
  migrationsFolder: string = MIGRATIONS,
  migratingFrom?: string,
): Promise<void> {
  const pool = openPool(address, 1, { query_timeout: POSTGRES_MIGRATION_TIMEOUT_MS });
  try {
    await assertMeetsRequirements(pool);
    for (let attempt = 1; ; attempt++) {
      const state = await schemaState(pool, migrationsFolder);
      if (state.migratingFrom !== undefined && state.migratingFrom !== migratingFrom)
        throw new StoreError(unfinishedMigration(state.migratingFrom));
      if (state.migratedTo !== undefined) throw new StoreError(migratedAway(state.migratedTo));
      assertUsable(state.version, state.inTheWay);
      if (state.version === 'current') return;
      try {
        await apply(pool, migrationsFolder);
      } catch (error) {
        if (error instanceof StoreError || isDenied(error) || attempt === MAX_ATTEMPTS) throw error;
        await pause(POSTGRES_MIGRATION_RETRY_MS * Math.random() * attempt);
      }
    }
  } catch (cause) {
    throw storeError(cause);
  } finally {
    await pool.end();
  }
}

async function apply(pool: Pool, migrationsFolder: string): Promise<void> {
  const client = await pool.connect();
  try {
    // Each statement sees what was committed before it, whatever the database's default: a migration may lock, then count.
    await client.query('begin isolation level read committed');
    await lockWhereSupported((text) => client.query(text), LOCK_KEY);
    await client.query(`set local lock_timeout = ${POSTGRES_MIGRATION_LOCK_TIMEOUT_MS}`);
    const known = readMigrations(migrationsFolder);
    const schema = await ownSchema(client);
    const { version, inTheWay, applied } = await versionIn(client, schema, known);
    assertUsable(version, inTheWay);
    const journal = within(schema, JOURNAL);
    await client.query(`create table if not exists ${journal} (created_at bigint primary key, hash text not null)`);
    for (const { folderMillis, hash, sql } of known.slice(applied.length)) {
      for (const statement of sql) await client.query(statement);
      await client.query(`insert into ${journal} (created_at, hash) values ($1, $2)`, [folderMillis, hash]);
    }
    await client.query('commit');
    client.release();
  } catch (error) {
    client.release(true);
    throw error;
  }
}

const within = (schema: string, table: string): string => `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;

async function ownSchema(db: Queryable): Promise<string> {
  const [schema] = (await rowsOf(db, 'select current_schema()::text as value')) ?? [];
  if (schema) return schema;
  throw new StoreError('search_path names no schema that exists: create it, or name another');
}

async function existing(db: Queryable, schema: string, tables: string[]): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(
    `select c.relname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relname = any($2) and c.relkind in ('r', 'p', 'v', 'm', 'f') order by 1`,
    [schema, tables],
  );
  return rows.map(({ name }) => name);
}

async function versionIn(db: Queryable, schema: string, known: readonly Migration[]) {
  const tables = await existing(db, schema, tablesOf(known));
  const applied = await journalIn(db, schema);
  return { ...classifyDatabase(known, applied, tables), applied };
}

/** Empty when there is none. */
async function journalIn(db: Queryable, schema: string): Promise<AppliedMigration[]> {
  if ((await existing(db, schema, [JOURNAL])).length === 0) return [];
  const { rows } = await db.query<{ created_at: string; hash: string }>(
    `select created_at, hash from ${within(schema, JOURNAL)} order by created_at`,
  );
  return rows.map(({ created_at, hash }) => ({ createdAt: Number(created_at), hash }));
}

/**
 * Names resolve along the whole `search_path`: a deployment in a later schema would be used as if it were this one. Its
 * tables may be meant, or a new set in the first schema; guessing would mix two deployments up.
 */
async function assertNoneLaterInPath(db: Queryable, own: string, known: readonly Migration[]): Promise<void> {
  const path = (await rowsOf(db, 'select unnest(current_schemas(false))::text as value')) ?? [];
  for (const schema of path) {
    if (schema === own || !(await hasDeployment(db, schema, known))) continue;
    throw new StoreError(
      `search_path begins with the schema ${own}, which holds no database of Valetkey, but ${schema} does: set search_path to the one that is meant`,
    );
  }
}

async function hasDeployment(db: Queryable, schema: string, known: readonly Migration[]): Promise<boolean> {
  try {
    return (await journalIn(db, schema)).some(({ hash }) => known[0]?.entries.some((entry) => entry.hash === hash));
  } catch (error) {
    if (codeOf(error) === INSUFFICIENT_PRIVILEGE) return false;
    throw error;
  }
}
