// Generated files match their sources. To fix one: `npm run generate`, read the difference, commit it.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Sqlite, { type Database } from 'better-sqlite3';
import { generateDrizzleJson, generateSQLiteDrizzleJson, generateSQLiteMigration } from 'drizzle-kit/api';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { describe, expect, it } from 'vitest';
import { loadCatalogue } from '../src/catalogue/load.ts';
import { processIo } from '../src/cli/io.ts';
import { commandTree } from '../src/cli/run.ts';
import * as postgresSchema from '../src/stores/postgres/schema.ts';
import * as schema from '../src/stores/sqlite/schema.ts';
import { startTestBroker } from './support/broker.ts';
import { catalogueTable, clientTypes, commandTable, providerSchema } from './support/generated.ts';
import {
  auditActionsPage,
  configurationPage,
  type Described,
  declaredSchema,
  dotEnvExample,
  errorsPage,
} from './support/generated-docs.ts';

const MIGRATIONS = fileURLToPath(new URL('../drizzle/sqlite', import.meta.url));
const POSTGRES_MIGRATIONS = fileURLToPath(new URL('../drizzle/postgres', import.meta.url));

describe('the migrations', () => {
  it('end where the schema is, so that the next one begins there', async () => {
    const snapshot = lastSnapshot(MIGRATIONS);
    const { tables, views } = JSON.parse(JSON.stringify(await generateSQLiteDrizzleJson(schema)));
    expect({ tables, views }).toEqual({ tables: snapshot.tables, views: snapshot.views });
  });

  it('end where the schema of PostgreSQL is', () => {
    const { tables, views } = JSON.parse(JSON.stringify(generateDrizzleJson(postgresSchema)));
    const snapshot = lastSnapshot(POSTGRES_MIGRATIONS);
    expect({ tables, views }).toEqual({ tables: snapshot.tables, views: snapshot.views });
  });

  it('build, one after the other, what the schema alone would build', async () => {
    const [nothing, all] = [await generateSQLiteDrizzleJson({}), await generateSQLiteDrizzleJson(schema)];
    const migrated = built(readMigrationFiles({ migrationsFolder: MIGRATIONS }).flatMap(({ sql }) => sql));
    const fromSchema = (await generateSQLiteMigration(nothing, all)).map(withoutRowIds);
    expect(migrated).toEqual(built(fromSchema));
    expect(Object.keys(migrated).length).toBeGreaterThan(5);
  });
});

function lastSnapshot(migrations: string) {
  const last = readdirSync(`${migrations}/meta`)
    .filter((name) => name.endsWith('_snapshot.json'))
    .sort()
    .at(-1);
  return JSON.parse(readFileSync(`${migrations}/meta/${last}`, 'utf8'));
}

/** The table that is its own index: the schema has no word for that. */
const withoutRowIds = (statement: string) =>
  statement.startsWith('CREATE TABLE `audit_reads`') ? statement.replace(/\);\s*$/, ') WITHOUT ROWID;') : statement;

/** The tables as SQLite sees them, whatever the order and the wording that they were made in. */
function built(statements: string[]) {
  const database = new Sqlite(':memory:');
  for (const statement of statements) database.exec(statement);
  const tables = database.prepare<[], string>("select name from sqlite_master where type = 'table'").pluck().all();
  const shape = Object.fromEntries(tables.map((name) => [name, shapeOf(database, name)]));
  database.close();
  return shape;
}

function shapeOf(database: Database, table: string) {
  const about = (pragma: string, of = table) =>
    database.prepare<[string], Record<string, unknown>>(`select * from ${pragma}(?)`).all(of);
  const sorted = (rows: object[]) => rows.map((row) => JSON.stringify(row)).sort();
  return {
    columns: sorted(about('pragma_table_xinfo').map(({ cid, ...column }) => column)),
    foreignKeys: sorted(about('pragma_foreign_key_list').map(({ id, ...key }) => key)),
    indexes: sorted(
      about('pragma_index_list').map(({ name, unique, partial }) => ({
        name,
        unique,
        partial,
        columns: about('pragma_index_xinfo', String(name)).map(({ name: column, desc, coll }) => ({
          column,
          desc,
          coll,
        })),
        where: database.prepare<[unknown], string>('select sql from sqlite_master where name = ?').pluck().get(name),
      })),
    ),
  };
}

/** Written by `npm run generate`, which updates snapshots. */
const expectFile = (path: string, text: string) =>
  expect(text).toMatchFileSnapshot(
    fileURLToPath(new URL(`../${path}`, import.meta.url)),
    'fix it with: npm run generate',
  );

describe('generated from the catalogue', () => {
  it('the JSON Schema that editors read', () => expectFile('src/catalogue/provider.schema.json', providerSchema()));

  it('docs/catalogue.md', async () => {
    const catalogue = loadCatalogue([]);
    if (!catalogue.ok) throw new Error(catalogue.issues.join('\n'));
    await expectFile('docs/catalogue.md', catalogueTable(catalogue.providers.values()));
  });
});

describe('generated from the command line', () => {
  it('docs/cli.md', () => expectFile('docs/cli.md', commandTable(commandTree(processIo({})))));
});

describe('generated from the settings', () => {
  it('docs/configuration.md', () => expectFile('docs/configuration.md', configurationPage()));
  it('.env.example', () => expectFile('.env.example', dotEnvExample()));
});

describe('generated from the audit actions', () => {
  it('docs/audit-actions.md', () => expectFile('docs/audit-actions.md', auditActionsPage()));
});

describe('generated from the API', () => {
  const described = async (): Promise<Described> => {
    const broker = await startTestBroker();
    const response = await fetch(new URL('/openapi.json', broker.url));
    return (response.json() as ReturnType<typeof described>).finally(broker.stop);
  };

  it('openapi.json, as it is served', async () => {
    await expectFile('openapi.json', `${JSON.stringify(await described(), null, 2)}\n`);
  });

  it("the client's types", async () => {
    const { components } = await described();
    await expectFile('src/client/types.ts', await clientTypes(components.schemas));
  });

  it('docs/errors.md', async () => expectFile('docs/errors.md', errorsPage(await described())));

  it('the JSON Schema of the declarative file', async () => {
    await expectFile('docs/valetkey-config.schema.json', declaredSchema(await described()));
  });
});
