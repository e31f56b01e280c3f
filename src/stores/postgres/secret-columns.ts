// The secrets of the database: key checks, which key encrypts what, and re-encryption, in PostgreSQL.
import { and, asc, eq, gt, inArray, isNull, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn, PgTable } from 'drizzle-orm/pg-core';
import type { SecretStore } from '../../ports/index.ts';
import { CALLERS_CHANGED } from '../shared/caller-rows.ts';
import {
  nextOf,
  nextRows,
  outcomeOf,
  reencryptRows,
  type SecretRow,
  type TableOutcome,
} from '../shared/reencryption.ts';
import {
  type AllSecretsOf,
  boundColumns,
  keysInUse,
  macTables,
  namesOf,
  needsMac,
  needsReencryption,
  type SecretTable,
  secretTables,
} from '../shared/secret-columns.ts';
import type { Orm, PostgresAccess } from './client.ts';
import * as schema from './schema.ts';

type Secrets = SecretTable<PgTable, AnyPgColumn>;

const tables: Secrets[] = Object.values(
  secretTables<PgTable, AnyPgColumn>(schema) satisfies AllSecretsOf<typeof schema>,
);
export const secretColumns: string[] = namesOf(tables);
const authenticated = macTables(schema);

export function createSecretStore({ autocommit, transaction, record }: PostgresAccess): SecretStore {
  const { connectSessions, keyChecks } = schema;

  const nextIds = (secrets: Secrets, kid: string, after: string | undefined, limit: number): Promise<string[]> =>
    autocommit(async (orm) => {
      const { table, id } = secrets;
      const further = after === undefined ? undefined : gt(id, after);
      const rows = await orm
        .select({ id: sql<string>`${id}` })
        .from(table)
        .where(and(further, needsReencryption(secrets, kid)))
        .orderBy(asc(id))
        .limit(limit);
      return rows.map((row) => row.id);
    });

  return {
    keyChecks: () => autocommit((orm) => orm.select().from(keyChecks).orderBy(asc(keyChecks.kid))),
    // Two replicas may check a new key at the same time: the first check is as good as the second.
    addKeyCheck: (check) =>
      autocommit(async (orm) => {
        await orm.insert(keyChecks).values(check).onConflictDoNothing();
      }),
    removeKeyCheck: (kid, audit) =>
      transaction(async (orm) => {
        const removed = await orm.delete(keyChecks).where(eq(keyChecks.kid, kid)).returning({ kid: keyChecks.kid });
        if (removed.length > 0) await record(orm, audit);
      }),
    replaceKeyCheck: ({ kid, ciphertext }, before, audit) =>
      transaction(async (orm) => {
        const replaced =
          before === null
            ? await orm
                .insert(keyChecks)
                .values({ kid, ciphertext })
                .onConflictDoNothing()
                .returning({ kid: keyChecks.kid })
            : await orm
                .update(keyChecks)
                .set({ ciphertext })
                .where(and(eq(keyChecks.kid, kid), eq(keyChecks.ciphertext, before)))
                .returning({ kid: keyChecks.kid });
        if (replaced.length === 0) return false;
        await record(orm, audit, CALLERS_CHANGED);
        return true;
      }),
    keysInUse: () =>
      autocommit(async (orm) => {
        const { rows } = await orm.execute<{ kid: string | null; secrets: string; outdated: string }>(
          keysInUse(tables, 'strpos'),
        );
        return rows.map(({ kid, secrets, outdated }) => ({
          kid,
          secrets: Number(secrets),
          outdated: Number(outdated),
        }));
      }),
    sessionsToAuthenticate: (kid, limit) =>
      autocommit((orm) =>
        orm
          .select()
          .from(connectSessions)
          .where(
            and(inArray(connectSessions.status, ['pending', 'awaiting_finish']), needsMac(connectSessions.mac, kid)),
          )
          .orderBy(asc(connectSessions.id))
          .limit(limit),
      ),
    replaceMac: ({ table, id, mac }, before) =>
      autocommit(async (orm) => {
        const rows = authenticated[table];
        const unchanged = before === null ? isNull(rows.mac) : eq(rows.mac, before);
        const replaced = await orm
          .update(rows)
          .set({ mac })
          .where(and(eq(rows.id, id), unchanged))
          .returning({ id: rows.id });
        return replaced.length > 0;
      }),

    reencryptBatch: async (kid, after, limit, reencrypt) => {
      // Without locks: where little is left to do, the scan is long.
      const batches = await nextRows(tables, after, limit, (secrets, from, room) => nextIds(secrets, kid, from, room));
      const next = nextOf(batches, limit);
      if (batches.length === 0) return outcomeOf([], next);
      return transaction(async (orm) => {
        const outcomes: TableOutcome[] = [];
        for (const batch of batches) {
          const rows = await lockRows(orm, batch.table, batch.ids);
          const outcome = reencryptRows(batch, rows, kid, reencrypt);
          if (outcome.changed.length > 0) await orm.execute(replacement(batch.table, outcome.changed));
          outcomes.push(outcome);
        }
        return outcomeOf(outcomes, next);
      });
    },
  };
}

/**
 * Those of them that no other transaction has locked, as they are now. The connection is not locked first, as other
 * transactions do: this one waits for none, so that those that wait for it cannot deadlock.
 */
async function lockRows(orm: Orm, one: Secrets, ids: string[]): Promise<SecretRow[]> {
  const { table, id, boundTo, columns } = one;
  const secrets = Object.fromEntries(Object.values(columns).map((column) => [column.name, column]));
  const rows = await orm
    .select({ id, boundTo, bound: boundColumns(one), secrets })
    .from(table)
    .where(sql`${id} = any(${sql.param(ids)}::text[])`)
    .orderBy(asc(id))
    .for('no key update', { skipLocked: true });
  return rows.map((row) => ({ ...row, bound: row.bound ?? {} })) as SecretRow[];
}

/** One statement for all rows: each round trip keeps them locked for longer. */
function replacement({ table, id, columns }: Secrets, rows: SecretRow[]): SQL {
  const names = Object.values(columns).map(({ name }) => name);
  const list = (texts: (string | null)[]) => sql`${sql.param(texts)}::text[]`;
  const values = [
    list(rows.map((row) => row.id)),
    ...names.map((name) => list(rows.map(({ secrets }) => secrets[name]!))),
  ];
  const identifiers = names.map((name) => sql.identifier(name));
  const set = identifiers.map((name) => sql`${name} = replaced.${name}`);
  return sql`update ${table} set ${sql.join(set, sql`, `)}
    from unnest(${sql.join(values, sql`, `)}) as replaced(row_id, ${sql.join(identifiers, sql`, `)})
    where ${id} = replaced.row_id`;
}
