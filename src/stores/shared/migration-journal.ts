// Compares the migrations that a database has with those of this build: which version made it, and whether this one may
// use it.
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator';
import { type DatabaseVersion, StoreError } from '../../ports/index.ts';

/** The table in which a database keeps its migrations, in the schema of its other tables. */
export const JOURNAL = '__drizzle_migrations';

export interface AppliedMigration {
  /** When the migration was generated, milliseconds since the epoch: its name in the journal. */
  createdAt: number;
  /** SHA-256 of its SQL, in hexadecimal. */
  hash: string;
}

export interface Migration extends MigrationMeta {
  /** Every entry that a database may have for it. */
  entries: readonly AppliedMigration[];
}

/**
 * Entries of landed PostgreSQL migrations that were corrected in place, by the `createdAt` of today: 0000 said
 * `REFERENCES "public"."…"`, which 0001 repairs; 0001 had no lock timeout at first, which leaves the same tables; and 0032
 * lacked an index, which 0033 makes where it is missing.
 */
const EARLIER_ENTRIES: Readonly<Record<number, AppliedMigration>> = {
  1795391907800: {
    createdAt: 1795391907800,
    hash: '6313f97a419b8a41cf478ec78a49be4d58826176e96c9f83764e8db45860c1cd',
  },
  1795862879781: {
    createdAt: 1795862879781,
    hash: 'b73e1813bed7e7d74361f0941ecee3da375de4f9469e7b634ea2d85096267620',
  },
  1796064108538: {
    createdAt: 1796056165958,
    hash: '565b44dcd4c81818fff12605e2474884a0800e0b68d3ccb8ca9cfb3fdf7b8830',
  },
};

/** By folder: a process reads them several times as it starts, and they do not change while it runs. */
const read = new Map<string, readonly Migration[]>();

export function readMigrations(migrationsFolder: string): readonly Migration[] {
  const known = read.get(migrationsFolder) ?? readMigrationFiles({ migrationsFolder }).map(withEntries);
  read.set(migrationsFolder, known);
  return known;
}

function withEntries(migration: MigrationMeta): Migration {
  const { folderMillis: createdAt, hash } = migration;
  const earlier = EARLIER_ENTRIES[createdAt];
  return { ...migration, entries: [{ createdAt, hash }, ...(earlier ? [earlier] : [])] };
}

/** The tables that these migrations create. */
export const tablesOf = (migrations: readonly Migration[]): string[] =>
  migrations.flatMap(({ sql }) => sql.flatMap((statement) => /^\s*CREATE TABLE [`"](\w+)/.exec(statement)?.[1] ?? []));

/**
 * What a database is, and the tables of another application that are in the way of its next migrations. `applied`: the
 * journal in the order of `createdAt`, empty when there is none; `existing`: those of `tablesOf(known)` that exist. Read
 * `existing` before the journal: a migration that commits in between then counts as applied.
 */
export function classifyDatabase(
  known: readonly Migration[],
  applied: AppliedMigration[],
  existing: string[],
): { version: DatabaseVersion; inTheWay: string[] } {
  const pending = tablesOf(known.slice(applied.length));
  const inTheWay = existing.filter((table) => pending.includes(table));
  return { version: versionOf(known, applied, inTheWay), inTheWay };
}

function versionOf(known: readonly Migration[], applied: AppliedMigration[], inTheWay: string[]): DatabaseVersion {
  if (applied.length === 0) return inTheWay.length === 0 ? 'empty' : 'occupied';
  const shared = known.slice(0, applied.length);
  const isOfThisLine = shared.every(({ entries }, at) =>
    entries.some(({ createdAt, hash }) => applied[at]!.createdAt === createdAt && applied[at]!.hash === hash),
  );
  if (!isOfThisLine) return 'foreign';
  if (applied.length > known.length) return 'newer';
  if (applied.length === known.length) return 'current';
  return inTheWay.length === 0 ? 'older' : 'occupied';
}

/** Throws `StoreError` when this build must not use the database. */
export function assertUsable(version: DatabaseVersion, inTheWay: string[]): void {
  if (version === 'newer') throw new StoreError('the database was made by a newer version of Valetkey than this one');
  if (version === 'foreign')
    throw new StoreError(
      'the database was not made by this line of versions of Valetkey: its migrations are not those of this version. Use the version that made it, or an empty database',
    );
  if (version === 'occupied')
    throw new StoreError(
      `the database holds tables of another application with the names of Valetkey's (${inTheWay.join(', ')}): use another database, or another schema of it`,
    );
}
