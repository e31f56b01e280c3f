// The cold read by id: what a token costs that is not cached.
import { getTableColumns } from 'drizzle-orm';
import type { Ciphertext, Connection } from '../../domain/connection.ts';
import type { ConnectionStore, ServedRow } from '../../ports/index.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { connectionColumns } from './connection-rows.ts';
import { connections } from './schema.ts';

/** Connections in one statement. */
const AT_ONCE = 100;

const COLUMNS = Object.entries(getTableColumns(connections));
/** `pg` returns 64-bit integers, which these are, as text. */
const NUMBERS = COLUMNS.flatMap(([, column], at) => (column.getSQLType() === 'bigint' ? [at] : []));

/** The planner does not see how many there are: it would plan every one of these again. */
export const SERVED_ROWS = `select ${connectionColumns('c')}, (select access_token from grants where connection_id = c.id) as c
  from connections c where c.id = any((select $1::text[])::text[])`;

export function createColdRead({ autocommit, prepared }: PostgresAccess): Pick<ConnectionStore, 'servedRow'> {
  // Without drizzle, whose mapping takes longer than all else that we do.
  const statements = prepared(({ $client }: Orm, name) => {
    const named = name('served_rows');
    return (ids: string[]) =>
      $client.query<unknown[]>({ name: named, text: SERVED_ROWS, values: [ids], rowMode: 'array' });
  });
  let pending = new Map<string, PromiseWithResolvers<ServedRow | undefined>>();

  /** All reads of one turn of the event loop in one statement: it costs hardly more than one of them. */
  function readAll(): void {
    const asked = [...pending];
    pending = new Map();
    for (let i = 0; i < asked.length; i += AT_ONCE) void readSome(asked.slice(i, i + AT_ONCE));
  }

  async function readSome(asked: [string, PromiseWithResolvers<ServedRow | undefined>][]): Promise<void> {
    try {
      const ids = asked.map(([id]) => id);
      const rows = await autocommit(async (orm) => (await statements(orm)(ids)).rows.map(servedRowOf));
      const found = new Map(rows.map((row) => [row.connection.id, row]));
      for (const [id, { resolve }] of asked) resolve(found.get(id));
    } catch (error) {
      for (const [, { reject }] of asked) reject(error);
    }
  }

  return {
    servedRow(id) {
      const known = pending.get(id);
      if (known) return known.promise;
      if (pending.size === 0) setImmediate(readAll);
      const read = Promise.withResolvers<ServedRow | undefined>();
      pending.set(id, read);
      return read.promise;
    },
  };
}

function servedRowOf(values: unknown[]): ServedRow {
  for (const at of NUMBERS) if (values[at] !== null) values[at] = Number(values[at]);
  const connection: Record<string, unknown> = {};
  COLUMNS.forEach(([key], at) => {
    connection[key] = values[at];
  });
  return { connection: connection as unknown as Connection, accessToken: values[COLUMNS.length] as Ciphertext | null };
}
