// What a PostgreSQL database, and a pooler in front of it, must be able to do. One that cannot is refused by name at start,
// before anything is written.
import type { Pool } from 'pg';
import { StoreError } from '../../ports/index.ts';
import { rowsOf } from './database.ts';
import { isLacking } from './errors.ts';

/** `SQL_ASCII` stores the bytes of UTF-8 as they are. */
const ENCODINGS = ['UTF8', 'SQL_ASCII'];

/** Rejects with `StoreError`, or with the error of the way to the database. */
export async function assertMeetsRequirements(pool: Pool): Promise<void> {
  await assertKeepsTransactions(pool);
  await assertHasSnapshots(pool);
  const [encoding = 'UTF8'] = (await rowsOf(pool, "select current_setting('server_encoding') as value")) ?? [];
  if (ENCODINGS.includes(encoding)) return;
  throw new StoreError(
    `the encoding of the database is ${encoding}, which cannot hold the names of all owners: create one with encoding 'UTF8' (create database … encoding 'UTF8' template template0)`,
  );
}

/** Their functions of these names, as far as there are any, do not tell what the cluster has committed. */
const OTHERS = /CockroachDB|Yugabyte|-YB-/i;

/** What has been committed since is known by them alone: numbers are given out before they are committed. */
async function assertHasSnapshots(pool: Pool): Promise<void> {
  const [version = ''] = (await rowsOf(pool, 'select version() as value')) ?? [];
  const other = OTHERS.exec(version)?.[0];
  if (other !== undefined)
    throw new StoreError(
      `the database is not PostgreSQL (${other}): its snapshots do not tell replicas what the others have committed`,
    );
  try {
    await pool.query('select pg_current_xact_id(), pg_current_snapshot()');
  } catch (error) {
    if (!isLacking(error)) throw error;
    throw new StoreError(
      'the database has no snapshots (pg_current_snapshot), by which replicas know what the others have committed: use PostgreSQL 13 or later, or an SQLite file',
    );
  }
}

/** PgBouncer in statement mode disconnects a client that begins a transaction. */
async function assertKeepsTransactions(pool: Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('rollback');
    client.release();
  } catch (error) {
    client.release(true);
    if (!/statement pooling mode/i.test(`${error}`)) throw error;
    throw new StoreError(
      'a pooler in statement mode is in front of the database, where there are no transactions: let it pool transactions or sessions (PgBouncer: pool_mode = transaction)',
    );
  }
}
