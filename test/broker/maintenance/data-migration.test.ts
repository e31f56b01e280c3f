// Migrating between databases: the target has every value of the source, or the migration reports that it has not.
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { type DataMigrationResult, migrateData } from '../../../src/broker/maintenance/data-migration.ts';
import { type EndpointState, MIGRATED_TABLES, type MigrationEndpoint, type Store } from '../../../src/ports/index.ts';
import { runDataMigration, unmarkMigratedSource } from '../../../src/runtime/data-migration.ts';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { sqliteEndpoint } from '../../../src/stores/sqlite/data-migration.ts';
import { openRescue } from '../../../src/stores/sqlite/rescue-file.ts';
import { migrateSqlite, openSqlite } from '../../../src/stores/sqlite/store.ts';
import {
  aConnection,
  anEntry,
  connected,
  fill,
  NOW,
  someCredentials,
  someRefreshedFields,
} from '../../stores/builders.ts';
import { storedReads } from '../../stores/stored-reads.ts';
import { aDatabase, asked } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { createTerminal } from '../../support/terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'valetkey-data-migration-'));
afterAll(() => rmSync(folder, { recursive: true }));
let made = 0;
const aFile = () => `file:${join(folder, `${++made}.db`)}`;
const pathOf = (url: string) => url.slice('file:'.length);

/** Everything that a store holds, with values that are hard to migrate. */
async function populate(store: Store): Promise<void> {
  await fill(store);
  const odd = {
    nul: 'a\0b',
    lone: '\ud800',
    quoted: '"\\\'{},NULL',
    lines: '\r\n\u2028',
    tiny: 1e-7,
    big: 2 ** 53 - 1,
  };
  await connected(store, { owner: 'NULL', metadata: odd, captured: {}, scopes: [], identity: null, expiresAt: null });
  await connected(store, { owner: '{"a",\\N}', label: "o'neill, “ü𐍈” \t\n", expiresAt: Number.MAX_SAFE_INTEGER });
  const { connection: gone } = await connected(store);
  await store.revoke(gone.id, 'pending', NOW, anEntry());
  const { connection: refreshed, credentials: grant } = await connected(store);
  const claimed = await store.claim(refreshed.id, { attempt: 'att_2', generation: 1, now: NOW, monotonic: 0 });
  if (typeof claimed !== 'object') throw new Error(claimed);
  await store.commitRefresh(
    refreshed.id,
    { fence: claimed.fence, generation: 1 },
    someRefreshedFields(),
    grant,
    anEntry,
  );
  // Of upper and lower case, so that the order of a language is not that of the bytes; more than a page of them.
  const ids = Array.from({ length: 2_500 }, (_, n) => `${'aBcD-_'[n % 6]}_${n % 7}${n}`);
  await store.appendAudit(ids.map((id) => anEntry({ id })));
  const reads = ['a\0b', 'o"’\\', 'ü𐍈'].map((owner, n) =>
    anEntry({ action: 'token.read', owner, connectionId: `con_read${n}`, detail: null, changed: null }),
  );
  await store.appendAudit(storedReads(reads));
}

let populated: string;
beforeAll(async () => {
  populated = aFile();
  const store = await openSqlite(populated);
  await populate(store);
  await store.close();
});

/** A copy of the populated database: a source can be migrated to one target only. */
function aSource(): string {
  const url = aFile();
  copyFileSync(pathOf(populated), pathOf(url));
  return url;
}

const migrated = async (from: string, to: string): Promise<DataMigrationResult> => {
  const outcome = await runDataMigration({ from, to, dataDir: folder, onProgress: () => undefined });
  if ('refused' in outcome) throw new Error(outcome.refused);
  return outcome;
};
const refusal = async (from: string, to: string): Promise<string> => {
  const outcome = await runDataMigration({ from, to, dataDir: folder, onProgress: () => undefined });
  return 'refused' in outcome ? outcome.refused : 'it was not refused';
};

