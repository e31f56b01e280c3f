// Every column that holds a secret, and the sentences that seal them anew, in PostgreSQL.
import { and, asc, gt, or, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn, PgTable } from 'drizzle-orm/pg-core';
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
import type { Orm, PostgresAccess } from './client.ts';
import * as schema from './schema.ts';

type Schema = typeof schema;
type Row<T> = T extends PgTable ? T['$inferSelect'] : Record<never, never>;
type SealedIn<T> = { [C in keyof Row<T>]: NonNullable<Row<T>[C]> extends Ciphertext ? C : never }[keyof Row<T>];
/** The proofs of the keys are sealed too, but each by the key that it proves. */
type SealedTables = { [T in keyof Schema]: SealedIn<Schema[T]> extends never ? never : T }[keyof Schema];
type Listed = Exclude<SealedTables, 'keyChecks'>;

interface Entry {
  name: SecretRowKey['table'];
  table: PgTable;
  id: AnyPgColumn;
  /** What its secrets are bound to. */
  sealedFor: AnyPgColumn;
  columns: Record<string, AnyPgColumn>;
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
} satisfies { [T in Listed]: Entry & { columns: Record<SealedIn<Schema[T]>, AnyPgColumn> } };

const entries: Entry[] = Object.values(registry);

/** `table.column` of every secret, the proofs of the keys apart. */
export const sealedColumns: string[] = entries.flatMap(({ name, columns }) =>
  Object.values(columns).map((column) => `${name}.${column.name}`),
);

/** The kid in `v1.<kid>.…`, or null. Not LIKE: a kid may hold `_`, which LIKE takes for any character. */
const kidIn = (column: AnyPgColumn): SQL => {
  const rest = sql`substr(${column}, 4, 33)`;
  return sql`case when substr(${column}, 1, 3) = 'v1.' and strpos(${rest}, '.') > 1
    then substr(${rest}, 1, strpos(${rest}, '.') - 1) end`;
};

type SealedStore = Pick<Store, 'keysInUse' | 'reencryptBatch'>;

export function sealedStore({ ask, write }: PostgresAccess): SealedStore {
  return {
    // One statement is one snapshot: what moves from table to table meanwhile is counted once.
    keysInUse: () =>
      ask(async (orm) => {
        const kids = entries.flatMap(({ table, columns }) =>
          Object.values(columns).map(
            (column) => sql`select ${kidIn(column)} as kid from ${table} where ${column} is not null`,
          ),
        );
        const all = sql.join(kids, sql` union all `);
        const { rows } = await orm.execute<{ kid: string | null; secrets: string }>(
          sql`select kid, count(*) as secrets from (${all}) texts group by kid order by kid`,
        );
        return rows.map(({ kid, secrets }) => ({ kid, secrets: Number(secrets) }));
      }),

    reencryptBatch: async (kid, after, limit, anew) => {
      // Without a lock: where little is left to do, it is far between what is done.
      const found = await ask((orm) => find(orm, kid, after, limit));
      const next = nextOf(found, limit);
      if (found.length === 0) return outcomeOf([], next);
      return write(async (orm) => {
        const parts: Parameters<typeof outcomeOf>[0] = [];
        for (const { entry, ids } of found) {
          const rows = await taken(orm, entry, ids);
          const done = reencryptRows(entry.name, rows, kid, anew);
          if (done.changed.length > 0) await orm.execute(replacement(entry, done.changed));
          parts.push({ ids, rows, done });
        }
        return outcomeOf(parts, next);
      });
    },
  };
}

const elsewhere = ({ columns }: Entry, kid: string): SQL | undefined => {
  const prefix = prefixOf(kid);
  return or(...Object.values(columns).map((one) => sql`left(${one}, length(${prefix}::text)) <> ${prefix}`));
};

/** The ids of the next rows, by table. */
async function find(orm: Orm, kid: string, after: SecretRowKey | null, limit: number): Promise<Found<Entry>[]> {
  const found: Found<Entry>[] = [];
  let room = limit;
  for (const entry of from(entries, after)) {
    const { name, table, id } = entry;
    const further = name === after?.table ? gt(id, after.id) : undefined;
    const rows = await orm
      .select({ id: sql<string>`${id}` })
      .from(table)
      .where(and(further, elsewhere(entry, kid)))
      .orderBy(asc(id))
      .limit(room);
    if (rows.length > 0) found.push({ entry, ids: rows.map((row) => row.id) });
    room -= rows.length;
    if (room === 0) break;
  }
  return found;
}

/**
 * Those of them that nobody else has, as they are now; nobody else changes them until the sentence ends. It does without
 * the lock on the connection: this sentence waits for nobody, so that those who wait for it do not wait in a circle.
 */
async function taken(orm: Orm, entry: Entry, ids: string[]): Promise<SecretRow[]> {
  const { table, id, sealedFor, columns } = entry;
  const secrets = Object.fromEntries(Object.values(columns).map((column) => [column.name, column]));
  const rows = (await orm
    .select({ id, sealedFor, secrets })
    .from(table)
    .where(sql`${id} = any(${sql.param(ids)}::text[])`)
    .orderBy(asc(id))
    .for('no key update', { skipLocked: true })) as SecretRow[];
  return rows;
}

/** One statement, however many rows: each round trip of a sentence keeps them locked for longer. */
function replacement({ table, id, columns }: Entry, rows: SecretRow[]): SQL {
  const names = Object.values(columns).map(({ name }) => name);
  const list = (texts: (string | null)[]) => sql`${sql.param(texts)}::text[]`;
  const values = [
    list(rows.map((row) => row.id)),
    ...names.map((name) => list(rows.map(({ secrets }) => secrets[name]!))),
  ];
  const named = names.map((name) => sql.identifier(name));
  const set = named.map((name) => sql`${name} = anew.${name}`);
  return sql`update ${table} set ${sql.join(set, sql`, `)}
    from unnest(${sql.join(values, sql`, `)}) as anew(row_id, ${sql.join(named, sql`, `)}) where ${id} = anew.row_id`;
}
