// Moving house: everything that is stored at one place is carried to another, and proven to have arrived.
//
// Nothing is remembered besides the rows and the mark on the target: they are written in the order of their keys, so that
// the last one there tells how far an earlier run has come. It may be killed at any point and run again.
import { createHash } from 'node:crypto';
import {
  type Altered,
  CARRIED,
  type CarriedPage,
  type CarriedTable,
  type Place,
  type PlaceStanding,
  type Reading,
} from '../../ports/index.ts';

const PROGRESS_EVERY = 50_000;
/** So many of the values that were altered are named. */
const NAMED = 100;

export interface Tally {
  rows: number;
  /** SHA-256, in hexadecimal, of the rows in the order of their keys. */
  digest: string;
}

export interface Compared {
  table: CarriedTable;
  source: Tally;
  target: Tally;
  same: boolean;
}

export interface Moved {
  from: string;
  to: string;
  /** Each table, source and target read anew after the last row was written. */
  tables: Compared[];
  /** Values that are carried in another form; of many, the first ones are named. */
  altered: { count: number; named: Altered[] };
  /** Rows that this run wrote, fewer than there are when it went on from an earlier one. */
  written: number;
  /** Why the target stays marked as unfinished; undefined: all is well, and it can be used. */
  unfinished: string | undefined;
}

export interface Progress {
  doing: 'carried' | 'compared';
  table: CarriedTable;
  rows: number;
  of: number;
}

interface Parts {
  source: Pick<Place, 'name' | 'standing' | 'read'>;
  target: Place;
  told: (progress: Progress) => void;
}

/** Tells why not, before anything was changed; or how it went. Rejects with `StoreError`, and may then be run again. */
export async function move({ source, target, told }: Parts): Promise<Moved | { refused: string }> {
  const refused =
    (source.name === target.name ? 'the source is the target' : undefined) ??
    whyNotFrom(source.name, await source.standing()) ??
    (await whyNotTo(target, source.name));
  if (refused !== undefined) return { refused };

  await target.begin(source.name);
  const written = await source.read((from) => carry(from, target, told));
  const { tables, altered } = await compare({ source, target, told });
  const unfinished = whyUnfinished(tables) ?? (await whoCame([source, target]));
  if (unfinished === undefined) await target.finish();
  return { from: source.name, to: target.name, tables, altered, written, unfinished };
}

const STOP = 'stop every broker there (one that was killed is gone after a few seconds), and run this again';

function whyNotFrom(name: string, { version, isInhabited, movingFrom, waiting }: PlaceStanding): string | undefined {
  if (version === 'absent') return `there is no database at ${name}`;
  if (version === 'empty') return `there is nothing of Valetkey in ${name}`;
  if (version === 'newer') return `${name} was made by a newer version of Valetkey than this one: use that one`;
  if (isInhabited) return `a broker runs on ${name}: ${STOP}`;
  if (movingFrom !== undefined) return `${name} is unfinished itself: a move from ${movingFrom} into it has not ended`;
  if (version === 'older')
    return `${name} was made by an older version of Valetkey: back it up, bring it up to date with valetkey migrate, and run this again`;
  if (waiting > 0)
    return `answers of providers wait beside ${name} (${waiting}): start the broker there once, so that they are taken in, stop it, and run this again`;
  return undefined;
}

async function whyNotTo(target: Place, from: string): Promise<string | undefined> {
  const { name } = target;
  const { version, isInhabited, movingFrom, waiting } = await target.standing();
  if (version === 'newer') return `${name} was made by a newer version of Valetkey than this one: use that one`;
  if (isInhabited) return `a broker runs on ${name}: ${STOP}`;
  if (waiting > 0)
    return `answers of providers wait beside ${name} (${waiting}), of a database that was there before: use another place`;
  if (movingFrom === from || version === 'absent' || version === 'empty') return undefined;
  if (version === 'older') return `${name} was made by an older version of Valetkey: use an empty database`;
  if (movingFrom !== undefined)
    return `${name} holds a part of ${movingFrom}: finish that move, or use an empty database`;
  const full = await target.read(async (there) => {
    const counts = await Promise.all(CARRIED.map(async (table) => ({ table, rows: await there.count(table) })));
    return counts.filter(({ rows }) => rows > 0).map(({ table, rows }) => `${table}: ${rows}`);
  });
  return full.length === 0 ? undefined : `${name} is not empty (${full.join(', ')}): use an empty database`;
}

/** Says how many rows it has written. */
async function carry(from: Reading, target: Place, told: Parts['told']): Promise<number> {
  let written = 0;
  for (const table of CARRIED) {
    const [before, after] = await target.read(async (there) => [await there.count(table), await there.last(table)]);
    const of = await from.count(table);
    let rows = before;
    for await (const page of from.pages(table, after)) {
      await target.write(table, page.rows);
      rows += page.rows.length;
      if (isMilestone(rows, page)) told({ doing: 'carried', table, rows, of });
    }
    written += rows - before;
  }
  return written;
}

/** Both are read anew, so that what was changed at the source since the move began is seen. */
function compare({ source, target, told }: Parts): Promise<Pick<Moved, 'tables' | 'altered'>> {
  const tables: Compared[] = [];
  const altered: Moved['altered'] = { count: 0, named: [] };
  return source.read((here) =>
    target.read(async (there) => {
      for (const table of CARRIED) {
        const of = await here.count(table);
        const seen = (rows: number, page: CarriedPage) => {
          altered.count += page.altered.length;
          altered.named.push(...page.altered.slice(0, NAMED - altered.named.length));
          if (isMilestone(rows, page)) told({ doing: 'compared', table, rows, of });
        };
        const [one, other] = await Promise.all([tally(here.pages(table), seen), tally(there.pages(table))]);
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

async function tally(
  pages: AsyncIterable<CarriedPage>,
  seen?: (rows: number, page: CarriedPage) => void,
): Promise<Tally> {
  const hash = createHash('sha256');
  let rows = 0;
  for await (const page of pages) {
    hash.update(page.rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    rows += page.rows.length;
    seen?.(rows, page);
  }
  return { rows, digest: hash.digest('hex') };
}

/** `rows`: so many with this page. */
const isMilestone = (rows: number, { rows: { length } }: CarriedPage): boolean =>
  Math.floor(rows / PROGRESS_EVERY) > Math.floor((rows - length) / PROGRESS_EVERY);

function whyUnfinished(tables: Compared[]): string | undefined {
  const different = tables.filter(({ same }) => !same).map(({ table }) => table);
  if (different.length === 0) return undefined;
  return `source and target differ in ${different.join(', ')}: one of them was changed since the move began. See to it that no broker runs on either, and move into a new, empty database`;
}

/** What it writes from here on would be missing, or too much. */
async function whoCame(places: Pick<Place, 'name' | 'standing'>[]): Promise<string | undefined> {
  for (const place of places) {
    if ((await place.standing()).isInhabited) return `a broker was started on ${place.name} meanwhile: ${STOP}`;
  }
  return undefined;
}
