// The two schemas have the same rows: the types are compared first, then the names of columns and indexes.
import { getTableColumns, getTableName, is, Table } from 'drizzle-orm';
import { type PgTable, getTableConfig as postgresConfig } from 'drizzle-orm/pg-core';
import { type SQLiteTable, getTableConfig as sqliteConfig } from 'drizzle-orm/sqlite-core';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { MIGRATED_TABLES } from '../../src/ports/index.ts';
import * as postgres from '../../src/stores/postgres/schema.ts';
import { secretColumns as postgresSecrets } from '../../src/stores/postgres/secret-columns.ts';
import * as sqlite from '../../src/stores/sqlite/schema.ts';
import { secretColumns as sqliteSecrets } from '../../src/stores/sqlite/secret-columns.ts';

type Rows<Schema> = {
  [Name in keyof Schema as Schema[Name] extends Table ? Name : never]: Schema[Name] extends Table
    ? { read: Schema[Name]['$inferSelect']; written: Schema[Name]['$inferInsert'] }
    : never;
};
type Postgres = Rows<typeof postgres>;
type Sqlite = Rows<typeof sqlite>;

const tablesOf = (schema: object) =>
  Object.entries(schema).filter((entry): entry is [string, Table] => is(entry[1], Table));
/** The transactions of what has changed, by which PostgreSQL reads the change feed. */
const BY_TRANSACTION: Record<string, { columns?: readonly string[]; index?: string }> = {
  changes: { columns: ['xid'], index: 'changes_by_xid' },
  leases: { columns: ['refreshedXid', 'refreshedGeneration'], index: 'leases_refreshed' },
};
type ReadByTransaction = 'xid' | 'refreshedXid' | 'refreshedGeneration';
const there = new Map(tablesOf(postgres));

describe('the schemas of SQLite and PostgreSQL', () => {
  test('have the same rows, but for `replicas`, which are files beside SQLite', () => {
    expectTypeOf<Omit<Postgres, 'replicas'>['connections']>().toEqualTypeOf<Sqlite['connections']>();
    expectTypeOf<Postgres['integrations']>().toEqualTypeOf<Sqlite['integrations']>();
    expectTypeOf<Postgres['grants']>().toEqualTypeOf<Sqlite['grants']>();
    expectTypeOf<Omit<Postgres['leases']['read'], ReadByTransaction>>().toEqualTypeOf<Sqlite['leases']['read']>();
    expectTypeOf<Postgres['connectSessions']>().toEqualTypeOf<Sqlite['connectSessions']>();
    expectTypeOf<Postgres['flows']>().toEqualTypeOf<Sqlite['flows']>();
    expectTypeOf<Postgres['callers']>().toEqualTypeOf<Sqlite['callers']>();
    expectTypeOf<Postgres['callerKeys']>().toEqualTypeOf<Sqlite['callerKeys']>();
    expectTypeOf<Postgres['pendingRevocations']>().toEqualTypeOf<Sqlite['pendingRevocations']>();
    expectTypeOf<Postgres['audit']>().toEqualTypeOf<Sqlite['audit']>();
    expectTypeOf<Postgres['consoleSessions']>().toEqualTypeOf<Sqlite['consoleSessions']>();
    expectTypeOf<Postgres['events']>().toEqualTypeOf<Sqlite['events']>();
    expectTypeOf<Postgres['webhookEndpoints']>().toEqualTypeOf<Sqlite['webhookEndpoints']>();
    expectTypeOf<Postgres['deliveries']>().toEqualTypeOf<Sqlite['deliveries']>();
    expectTypeOf<Postgres['receivedWebhooks']>().toEqualTypeOf<Sqlite['receivedWebhooks']>();
    expectTypeOf<Postgres['capturedValues']>().toEqualTypeOf<Sqlite['capturedValues']>();
    expectTypeOf<Postgres['holdChanges']>().toEqualTypeOf<Sqlite['holdChanges']>();
    expectTypeOf<Postgres['keyChecks']>().toEqualTypeOf<Sqlite['keyChecks']>();
    expectTypeOf<Postgres['rateBuckets']>().toEqualTypeOf<Sqlite['rateBuckets']>();
    expectTypeOf<Postgres['paces']>().toEqualTypeOf<Sqlite['paces']>();
    expectTypeOf<Omit<Postgres['changes']['read'], ReadByTransaction>>().toEqualTypeOf<Sqlite['changes']['read']>();
    expectTypeOf<Exclude<keyof Postgres, keyof Sqlite>>().toEqualTypeOf<'replicas'>();
    expectTypeOf<Exclude<keyof Sqlite, keyof Postgres>>().toEqualTypeOf<never>();
    expect(tablesOf(sqlite).length).toBeGreaterThan(10);
    expect(postgresSecrets).toEqual(sqliteSecrets);
  });

  test('are covered by a data migration, but for what belongs to one database', () => {
    const names = tablesOf(postgres).map(([, table]) => getTableName(table));
    const local = [
      'agent_sessions',
      'audit_reads',
      'changes',
      'connection_counts',
      'console_sessions',
      'paces',
      'rate_buckets',
      'replicas',
    ];
    expect([...MIGRATED_TABLES, ...local].sort()).toEqual(names.sort());
    for (const [name, table] of tablesOf(sqlite).filter(([, one]) => getTableName(one) !== 'audit_reads'))
      expect(Object.values(getTableColumns(table))[0]!.primary, name).toBe(true);
  });

  test.each(tablesOf(sqlite))(
    'have the same columns and indexes of %s, but for the transactions of changes',
    (name, here) => {
      const twin = there.get(name)!;
      expect(getTableName(twin)).toBe(getTableName(here));
      const named = (table: Table) =>
        Object.entries(getTableColumns(table)).map(([key, { name: column, notNull }]) => ({ key, column, notNull }));
      const { columns = [], index } = BY_TRANSACTION[getTableName(here)] ?? {};
      expect(named(twin).filter(({ key }) => !columns.includes(key))).toEqual(named(here));
      const indexesOf = (indexes: { config: { name?: string | undefined } }[]) =>
        indexes.map(({ config }) => config.name).sort();
      // SQLite has one writer: numbers are in the order of the commits, and so `changes` has no index by time here.
      const indexes = indexesOf(sqliteConfig(here as SQLiteTable).indexes).filter((name) => name !== 'changes_at');
      expect(indexesOf(postgresConfig(twin as PgTable).indexes)).toEqual(
        [...indexes, ...(index ? [index] : [])].sort(),
      );
    },
  );
});