/** The rows in the file, without the holders of leases. */
function contents(url: string): Record<string, unknown[]> {
  const client = new Sqlite(pathOf(url), { readonly: true });
  const rowsOf = (table: string) =>
    client.prepare(`select * from "${table}" order by 1`).all() as { holder?: unknown }[];
  const all = Object.fromEntries(
    MIGRATED_TABLES.map((table) => [table, rowsOf(table).map(({ holder: _, ...row }) => row as unknown)]),
  );
  // It is not copied, but made again.
  all.audit_reads = rowsOf('audit_reads');
  client.close();
  return all;
}

test('to PostgreSQL and back: every row of every table is the same, to the byte', async () => {
  const [there, back] = [await aDatabase(), aFile()];
  const before = contents(populated);
  const out = await migrated(aSource(), there);
  const home = await migrated(there, back);
  for (const { tables, unfinished, altered } of [out, home]) {
    expect(unfinished).toBeUndefined();
    expect(altered.count).toBe(0);
    expect(tables.map(({ table }) => table)).toEqual([...MIGRATED_TABLES]);
    expect(tables.every(({ same }) => same)).toBe(true);
  }
  expect(home.tables).toEqual(out.tables);
  for (const { table, source } of out.tables) expect(source.rows, table).toBe(before[table]!.length);
  expect(Object.values(before).every((rows) => rows.length > 0)).toBe(true);
  expect(contents(populated)).toEqual(before);
  expect(contents(back)).toEqual(before);
});

test('an unresolved refresh stays unresolved, for the broker on the target to resolve', async () => {
  const to = await createMigratedDatabase();
  await migrated(aSource(), to);
  const intents = (store: Store) => store.unresolvedRefreshes();
  const [here, there] = [await openSqlite(populated), await openPostgres(to)];
  expect(await intents(there)).toEqual(await intents(here));
  expect(await intents(there)).not.toEqual([]);
  // And the triggers of the target have counted what was written.
  const counts = await here.countConnections();
  expect(counts.length).toBeGreaterThan(3);
  expect(new Set(await there.countConnections())).toEqual(new Set(counts));
  await Promise.all([here.close(), there.close()]);
  expect(await asked(to, 'select holder from leases where holder is not null')).toEqual([]);
});

test('a new audit entry on the target has a place after those that were migrated', async () => {
  const to = await createMigratedDatabase();
  await migrated(aSource(), to);
  const [{ last } = {}] = await asked(to, 'select max(position)::int as last from audit');
  const there = await openPostgres(to);
  await there.appendAudit([anEntry({ id: 'evt_new' })]);
  expect((await there.entriesBetween(Number(last), Number(last) + 1_000, 10)).map(({ entry }) => entry.id)).toEqual([
    'evt_new',
  ]);
  await there.close();
});

test('a database with a linguistic collation: no row is left out', async () => {
  const any = await aDatabase();
  const name = `${new URL(any).pathname.slice(1)}_en`;
  await asked(any, `create database ${name} template template0 locale_provider icu icu_locale 'en'`);
  const to = new URL(any);
  to.pathname = name;
  expect((await migrated(aSource(), to.href)).unfinished).toBeUndefined();
  expect((await migrated(to.href, aFile())).unfinished).toBeUndefined();
});

test('values that PostgreSQL cannot hold are migrated as it would have written them, and named', async () => {
  const from = aFile();
  const store = await openSqlite(from);
  const grant = someCredentials();
  const odd = aConnection({ owner: 'a\0b', issuedAt: NOW + 0.5, expiresAt: Number.POSITIVE_INFINITY });
  await connected(store, odd, grant);
  await store.close();
  const to = await createMigratedDatabase();
  const { altered, unfinished } = await migrated(from, to);
  expect(unfinished).toBeUndefined();
  expect(altered.named.map(({ table, id, column }) => `${table} ${id} ${column}`)).toEqual(
    ['owner', 'issued_at', 'expires_at'].map((column) => `connections ${odd.id} ${column}`),
  );
  const there = await openPostgres(to);
  expect(await there.connection(odd.id)).toMatchObject({
    owner: 'a\uFFFDb',
    issuedAt: NOW + 1,
    expiresAt: Number.MAX_SAFE_INTEGER,
  });
  expect((await there.servedRowsByOwner('slack', 'a\0b', undefined)).length).toBe(1);
  await there.close();
});

