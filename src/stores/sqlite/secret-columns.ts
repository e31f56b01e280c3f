// Every column that holds a secret, and the sentences that seal them anew, in SQLite.
import { and, asc, eq, gt, inArray, or, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { Ciphertext } from '../../domain/connection.ts';
import type { SecretRowKey, Store } from '../../ports/index.ts';
import {
  type Found,
  from,
  nextOf,
  outcomeOf,
  prefixOf,
  reencryptRows,
  type SecretRow,
} from '../shared/reencryption.ts';
import { given, type SqliteAccess } from './client.ts';
import * as schema from './schema.ts';

type Schema = typeof schema;
type Row<T> = T extends SQLiteTable ? T['$inferSelect'] : Record<never, never>;
type SealedIn<T> = { [C in keyof Row<T>]: NonNullable<Row<T>[C]> extends Ciphertext ? C : never }[keyof Row<T>];
/** The proofs of the keys are sealed too, but each by the key that it proves. */
type SealedTables = { [T in keyof Schema]: SealedIn<Schema[T]> extends never ? never : T }[keyof Schema];
type Listed = Exclude<SealedTables, 'keyChecks'>;

interface Entry {
  name: SecretRowKey['table'];
  table: SQLiteTable;
  id: SQLiteColumn;
  /** What its secrets are bound to. */
  sealedFor: SQLiteColumn;
  columns: Record<string, SQLiteColumn>;
}

const { integrations, grants, flows, pendingRevocations } = schema;

/** A sealed column of the schema that is missing here is a type error. */
const registry = {
  integrations: {
    name: 'integrations',
    table: integrations,
    id: integrations.id,
    sealedFor: integrations.id,
    columns: { clientSecret: integrations.clientSecret, privateKey: integrations.privateKey },
  },
  grants: {
    name: 'grants',
    table: grants,
    id: grants.connectionId,
    sealedFor: grants.connectionId,
    columns: {
      accessToken: grants.accessToken,
      refreshToken: grants.refreshToken,
      idToken: grants.idToken,
      credentials: grants.credentials,
    },
  },
  flows: {
    name: 'flows',
    table: flows,
    id: flows.stateDigest,
    sealedFor: flows.stateDigest,
    columns: { verifier: flows.verifier, nonce: flows.nonce },
  },
  pendingRevocations: {
    name: 'outbox_revocations',
    table: pendingRevocations,
    id: pendingRevocations.id,
    sealedFor: pendingRevocations.connectionId,
    columns: { accessToken: pendingRevocations.accessToken, refreshToken: pendingRevocations.refreshToken },
  },
} satisfies { [T in Listed]: Entry & { columns: Record<SealedIn<Schema[T]>, SQLiteColumn> } };

const entries: Entry[] = Object.values(registry);

/** `table.column` of every secret, the proofs of the keys apart. */
export const sealedColumns: string[] = entries.flatMap(({ name, columns }) =>
  Object.values(columns).map((column) => `${name}.${column.name}`),
);

/** The kid in `v1.<kid>.…`, or null. Not LIKE: a kid may hold `_`, which LIKE takes for any character. */
const kidIn = (column: SQLiteColumn): SQL => {
  const rest = sql`substr(${column}, 4, 33)`;
  return sql`case when substr(${column}, 1, 3) = 'v1.' and instr(${rest}, '.') > 1
    then substr(${rest}, 1, instr(${rest}, '.') - 1) end`;
};

type SealedStore = Pick<Store, 'keysInUse' | 'reencryptBatch'>;

export function sealedStore({ orm, read, write }: SqliteAccess): SealedStore {
  /** The ids of the next rows, by table. */
  function find(kid: string, after: SecretRowKey | null, limit: number): Found<Entry>[] {
    const found: Found<Entry>[] = [];
    let room = limit;
    for (const entry of from(entries, after)) {
      const { name, table, id } = entry;
      const further = name === after?.table ? gt(id, after.id) : undefined;
      const rows = orm
        .select({ id: sql<string>`${id}` })
        .from(table)
        .where(and(further, elsewhere(entry, kid)))
        .orderBy(asc(id))
        .limit(room)
        .all();
      if (rows.length > 0) found.push({ entry, ids: rows.map((row) => row.id) });
      room -= rows.length;
      if (room === 0) break;
    }
    return found;
  }

  /** Those of them that are still there, as they are now; nobody else changes them until the sentence ends. */
  function stillThere(entry: Entry, ids: string[]): SecretRow[] {
    const { table, id, sealedFor, columns } = entry;
    const secrets = Object.fromEntries(Object.values(columns).map((column) => [column.name, column]));
    const rows = orm.select({ id, sealedFor, secrets }).from(table).where(inArray(id, ids)).orderBy(asc(id)).all();
    return rows as SecretRow[];
  }

  /** A few hundred microseconds for all, so only where they are needed, and once. */
  let prepared: Map<Entry, { run(values: Record<string, unknown>): unknown }> | undefined;
  const replacements = () => {
    prepared ??= new Map(
      entries.map((entry) => {
        const set = Object.entries(entry.columns).map(([key, column]) => [key, given(column, column.name)]);
        const replace = orm
          .update(entry.table)
          .set(Object.fromEntries(set))
          .where(eq(entry.id, sql.placeholder('rowId')));
        return [entry, replace.prepare()];
      }),
    );
    return prepared;
  };

  return {
    // One statement is one snapshot: what moves from table to table meanwhile is counted once.
    keysInUse: () =>
      read(() => {
        const kids = entries.flatMap(({ table, columns }) =>
          Object.values(columns).map(
            (column) => sql`select ${kidIn(column)} as kid from ${table} where ${column} is not null`,
          ),
        );
        const all = sql.join(kids, sql` union all `);
        return orm.all<{ kid: string | null; secrets: number }>(
          sql`select kid, count(*) as secrets from (${all}) group by kid order by kid`,
        );
      }),

    reencryptBatch: async (kid, after, limit, anew) => {
      // Before the file is locked: where little is left to do, it is far between what is done.
      const found = await read(() => find(kid, after, limit));
      const next = nextOf(found, limit);
      if (found.length === 0) return outcomeOf([], next);
      return write(() => {
        const parts: Parameters<typeof outcomeOf>[0] = [];
        for (const { entry, ids } of found) {
          const rows = stillThere(entry, ids);
          const done = reencryptRows(entry.name, rows, kid, anew);
          const replace = replacements().get(entry)!;
          for (const { id, secrets } of done.changed) replace.run({ ...secrets, rowId: id });
          parts.push({ ids, rows, done });
        }
        return outcomeOf(parts, next);
      });
    },
  };
}

const elsewhere = ({ columns }: Entry, kid: string): SQL | undefined => {
  const prefix = prefixOf(kid);
  return or(...Object.values(columns).map((one) => sql`substr(${one}, 1, length(${prefix})) <> ${prefix}`));
};
