// Whether statements may have names: a pooler in transaction mode gives each transaction to whichever connection is free, and
// unless it sees to names itself, those of one are unknown, or taken, on the next.
import type { Pool, PoolClient } from 'pg';
import { isForeignName } from './errors.ts';

/** One name for everybody, so that whoever was there before is noticed too. */
const PROBE = { name: 'valetkey_probe', text: 'select pg_backend_pid()' };
/**
 * Which of two clients asks next. Twice in a row, it moves where connections are lent in turn; after the other one, it is
 * given that one's where the last used is lent.
 */
const TURNS = [0, 0, 1, 0, 1, 1, 0];

/**
 * Asks by name on two connections, one of each pool: whoever shares connections between clients lets them meet on one, or
 * moves one of them, and both cost the name. Rejects when the database does not answer.
 */
export async function keepsNames(one: Pool, other: Pool): Promise<boolean> {
  const clients: PoolClient[] = [];
  try {
    for (const pool of [one, other]) clients.push(await pool.connect());
    for (const turn of TURNS) await clients[turn]!.query(PROBE);
    return true;
  } catch (error) {
    if (isForeignName(error)) return false;
    throw error;
  } finally {
    for (const client of clients) client.release(true);
  }
}
