// Whether statements may have names: a pooler in transaction mode gives each transaction to whichever connection is free, and
// unless it sees to names itself, those of one are unknown, or taken, on the next.
import type { Pool, PoolClient } from 'pg';
import { codeOf } from './errors.ts';

/** One name for everybody, so that whoever was there before is noticed too. */
const PROBE = { name: 'valetkey_probe', text: 'select pg_backend_pid()' };
const ROUNDS = 3;

/** invalid_sql_statement_name, duplicate_prepared_statement. */
const isForeign = (error: unknown): boolean => ['26000', '42P05'].includes(codeOf(error) ?? '');

/**
 * Asks by name on two connections in turn, one of each pool: whoever shares connections between clients lets them meet on
 * one, or moves one of them, and both cost the name. Rejects when the database does not answer.
 */
export async function keepsNames(one: Pool, other: Pool): Promise<boolean> {
  const clients: PoolClient[] = [];
  try {
    for (const pool of [one, other]) clients.push(await pool.connect());
    for (let round = 0; round < ROUNDS; round++) for (const client of clients) await client.query(PROBE);
    return true;
  } catch (error) {
    if (isForeign(error)) return false;
    throw error;
  } finally {
    for (const client of clients) client.release(true);
  }
}
