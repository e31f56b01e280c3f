// The secrets of the database: key checks, which key encrypts what, and re-encryption, in SQLite.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { and, asc, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { SecretStore } from '../../ports/index.ts';
import { CALLERS_CHANGED } from '../shared/caller-rows.ts';
import { placeholderFor } from '../shared/placeholders.ts';
import { nextOf, nextRows, outcomeOf, reencryptRows, type SecretRow } from '../shared/reencryption.ts';
import {
  type AllSecretsOf,
  boundColumns,
  macTables,
  namesOf,
  needsMac,
  needsReencryption,
  type SecretTable,
  secretTables,
} from '../shared/secret-columns.ts';
import type { SqliteAccess } from './client.ts';
import { countKeyUse, nextStep } from './key-use.ts';
import * as schema from './schema.ts';

type Secrets = SecretTable<SQLiteTable, SQLiteColumn>;

const tables: Secrets[] = Object.values(
  secretTables<SQLiteTable, SQLiteColumn>(schema) satisfies AllSecretsOf<typeof schema>,
);
export const secretColumns: string[] = namesOf(tables);
const authenticated = macTables(schema);

export function createSecretStore({ orm, read, write, record }: SqliteAccess): SecretStore {
  const { connectSessions, keyChecks } = schema;

  /** Examined in steps: where little is left to do, there are many rows to pass. */
  async function nextIds(secrets: Secrets, kid: string, from: string | undefined, limit: number): Promise<string[]> {
    const { table, id } = secrets;
    const found: string[] = [];
    for (let after = from; ; ) {
      const { rows, until } = await read(() => {
        const step = nextStep(orm, secrets, after);
        const due = orm
          .select({ id: sql<string>`${id}` })
          .from(table)
          .where(and(step.range, needsReencryption(secrets, kid)))
          .orderBy(asc(id))
          .limit(limit - found.length);
        return { ...step, rows: due.all() };
      });
      found.push(...rows.map((row) => row.id));
      if (until === undefined || found.length === limit) return found;
      after = until;
      await nextTurn();
    }
  }

  /** Those of them that are still there; no other process changes them until the operation ends. */
  function current(one: Secrets, ids: string[]): SecretRow[] {
    const { table, id, boundTo, columns } = one;
    const secrets = Object.fromEntries(Object.values(columns).map((column) => [column.name, column]));
    const rows = orm
      .select({ id, boundTo, bound: boundColumns(one), secrets })
      .from(table)
      .where(inArray(id, ids))
      .orderBy(asc(id))
      .all();
    return rows.map((row) => ({ ...row, bound: row.bound ?? {} })) as SecretRow[];
  }

  /** Preparing them takes a few hundred microseconds, so only when they are needed, and once. */
  let prepared: Map<Secrets, { run(values: Record<string, unknown>): unknown }> | undefined;
  const replacements = () => {
    prepared ??= new Map(
      tables.map((secrets) => {
        const set = Object.entries(secrets.columns).map(([key, column]) => [key, placeholderFor(column, column.name)]);
        const replace = orm
          .update(secrets.table)
          .set(Object.fromEntries(set))
          .where(eq(secrets.id, sql.placeholder('rowId')));
        return [secrets, replace.prepare()];
      }),
    );
    return prepared;
  };

  return {
    keyChecks: () => read(() => orm.select().from(keyChecks).orderBy(asc(keyChecks.kid)).all()),
    // Two replicas may check a new key at the same time: the first check is as good as the second.
    addKeyCheck: (check) => write(() => void orm.insert(keyChecks).values(check).onConflictDoNothing().run()),
    removeKeyCheck: (kid, audit) =>
      write(() => {
        if (orm.delete(keyChecks).where(eq(keyChecks.kid, kid)).run().changes > 0) record(audit);
      }),
    replaceKeyCheck: ({ kid, ciphertext }, before, audit) =>
      write(() => {
        const replaced =
          before === null
            ? orm.insert(keyChecks).values({ kid, ciphertext }).onConflictDoNothing().run()
            : orm
                .update(keyChecks)
                .set({ ciphertext })
                .where(and(eq(keyChecks.kid, kid), eq(keyChecks.ciphertext, before)))
                .run();
        if (replaced.changes === 0) return false;
        record(audit, CALLERS_CHANGED);
        return true;
      }),
    keysInUse: () => countKeyUse({ orm, read }, tables),
    sessionsToAuthenticate: (kid, limit) =>
      read(() =>
        orm
          .select()
          .from(connectSessions)
          .where(
            and(inArray(connectSessions.status, ['pending', 'awaiting_finish']), needsMac(connectSessions.mac, kid)),
          )
          .orderBy(asc(connectSessions.id))
          .limit(limit)
          .all(),
      ),
    replaceMac: ({ table, id, mac }, before) =>
      write(() => {
        const rows = authenticated[table];
        const unchanged = before === null ? isNull(rows.mac) : eq(rows.mac, before);
        return (
          orm
            .update(rows)
            .set({ mac })
            .where(and(eq(rows.id, id), unchanged))
            .run().changes > 0
        );
      }),

    reencryptBatch: async (kid, after, limit, reencrypt) => {
      // Before the file is locked: where little is left to do, the scan is long.
      const batches = await nextRows(tables, after, limit, (secrets, from, room) => nextIds(secrets, kid, from, room));
      const next = nextOf(batches, limit);
      if (batches.length === 0) return outcomeOf([], next);
      return write(() => {
        const outcomes = batches.map((batch) => {
          const outcome = reencryptRows(batch, current(batch.table, batch.ids), kid, reencrypt);
          const replace = replacements().get(batch.table)!;
          for (const { id, secrets } of outcome.changed) replace.run({ ...secrets, rowId: id });
          return outcome;
        });
        return outcomeOf(outcomes, next);
      });
    },
  };
}
