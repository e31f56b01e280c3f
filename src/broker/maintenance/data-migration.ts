// Migrating between databases: copies every table from a source to an empty target, and proves that it has arrived.
//
// The only state is the rows of the target and its marker: rows are written in the order of their keys, so the last key
// there says how far an earlier run came. A run may be killed at any point, and run again.
import { createHash } from 'node:crypto';
import {
  type AlteredValue,
  type EndpointState,
  MIGRATED_TABLES,
  type MigratedPage,
  type MigratedTable,
  type MigrationEndpoint,
  type Snapshot,
} from '../../ports/index.ts';

/** Rows. */
const PROGRESS_EVERY = 50_000;
/** How many altered values are named. */
const MAX_NAMED = 100;

export interface TableDigest {
  rows: number;
  /** SHA-256, in hexadecimal, of the rows in the order of their keys. */
  digest: string;
}

export interface TableComparison {
  table: MigratedTable;
  source: TableDigest;
  target: TableDigest;
  same: boolean;
}

export interface DataMigrationResult {
  from: string;
  to: string;
  /** Each table; source and target are read again after the last row was written. */
  tables: TableComparison[];
  /** Values that are migrated in another form; of many, the first ones are named. */
  altered: { count: number; named: AlteredValue[] };
  /** Rows that this run wrote: fewer than there are when it resumed an earlier one. */
  written: number;
  /** Why the target stays marked as unfinished; undefined: the target is complete, and a broker may start on it. */
  unfinished: string | undefined;
}

export interface DataMigrationProgress {
  step: 'copied' | 'compared';
  table: MigratedTable;
  rows: number;
  of: number;
}

interface Parts {
  source: Pick<MigrationEndpoint, 'name' | 'state' | 'read' | 'markMigrated' | 'unmarkMigrated'>;
  target: MigrationEndpoint;
  onProgress: (progress: DataMigrationProgress) => void;
}

/**
 * `refused`: why it did not begin; nothing was changed. Otherwise the result of both steps. Rejects with `StoreError`,
 * after which it may be run again.
 */
export async function migrateData({
  source,
  target,
  onProgress,
}: Parts): Promise<DataMigrationResult | { refused: string }> {
  const refused =
    (source.name === target.name ? 'the source is the target' : undefined) ??
    refusalOfSource(source.name, await source.state(), target.name) ??
    (await refusalOfTarget(target, source.name));
  if (refused !== undefined) return { refused };

  await target.begin(source.name);
  const written = await source.read((from) => copy(from, target, onProgress));
  const { tables, altered } = await compare({ source, target, onProgress });
  const unfinished = differences(tables) ?? (await release({ source, target }));
  return { from: source.name, to: target.name, tables, altered, written, unfinished };
}

const STOP = 'stop every broker there (one that was killed counts for a few more seconds), and run this again';

/** The same on both sides. */
function refusalOfVersion(name: string, version: EndpointState['version']): string | undefined {
  if (version === 'newer') return `${name} was made by a newer version of Valetkey than this one: use that one`;
  if (version === 'foreign')
    return `${name} was not made by this line of versions of Valetkey: use the one that made it`;
  if (version === 'occupied') return `${name} holds tables of another application with the names of Valetkey's`;
  return undefined;
}

/**
 * The source is marked before the target is usable, so that at no moment brokers can be started on both. Why the target
 * was not made usable; undefined: it was.
 */
async function release({ source, target }: Pick<Parts, 'source' | 'target'>): Promise<string | undefined> {
  await source.markMigrated(target.name);
  const inUse = await startedMeanwhile([source, target]);
  if (inUse === undefined) await target.finish();
  else await source.unmarkMigrated();
  return inUse;
}

function refusalOfSource(
  name: string,
  { version, isInUse, migratingFrom, migratedTo, rescued }: EndpointState,
  to: string,
): string | undefined {
  if (version === 'absent') return `there is no database at ${name}`;
  if (version === 'empty') return `${name} holds no tables of Valetkey`;
  const refused = refusalOfVersion(name, version);
  if (refused !== undefined) return refused;
  if (isInUse) return `a broker runs on ${name}: ${STOP}`;
  if (migratingFrom !== undefined)
    return `${name} is incomplete itself: a data migration from ${migratingFrom} into it has not finished`;
  // To the same target: an earlier run ended between its last two steps.
  if (migratedTo !== undefined && migratedTo !== to)
    return `${name} was migrated to ${migratedTo}, whose credentials are newer: migrate from there`;
  if (version === 'older')
    return `${name} was made by an older version of Valetkey: back it up, bring it up to date with valetkey migrate, and run this again`;
  if (rescued > 0)
    return `responses of providers wait in the rescue file beside ${name} (${rescued}): start the broker there once, so that it commits them, stop it, and run this again`;
  return undefined;
}

