// Whether prepared statements are named, so that the server plans them once: a pooler in transaction mode gives each transaction any free connection, and
// unless it tracks names itself, a statement of one connection is unknown, or its name is taken, on the next.
import type { Pool, PoolClient } from 'pg';
import { isForeignName } from './errors.ts';

export interface StatementNames {
  /** Of a statement, for `pg`; empty while statements have no names. */
  of(name: string): string;
  /** Whether statements have names. */
  areUsed(): boolean;
  /** Names turned out to be lost on the way to the server: none are used from now on. */
  lost(): void;
}

/** `onLost` is called once. */
export function createStatementNames(areUsed: boolean, onLost: () => void): StatementNames {
  let areLost = !areUsed;
  return {
    of: (name) => (areLost ? '' : name),
    areUsed: () => !areLost,
    lost() {
      if (!areLost) onLost();
      areLost = true;
    },
  };
}

/** The same name in every process, so that the statements of earlier ones are noticed too. */
const PROBE = { name: 'valetkey_probe', text: 'select pg_backend_pid()' };
/**
 * Which of two clients asks next. Twice in a row moves a client when the pooler lends its connections in turn; asking after
 * the other client gets its connection when the pooler lends the one used last.
 */
const ORDER = [0, 0, 1, 0, 1, 1, 0];

/**
 * Uses a named statement on two connections, one of each pool. A pooler lets them share a connection, or moves one of
 * them, and both lose the name. Rejects when the database does not answer.
 */
export async function supportsNamedStatements(one: Pool, other: Pool): Promise<boolean> {
  const clients: PoolClient[] = [];
  let areNamesKept = false;
  try {
    for (const pool of [one, other]) clients.push(await pool.connect());
    for (const i of ORDER) await clients[i]!.query(PROBE);
    areNamesKept = true;
  } catch (error) {
    if (!isForeignName(error)) throw error;
  } finally {
    // A client that takes a name for known is of no use without names.
    for (const client of clients) client.release(!areNamesKept);
  }
  return areNamesKept;
}
