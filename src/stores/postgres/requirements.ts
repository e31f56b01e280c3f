// What a PostgreSQL database, and a pooler in front of it, must be able to do. One that cannot is refused by name at start,
// before anything is written.
import type { Pool } from 'pg';
import { StoreError } from '../../ports/index.ts';
import { rowsOf } from './database.ts';

/** `SQL_ASCII` stores the bytes of UTF-8 as they are. */
const ENCODINGS = ['UTF8', 'SQL_ASCII'];

/** Rejects with `StoreError`, or with the error of the way to the database. */
export async function assertMeetsRequirements(pool: Pool): Promise<void> {
  await assertKeepsTransactions(pool);
  const [encoding = 'UTF8'] = (await rowsOf(pool, "select current_setting('server_encoding') as value")) ?? [];
  if (ENCODINGS.includes(encoding)) return;
  throw new StoreError(
    `the encoding of the database is ${encoding}, which cannot hold the names of all owners: create one with encoding 'UTF8' (create database … encoding 'UTF8' template template0)`,
  );
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