async function refusalOfTarget(target: MigrationEndpoint, from: string): Promise<string | undefined> {
  const { name } = target;
  const { version, isInUse, migratingFrom, rescued } = await target.state();
  const refused = refusalOfVersion(name, version);
  if (refused !== undefined) return refused;
  if (isInUse) return `a broker runs on ${name}: ${STOP}`;
  if (rescued > 0)
    return `responses of providers wait in the rescue file beside ${name} (${rescued}), from an earlier database: use another target`;
  if (migratingFrom === from || version === 'absent' || version === 'empty') return undefined;
  if (version === 'older') return `${name} was made by an older version of Valetkey: use an empty database`;
  if (migratingFrom !== undefined)
    return `${name} holds a part of ${migratingFrom}: finish that data migration, or use an empty database`;
  const full = await target.read(async (there) => {
    const counts = await Promise.all(MIGRATED_TABLES.map(async (table) => ({ table, rows: await there.count(table) })));
    return counts.filter(({ rows }) => rows > 0).map(({ table, rows }) => `${table}: ${rows}`);
  });
  return full.length === 0 ? undefined : `${name} is not empty (${full.join(', ')}): use an empty database`;
}

/** The number of rows that it wrote. */
async function copy(from: Snapshot, target: MigrationEndpoint, onProgress: Parts['onProgress']): Promise<number> {
  let written = 0;
  for (const table of MIGRATED_TABLES) {
    const [before, after] = await target.read(async (there) => [await there.count(table), await there.lastKey(table)]);
    const of = await from.count(table);
    let rows = before;
    for await (const page of from.pages(table, after)) {
      await target.write(table, page.rows);
      rows += page.rows.length;
      if (isMilestone(rows, page)) onProgress({ step: 'copied', table, rows, of });
    }
    written += rows - before;
  }
  return written;
}

/** Both are read again, which detects what was changed at the source since the copy began. */
function compare({ source, target, onProgress }: Parts): Promise<Pick<DataMigrationResult, 'tables' | 'altered'>> {
  const tables: TableComparison[] = [];
  const altered: DataMigrationResult['altered'] = { count: 0, named: [] };
  return source.read((here) =>
    target.read(async (there) => {
      for (const table of MIGRATED_TABLES) {
        const of = await here.count(table);
        const onPage = (rows: number, page: MigratedPage) => {
          altered.count += page.altered.length;
          altered.named.push(...page.altered.slice(0, MAX_NAMED - altered.named.length));
          if (isMilestone(rows, page)) onProgress({ step: 'compared', table, rows, of });
        };
        const [one, other] = await Promise.all([digestOf(here.pages(table), onPage), digestOf(there.pages(table))]);
        tables.push({
          table,
          source: one,
          target: other,
          same: one.digest === other.digest,
        });
      }
      return { tables, altered };
    }),
  );
}

async function digestOf(
  pages: AsyncIterable<MigratedPage>,
  onPage?: (rows: number, page: MigratedPage) => void,
): Promise<TableDigest> {
  const hash = createHash('sha256');
  let rows = 0;
  for await (const page of pages) {
    hash.update(page.rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    rows += page.rows.length;
    onPage?.(rows, page);
  }
  return { rows, digest: hash.digest('hex') };
}

/** `rows`: the count with this page. */
const isMilestone = (rows: number, { rows: { length } }: MigratedPage): boolean =>
  Math.floor(rows / PROGRESS_EVERY) > Math.floor((rows - length) / PROGRESS_EVERY);

function differences(tables: TableComparison[]): string | undefined {
  const different = tables.filter(({ same }) => !same).map(({ table }) => table);
  if (different.length === 0) return undefined;
  return `source and target differ in ${different.join(', ')}: one of them was changed since the copy began. Make sure that no broker runs on either, and migrate into a new, empty database`;
}

/** What a broker writes from now on would be missing at the target, or exist at one side alone. */
async function startedMeanwhile(endpoints: Pick<MigrationEndpoint, 'name' | 'state'>[]): Promise<string | undefined> {
  for (const endpoint of endpoints) {
    if ((await endpoint.state()).isInUse) return `a broker was started on ${endpoint.name} meanwhile: ${STOP}`;
  }
  return undefined;
}
