// Every column that holds a secret, and the sentences that seal them anew, in PostgreSQL.
import { and, asc, eq, gt, or, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn, PgTable } from 'drizzle-orm/pg-core';
import type { Sealed } from '../../domain/connection.ts';
import type { SealedPlace, SealedText, Store } from '../../ports.ts';
import { given, type PostgresAccess } from './postgres.ts';
import * as schema from './schema.ts';

type Schema = typeof schema;
type Row<T> = T extends PgTable ? T['$inferSelect'] : Record<never, never>;
type SealedIn<T> = { [C in keyof Row<T>]: NonNullable<Row<T>[C]> extends Sealed ? C : never }[keyof Row<T>];
/** The proofs of the keys are sealed too, but each by the key that it proves. */
type SealedTables = { [T in keyof Schema]: SealedIn<Schema[T]> extends never ? never : T }[keyof Schema];
type Listed = Exclude<SealedTables, 'keyChecks'>;

interface Entry {
  name: SealedPlace['table'];
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

type SealedStore = Pick<Store, 'keysInUse' | 'sealedElsewhere' | 'reseal'>;

export function sealedStore({ ask, write, prepared }: PostgresAccess): SealedStore {
  const replacements = prepared(
    (orm) =>
      new Map(
        entries.flatMap(({ name, table, id, columns }) =>
          Object.entries(columns).map(([key, column]) => {
            const stillThere = and(eq(id, sql.placeholder('id')), eq(column, sql.placeholder('from')));
            const replace = orm
              .update(table)
              .set({ [key]: given(column, 'to') })
              .where(stillThere)
              .prepare('');
            return [`${name}.${column.name}`, replace] as const;
          }),
        ),
      ),
  );

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

    sealedElsewhere: (kid, after, limit) =>
      ask(async (orm) => {
        const prefix = `v1.${kid}.`;
        const texts: SealedText[] = [];
        let left = limit;
        const from = after === undefined ? 0 : entries.findIndex(({ name }) => name === after.table);
        for (const { name, table, id, sealedFor, columns } of entries.slice(from)) {
          const all = Object.values(columns);
          const rows = (await orm
            .select({ id, sealedFor, ...Object.fromEntries(all.map((column) => [column.name, column])) })
            .from(table)
            .where(
              and(
                name === after?.table ? gt(id, after.id) : undefined,
                or(...all.map((column) => sql`left(${column}, length(${prefix}::text)) <> ${prefix}`)),
              ),
            )
            .orderBy(asc(id))
            .limit(left)) as Record<string, string | null>[];
          for (const row of rows)
            for (const column of all.map((one) => one.name)) {
              const sealed = row[column] as Sealed | null;
              if (sealed === null || sealed.startsWith(prefix)) continue;
              texts.push({ table: name, id: row.id!, column, sealedFor: row.sealedFor!, sealed });
            }
          left -= rows.length;
          if (left === 0) break;
        }
        return texts;
      }),

    reseal: (changes) =>
      write(async (orm) => {
        const statements = replacements(orm);
        const results = await Promise.all(
          changes.map(({ table, id, column, from, to }) =>
            statements.get(`${table}.${column}`)!.execute({ id, from, to }),
          ),
        );
        return results.reduce((replaced, { rowCount }) => replaced + (rowCount ?? 0), 0);
      }),
  };
}
