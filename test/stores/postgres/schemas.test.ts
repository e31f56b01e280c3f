// A PostgreSQL schema other than `public`: the tables, their foreign keys and the journal of migrations are in the first
// schema of `search_path`, whatever the others hold.
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runDataMigration } from '../../../src/runtime/data-migration.ts';
import { migrateStore } from '../../../src/stores/open.ts';
import { aDatabase, asked } from '../../support/postgres.ts';
import { openTestStore } from '../../support/stores.ts';
import { anEntry, connected, fill } from '../builders.ts';

/** The URL with this `search_path`. */
function inSchema(url: string, path: string): string {
  const own = new URL(url);
  own.searchParams.set('options', `-c search_path=${path}`);
  return own.href;
}

const FOREIGN_TABLES = [
  'integrations',
  'connections',
  'callers',
  'connect_sessions',
  'grants',
  'audit',
  'rate_buckets',
];

/** A database in which another application has tables of the same names in `public`. */
async function sharedDatabase(type: 'text' | 'uuid', ...schemas: string[]): Promise<string> {
  const url = await aDatabase();
  await asked(
    url,
    [
      ...FOREIGN_TABLES.map((table) => `create table public.${table} (id ${type} primary key)`),
      ...schemas.map((schema) => `create schema ${schema}`),
    ].join('; '),
  );
  return url;
}

/** Where the foreign keys of a schema's tables point to. */
const targets = async (url: string, schema: string) =>
  (
    await asked(
      url,
      `select f.conname || ' → ' || n.nspname || '.' || t.relname as key from pg_constraint f
       join pg_class t on t.oid = f.confrelid join pg_namespace n on n.oid = t.relnamespace
       where f.contype = 'f' and f.connamespace = '${schema}'::regnamespace order by 1`,
    )
  ).map(({ key }) => key);

const ownTargets = (schema: string) => [
  `caller_keys_caller_id_callers_id_fk → ${schema}.callers`,
  `candidates_session_id_connect_sessions_id_fk → ${schema}.connect_sessions`,
  `consumed_flows_session_id_connect_sessions_id_fk → ${schema}.connect_sessions`,
  `flows_session_id_connect_sessions_id_fk → ${schema}.connect_sessions`,
  `grants_connection_id_connections_id_fk → ${schema}.connections`,
  `leases_connection_id_connections_id_fk → ${schema}.connections`,
];

/** Those of the first release. */
const firstTargets = (schema: string) => ownTargets(schema).filter((key) => !/^(candidates|consumed_flows)_/.test(key));

async function expectUntouched(url: string): Promise<void> {
  for (const table of FOREIGN_TABLES) expect(await asked(url, `select * from public.${table}`), table).toEqual([]);
  const tables = await asked(url, "select tablename as name from pg_tables where schemaname = 'public' order by 1");
  expect(tables.map(({ name }) => name)).toEqual(FOREIGN_TABLES.toSorted());
}

describe('a schema of its own, beside another application in public', () => {
  test('by `options` in the URL: holds every table, and every row', async () => {
    const url = await sharedDatabase('uuid', 'valetkey');
    await fill(await openTestStore(inSchema(url, 'valetkey')));
    expect(await targets(url, 'valetkey')).toEqual(ownTargets('valetkey'));
    expect(await asked(url, 'select 1 from valetkey.__drizzle_migrations')).not.toEqual([]);
    await expectUntouched(url);
  });

  test('by the name of the role, before public in its search path', async () => {
    const url = await sharedDatabase('text');
    const role = `role_${new URL(url).pathname.slice(1)}`;
    await asked(url, `create role ${role} login; create schema ${role} authorization ${role}`);
    await fill(await openTestStore(url.replace('postgres@', `${role}@`)));
    expect(await targets(url, role)).toEqual(ownTargets(role));
    await expectUntouched(url);
  });

  test('whose name needs quotes', async () => {
    const url = await sharedDatabase('text', '"Valet-Key"');
    await fill(await openTestStore(inSchema(url, '"Valet-Key"')));
    expect(await targets(url, '"Valet-Key"')).toEqual(ownTargets('Valet-Key'));
  });

  test('that does not exist: refused, and the message says so', async () => {
    const url = inSchema(await aDatabase(), 'nowhere');
    await expect(migrateStore(url)).rejects.toThrow('search_path names no schema that exists');
  });
});