/** A data migration that fails in the middle of a table, as when the disk is full. */
async function interrupted(from: string, to: string): Promise<void> {
  const target = sqliteEndpoint(to);
  let pages = 0;
  const failing = {
    ...target,
    write: async (...given: Parameters<typeof target.write>) => {
      if (given[0] === 'audit' && ++pages === 2) throw new Error('the disk is full');
      await target.write(...given);
    },
  };
  await expect(
    migrateData({ source: sqliteEndpoint(from), target: failing, onProgress: () => undefined }),
  ).rejects.toThrow('disk');
  await target.close();
}

describe('an unfinished data migration', () => {
  test('keeps brokers and schema migrations off the target; run again, it resumes where it stopped', async () => {
    const [from, to] = [aSource(), aFile()];
    await interrupted(from, to);
    const words = /^a data migration from file:.* into this database has not finished: run valetkey migrate-data again/;
    await expect(openSqlite(to)).rejects.toThrow(words);
    expect(() => migrateSqlite(to)).toThrow(words);
    expect(await refusal(to, aFile())).toMatch(/is incomplete itself/);
    const { tables, written, unfinished } = await migrated(from, to);
    expect(unfinished).toBeUndefined();
    // All but the first page of the audit log, and the tables after it.
    const rest = tables.slice(tables.findIndex(({ table }) => table === 'audit'));
    expect(written).toBe(rest.reduce((sum, { source }) => sum + source.rows, 0) - 1_000);
    await (await openSqlite(to)).close();
  });

  test('detects that the source was changed meanwhile, and stays unfinished', async () => {
    const [from, to] = [aSource(), aFile()];
    await interrupted(from, to);
    const store = await openSqlite(from);
    await connected(store, { id: 'con_00000000' });
    const { caller } = (await store.callers())[0]!;
    await store.updateCaller({ ...caller, name: 'another' }, anEntry());
    await store.close();
    const valetkey = createTerminal({});
    const { code, out, err } = await valetkey(['migrate-data', '--from', from, '--to', to]);
    expect(code).toBe(1);
    expect(out).toMatch(/^grants\t\d+\t\d+\t[0-9a-f]{16}\tDIFFERENT$/m);
    expect(out).toMatch(/^callers\t1\t1\t[0-9a-f]{16}\tDIFFERENT$/m);
    expect(out).toMatch(/^caller_keys\t1\t1\t[0-9a-f]{16}\tsame$/m);
    expect(err).toMatch(/source and target differ in callers, connections, grants, leases: one of them was changed/);
    await expect(openSqlite(to)).rejects.toThrow('has not finished');
  });

  test('does not finish while a broker that was started meanwhile runs', async () => {
    const [from, to] = [aSource(), aFile()];
    const target = sqliteEndpoint(to);
    let started: Store | undefined;
    const slow: MigrationEndpoint = {
      ...target,
      write: async (table, rows) => {
        started ??= await openSqlite(from);
        await target.write(table, rows);
      },
    };
    const outcome = await migrateData({ source: sqliteEndpoint(from), target: slow, onProgress: () => undefined });
    expect(outcome).toMatchObject({ unfinished: expect.stringMatching(/^a broker was started on file:.* meanwhile/) });
    await Promise.all([target.close(), started?.close()]);
    expect((await migrated(from, to)).unfinished).toBeUndefined();
  });

  test('is not resumed from another source', async () => {
    const [to, other] = [aFile(), aSource()];
    await interrupted(aSource(), to);
    expect(await refusal(other, to)).toMatch(
      /holds a part of file:.*: finish that data migration, or use an empty database/,
    );
  });

  test('keeps brokers off PostgreSQL too', async () => {
    const to = await createMigratedDatabase();
    await asked(to, "create table moving_from as select 'file:/old.db'::text as place");
    await expect(openPostgres(to)).rejects.toThrow(
      'a data migration from file:/old.db into this database has not finished',
    );
    await expect(migratePostgres(to)).rejects.toThrow('has not finished');
  });
});

