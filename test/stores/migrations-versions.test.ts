// Which databases a store opens: those of its own line of versions that are not newer than it. Every other one it leaves
// as it was, and the message says what it is.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { packageFile } from '../../src/package-files.ts';
import { StoreError } from '../../src/ports/index.ts';
import { migrateStore } from '../../src/stores/open.ts';
import { readAddress } from '../../src/stores/postgres/database.ts';
import { migrate } from '../../src/stores/postgres/migrations.ts';
import { migrateSqlite } from '../../src/stores/sqlite/store.ts';
import { aDatabase, asked } from '../support/postgres.ts';
import { createMigratedDatabase } from '../support/stores.ts';

const folder = mkdtempSync(join(tmpdir(), 'valetkey-versions-'));
afterAll(() => rmSync(folder, { recursive: true }));
let made = 0;

interface Dialect {
  create(): Promise<string>;
  query(url: string, statement: string): Promise<Record<string, unknown>[]>;
  /** With the migrations of another version. */
  migrateWith(url: string, migrations: string): Promise<void>;
}

const sqlite: Dialect = {
  create: async () => `file:${join(folder, `${++made}.db`)}`,
  async query(url, statement) {
    const client = new Sqlite(url.slice('file:'.length));
    try {
      const prepared = client.prepare<[], Record<string, unknown>>(statement);
      if (prepared.reader) return prepared.all();
      prepared.run();
      return [];
    } finally {
      client.close();
    }
  },
  migrateWith: async (url, migrations) => migrateSqlite(url, migrations),
};
const postgres: Dialect = {
  create: () => aDatabase(),
  query: asked,
  migrateWith: (url, migrations) => migrate(readAddress(url), migrations),
};

/** The migrations of this version, changed: of an earlier or a later one, or of another line. */
function migrationsOf(
  dialect: string,
  change: (files: { entries: { tag: string; when: number }[]; at: string }) => void,
) {
  const at = join(folder, `migrations-${++made}`);
  cpSync(packageFile(`drizzle/${dialect}`), at, { recursive: true });
  const path = join(at, 'meta', '_journal.json');
  const journal = JSON.parse(readFileSync(path, 'utf8'));
  change({ entries: journal.entries, at });
  writeFileSync(path, JSON.stringify(journal));
  return at;
}
const earlier = (dialect: string) => migrationsOf(dialect, ({ entries }) => entries.splice(1));
const later = (dialect: string) =>
  migrationsOf(dialect, ({ entries, at }) => {
    entries.push({ ...entries[0]!, tag: '9999_later', when: 9e12 });
    writeFileSync(join(at, '9999_later.sql'), 'CREATE TABLE later (id text);');
  });
const otherLine = (dialect: string) =>
  migrationsOf(dialect, ({ entries, at }) => {
    const { tag } = entries[0]!;
    writeFileSync(join(at, `${tag}.sql`), `${readFileSync(join(at, `${tag}.sql`), 'utf8')}\n-- edited`);
  });

const JOURNAL = 'select hash, created_at from __drizzle_migrations order by created_at';
const NEWER = 'the database was made by a newer version of Valetkey than this one';
const FOREIGN = 'the database was not made by this line of versions of Valetkey';