describe('a database of the first release', () => {
  const dump = readFileSync(fileURLToPath(new URL('../fixtures/2026-11-23/postgres.sql', import.meta.url)), 'utf8');

  test('whose foreign keys point to the tables of another application: they are made again, with what they do', async () => {
    const url = await sharedDatabase('text', '"own"');
    const [, journal] = /^(insert into __drizzle_migrations .*)$/m.exec(dump)!;
    const statements = dump.slice(0, dump.indexOf('insert into'));
    await asked(url, `set search_path = "own"; ${statements} ${journal}`);
    expect(await targets(url, 'own')).toEqual(firstTargets('public'));
    await asked(url, "insert into public.callers values ('orphan')");
    await asked(url, "insert into own.caller_keys values ('key', 'orphan', 'digest', 'prefix', 1, null, null)");

    await migrateStore(inSchema(url, 'own'));
    expect(await targets(url, 'own')).toEqual(ownTargets('own'));
    expect(await asked(url, 'select * from own.caller_keys')).toEqual([]);
    expect(await asked(url, 'select id from public.callers')).toEqual([{ id: 'orphan' }]);
    const definitions = await asked(
      url,
      "select pg_get_constraintdef(oid) as text from pg_constraint where contype = 'f' order by conname",
    );
    expect(definitions.map(({ text }) => /ON DELETE \w+/.exec(String(text))?.[0])).toEqual([
      'ON DELETE CASCADE',
      'ON DELETE CASCADE',
      'ON DELETE CASCADE',
      'ON DELETE CASCADE',
      undefined,
      undefined,
    ]);
    await fill(await openTestStore(inSchema(url, 'own')));
  });

  test('in public: its foreign keys are left as they are', async () => {
    const url = await aDatabase();
    await asked(url, dump);
    const keys = "select oid, conname from pg_constraint where contype = 'f' order by 1";
    const before = await asked(url, keys);
    await migrateStore(url);
    // Later releases add keys.
    expect((await asked(url, keys)).slice(0, before.length)).toEqual(before);
    expect(await targets(url, 'public')).toEqual(ownTargets('public'));
  });
});

describe('two deployments in two schemas of one database', () => {
  test('migrate each for itself, at the same time, and share no row', async () => {
    const url = await aDatabase();
    await asked(url, 'create schema one; create schema two');
    const [one, two] = await Promise.all([openTestStore(inSchema(url, 'one')), openTestStore(inSchema(url, 'two'))]);
    const { connection } = await connected(one);
    expect(await two.connection(connection.id)).toBeUndefined();
    // Also when another session writes, whose search path is another one.
    await asked(url, "update one.connections set status = 'on_hold'");
    const held = { integration: 'slack', status: 'on_hold', count: 1, failing: 0 };
    expect([await one.countConnections(), await two.countConnections()]).toEqual([[held], []]);
    expect(await two.integrations({ limit: 1, after: undefined })).toMatchObject({ data: [] });
    const journals = ['one', 'two'].map((schema) => asked(url, `select hash from ${schema}.__drizzle_migrations`));
    const [first, second] = await Promise.all(journals);
    expect(first).toEqual(second);
    expect(await targets(url, 'two')).toEqual(ownTargets('two'));
  });

  test('get the changes of their own only', async () => {
    const url = await aDatabase();
    await asked(url, 'create schema one; create schema two');
    const [one, two] = await Promise.all([openTestStore(inSchema(url, 'one')), openTestStore(inSchema(url, 'two'))]);
    const ids: { one: string[]; two: string[] } = { one: [], two: [] };
    for (const [name, store] of Object.entries({ one, two }) as ['one' | 'two', typeof one][]) {
      const feed = await store.subscribe((changes) => {
        for (const change of changes) if (change.kind === 'connection') ids[name].push(change.id);
      });
      onTestFinished(() => feed.stop());
    }
    const { connection: inOne } = await connected(one);
    const { connection: inTwo } = await connected(two);
    await expect.poll(() => ids, { timeout: 30_000 }).toEqual({ one: [inOne.id], two: [inTwo.id] });
  });

  test('an empty schema, with another deployment later in the search path: refused, not mixed up', async () => {
    const url = await aDatabase();
    await migrateStore(url);
    await asked(url, 'create schema two');
    await expect(migrateStore(inSchema(url, 'two,public'))).rejects.toThrow(
      'search_path begins with the schema two, which holds no database of Valetkey, but public does',
    );
    await migrateStore(inSchema(url, 'two'));
    await migrateStore(inSchema(url, 'two,public'));
    expect(await asked(url, "select count(*)::int as n from pg_tables where tablename = 'connections'")).toEqual([
      { n: 2 },
    ]);
  });

  test('migrate data from one to the other', async () => {
    const url = await aDatabase();
    await asked(url, 'create schema one; create schema two');
    const [from, to] = [inSchema(url, 'one'), inSchema(url, 'two')];
    const source = await openTestStore(from);
    await fill(source);
    await source.appendAudit([anEntry()]);
    await source.close();
    const options = { dataDir: tmpdir(), onProgress: () => undefined };
    expect(await runDataMigration({ from, to: from, ...options })).toEqual({ refused: 'the source is the target' });
    expect(await runDataMigration({ from, to, ...options })).toMatchObject({ unfinished: undefined });
    expect((await asked(url, 'select id from two.connections')).length).toBeGreaterThan(0);
  });
});