describe('a source that was migrated', () => {
  const AWAY = (to: string) => `this database was migrated to ${to}, where its refresh tokens are spent since`;

  test('keeps brokers, schema migrations and other data migrations off', async () => {
    const [from, there, back] = [aSource(), await createMigratedDatabase(), aFile()];
    const { to } = await migrated(from, there);
    await expect(openSqlite(from)).rejects.toThrow(AWAY(to));
    expect(() => migrateSqlite(from)).toThrow(AWAY(to));
    expect(await refusal(from, aFile())).toMatch(/was migrated to postgres:.*, whose credentials are newer: migrate/);
    await migrated(there, back);
    await expect(openPostgres(there)).rejects.toThrow(AWAY(back));
    await expect(migratePostgres(there)).rejects.toThrow(AWAY(back));
    await (await openSqlite(back)).close();
  });

  test('is marked before the target is usable: a run that ends in between is run again', async () => {
    const [from, to] = [aSource(), aFile()];
    const target = sqliteEndpoint(to);
    const failing = { ...target, finish: () => Promise.reject(new Error('killed')) };
    const source = sqliteEndpoint(from);
    await expect(migrateData({ source, target: failing, onProgress: () => undefined })).rejects.toThrow('killed');
    await target.close();
    await expect(openSqlite(from)).rejects.toThrow(AWAY(to));
    await expect(openSqlite(to)).rejects.toThrow('has not finished');
    expect((await migrated(from, to)).unfinished).toBeUndefined();
    await (await openSqlite(to)).close();
    await expect(openSqlite(from)).rejects.toThrow(AWAY(to));
  });

  test('can be used again, with --force alone', async () => {
    const [from, there] = [aSource(), await createMigratedDatabase()];
    await migrated(from, there);
    await migrated(there, aFile());
    const log = createLogger('silent');
    for (const databaseUrl of [from, there]) await unmarkMigratedSource({ databaseUrl, dataDir: folder }, log);
    await (await openSqlite(from)).close();
    await (await openPostgres(there)).close();
    // Without effect on a database that is not marked, is not there, or lives in memory.
    for (const databaseUrl of [from, aFile(), 'file::memory:'])
      await unmarkMigratedSource({ databaseUrl, dataDir: folder }, log);
  });
});