describe.each(Object.entries({ sqlite, postgres }))('a %s database', (name, { create, query, migrateWith }) => {
  const refusal = async (url: string) => {
    const error = await migrateStore(url).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StoreError);
    return (error as StoreError).message;
  };
  const unchanged = async (url: string, message: string) => {
    const before = await query(url, JOURNAL);
    expect(await refusal(url)).toContain(message);
    expect(await query(url, JOURNAL)).toEqual(before);
  };

  test('that is empty: migrated; and once more: nothing to do', async () => {
    const url = await create();
    await migrateStore(url);
    const applied = await query(url, JOURNAL);
    expect(applied.length).toBeGreaterThan(1);
    await migrateStore(url);
    expect(await query(url, JOURNAL)).toEqual(applied);
  });

  test('of an older version: brought up to date', async () => {
    const url = await create();
    await migrateWith(url, earlier(name));
    expect(await query(url, JOURNAL)).toHaveLength(1);
    await migrateStore(url);
    expect((await query(url, JOURNAL)).length).toBeGreaterThan(1);
    expect(await query(url, 'select * from rate_buckets')).toEqual([]);
  });

  test('of a newer version of this line: refused as newer', async () => {
    const url = await create();
    await migrateWith(url, later(name));
    await unchanged(url, NEWER);
  });

  test('whose first migration has another hash: refused as of another line, however new it is', async () => {
    const url = await create();
    await migrateWith(url, otherLine(name));
    await unchanged(url, FOREIGN);
    await query(url, "insert into __drizzle_migrations (hash, created_at) values ('later', 9000000000000)");
    await unchanged(url, FOREIGN);
  });

  test('whose first migration was generated at another time, earlier or later: refused as of another line', async () => {
    for (const when of [1_700_000_000_000, 9e12]) {
      const url = await create();
      await migrateWith(
        url,
        migrationsOf(name, ({ entries }) => entries.splice(0, entries.length, { ...entries[0]!, when })),
      );
      await unchanged(url, FOREIGN);
    }
  });

  test('that another application migrates with the same library: refused as of another line', async () => {
    const url = await create();
    await query(url, 'create table __drizzle_migrations (id integer, hash text not null, created_at bigint)');
    await query(url, "insert into __drizzle_migrations values (1, 'theirs', 1700000000000)");
    await unchanged(url, FOREIGN);
  });

  test.each(['connections', 'rate_buckets'])(
    'in which another application has a table %s: refused, and the table is named',
    async (table) => {
      const url = await create();
      await query(url, `create table ${table} (id integer primary key)`);
      expect(await refusal(url)).toBe(
        `the database holds tables of another application with the names of Valetkey's (${table}): use another database, or another schema of it`,
      );
      expect(await query(url, `select * from ${table}`)).toEqual([]);
    },
  );

  test('of an older version, in which another application has a table that the next one creates: refused, and left as it was', async () => {
    const url = await create();
    await migrateWith(url, earlier(name));
    await query(url, 'create table rate_buckets (id integer primary key)');
    await unchanged(url, "with the names of Valetkey's (rate_buckets)");
  });

  test('in which another application has other tables: migrated beside them', async () => {
    const url = await create();
    await query(url, 'create table invoices (id integer primary key)');
    await migrateStore(url);
    expect(await query(url, 'select * from invoices')).toEqual([]);
  });
});

test('a PostgreSQL database with 0032 as it was at first: brought up to date, with the index that it lacks', async () => {
  const url = await postgres.create();
  const first = migrationsOf('postgres', ({ entries, at }) => {
    entries.splice(33);
    entries[32]!.when = 1796056165958;
    const path = join(at, `${entries[32]!.tag}.sql`);
    const corrected = readFileSync(path, 'utf8');
    const text = corrected
      .replace(/^CREATE INDEX "replicas_earlier".*\n/m, '')
      .replace(/(?<=may be alive\.) They are found by an index: .*\n-- PostgreSQL 18 .*/, '');
    writeFileSync(path, text);
  });
  await postgres.migrateWith(url, first);
  const indexOf = (of: string) => asked(of, "select indexdef from pg_indexes where indexname = 'replicas_earlier'");
  const index = await indexOf(await createMigratedDatabase());
  expect(index).toHaveLength(1);
  expect(await indexOf(url)).toEqual([]);
  await migrateStore(url);
  expect(await indexOf(url)).toEqual(index);
  await migrateStore(url);
});

test('an SQLite file that is refused: not one byte of it changes', async () => {
  const url = await sqlite.create();
  const path = url.slice('file:'.length);
  await sqlite.query(url, 'create table connections (id integer primary key)');
  const before = readFileSync(path);
  await expect(migrateStore(url)).rejects.toThrow(StoreError);
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(existsSync(`${path}-wal`)).toBe(false);
});