describe('refused, with nothing changed:', () => {
  test('a target that is not empty', async () => {
    const to = await createMigratedDatabase();
    const store = await openPostgres(to);
    await store.appendAudit([anEntry()]);
    await store.close();
    expect(await refusal(populated, to)).toMatch(/is not empty \(audit: 1\): use an empty database$/);
    expect(await refusal(to, populated)).toMatch(/is not empty \(integrations: 1, /);
    expect(await asked(to, 'select count(*)::int as n from connections')).toEqual([{ n: 0 }]);
  });

  test('a source that does not exist, which is not created', async () => {
    const from = aFile();
    expect(await refusal(from, aFile())).toMatch(/^there is no database at file:/);
    expect(existsSync(pathOf(from))).toBe(false);
    const nowhere = (await aDatabase()).replace(/\/test_/, '/absent_');
    expect(await refusal(nowhere, aFile())).toMatch(/^there is no database at postgres:/);
    expect(await refusal(await aDatabase(), aFile())).toMatch(/^postgres:.* holds no tables of Valetkey$/);
    expect(existsSync(`${folder}/${made}.db`)).toBe(false);
  });

  test('the source as the target, however its URL is written', async () => {
    const same = `${populated.slice(0, -'1.db'.length)}./1.db`;
    expect(await refusal(populated, same)).toBe('the source is the target');
    const url = await createMigratedDatabase();
    expect(await refusal(url, `${url}?pool=3`.replace('postgres@', 'other:secret@'))).toBe('the source is the target');
  });

  test('a source that another version made', async () => {
    const from = aSource();
    const client = new Sqlite(pathOf(from));
    client.prepare("insert into __drizzle_migrations (hash, created_at) values ('of tomorrow', 9e12)").run();
    client.close();
    expect(await refusal(from, aFile())).toMatch(/was made by a newer version of Valetkey than this one/);
    const older = {
      version: 'older',
      isInUse: false,
      migratingFrom: undefined,
      migratedTo: undefined,
      rescued: 0,
    } satisfies EndpointState;
    const source = { ...sqliteEndpoint(populated), state: async () => older };
    expect(await migrateData({ source, target: sqliteEndpoint(aFile()), onProgress: () => undefined })).toEqual({
      refused: expect.stringMatching(/older version of Valetkey: back it up, .* valetkey migrate, and run this again/),
    });
  });

  test('a broker on either side', async () => {
    const from = aSource();
    const [here, url] = [await openSqlite(from), await createMigratedDatabase()];
    const there = await openPostgres(url);
    expect(await refusal(from, aFile())).toMatch(/^a broker runs on file:.*: stop every broker there/);
    expect(await refusal(populated, url)).toMatch(/^a broker runs on postgres:/);
    expect(await refusal(url, aFile())).toMatch(/^a broker runs on postgres:/);
    await Promise.all([here.close(), there.close()]);
    expect(await refusal(from, url)).toBe('it was not refused');
  });

  test('responses in the rescue file beside a database, or on the machine of a broker on PostgreSQL', async () => {
    const [from, url] = [aSource(), await createMigratedDatabase()];
    const pending = {
      connectionId: 'con_1',
      integration: 'slack',
      owner: 'x',
      params: {},
      captured: {},
      grant: someCredentials(),
    };
    const held = { fence: 1, generation: 1 };
    for (const [place, beside, to] of [
      [from, from, aFile()],
      [url, `file:${folder}/valetkey`, aFile()],
    ] as const) {
      const rescue = openRescue(beside);
      await rescue.add({ attempt: 'att_9', held, change: someRefreshedFields(), ...pending });
      expect(await refusal(populated, place)).toMatch(/from an earlier database: use another target$/);
      expect(await refusal(place, to)).toMatch(
        /^responses of providers wait in the rescue file beside .* \(1\): start the broker there once/,
      );
      await rescue.remove('att_9');
      rescue.close();
      expect(await refusal(place, to)).toBe('it was not refused');
    }
  });

  test('an unknown kind of URL, a database in memory, and one that cannot be reached: no message has the password', async () => {
    const valetkey = createTerminal({});
    const answers = [
      await valetkey(['migrate-data', '--from', 'mysql://me:s3cret@db/x', '--to', aFile()]),
      await valetkey(['migrate-data', '--from', 'file::memory:', '--to', aFile()]),
      await valetkey(['migrate-data', '--from', populated, '--to', 'postgres://me:s3cret@127.0.0.1:1/x']),
      await valetkey(['migrate-data', '--from', populated, '--to', 'postgres://me:s3cret@127.0.0.1:99999/x']),
      await valetkey(['migrate-data', '--from', populated]),
    ];
    expect(answers.map(({ code }) => code)).toEqual([64, 1, 1, 1, 64]);
    expect(answers[0]!.err).toMatch(/^--from is not a database URL/);
    expect(answers[1]!.err).toMatch(/in memory/);
    expect(answers[2]!.err).toMatch(/ECONNREFUSED/);
    expect(JSON.stringify(answers)).not.toContain('s3cret');
  });
});

test('migrate-data --json: each table with its digest', async () => {
  const [source, to] = [aSource(), aFile()];
  const { code, out, err } = await createTerminal({})(['migrate-data', '--from', source, '--to', to, '--json']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const { from, finished, tables, ...rest } = JSON.parse(out);
  expect({ from, finished, ...rest }).toMatchObject({ from: source, finished: true, altered: 0 });
  expect(tables).toHaveLength(MIGRATED_TABLES.length);
  expect(tables[0]).toEqual({
    table: 'integrations',
    rows: 1,
    target_rows: 1,
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    target_digest: tables[0].digest,
    same: true,
  });
});
