// Loads the catalogue: one JSON file per provider. The deployment's entries override built-in ones of the same id.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isObject } from '../domain/json.ts';
import type { Provider } from '../domain/provider.ts';
import { packageFile } from '../package-files.ts';
import { bundled } from './bundled.ts';
import type { RawEntry } from './extend.ts';
import { type Entry, parseEntry } from './parse-entry.ts';

const BUILT_IN = packageFile('src/catalogue');
const SCHEMA = '.schema.json';

export type Catalogue = { ok: true; providers: ReadonlyMap<string, Provider> } | { ok: false; issues: string[] };

/** The built-in entries, read once per process. */
let builtIn: { raws(): ReadonlyMap<string, RawEntry>; catalogue: Catalogue } | undefined;

/** Reports every issue of every file, by file and field. Never throws: a missing folder is an issue. */
export function loadCatalogue(dirs: readonly string[]): Catalogue {
  const bundledEntries = readBuiltIn();
  if (!bundledEntries.catalogue.ok || dirs.length === 0) return bundledEntries.catalogue;
  const { raws, issues } = readFolders(dirs);
  const read = parseEntries(raws, new Map([...bundledEntries.raws(), ...raws]));
  if (!read.ok) issues.push(...read.issues);
  if (issues.length > 0 || !read.ok) return { ok: false, issues };
  return { ok: true, providers: new Map([...bundledEntries.catalogue.providers, ...read.providers]) };
}

/** Checks one file as if it were in one of `dirs`. */
export function checkFile(file: string, dirs: readonly string[]): Entry {
  const raw = readJson(file);
  if (!isObject(raw)) return { issues: [String(raw)] };
  const id = basename(file, '.json');
  return parseEntry(raw, id, new Map([...readBuiltIn().raws(), ...readFolders(dirs).raws, [id, raw]]));
}

function readBuiltIn(): NonNullable<typeof builtIn> {
  if (builtIn) return builtIn;
  if (bundled) {
    const providers = bundled;
    builtIn = {
      // They are merged already: merged once more over what they extend, they would get back what they leave out by null.
      raws: () => new Map([...providers].map(([id, { extends: _, ...merged }]): [string, RawEntry] => [id, merged])),
      catalogue: { ok: true, providers },
    };
  } else {
    const { raws, issues } = readFolders([BUILT_IN]);
    builtIn = { raws: () => raws, catalogue: issues.length > 0 ? { ok: false, issues } : parseEntries(raws, raws) };
  }
  return builtIn;
}

/** `extendable`: all entries that one may extend. */
function parseEntries(raws: ReadonlyMap<string, RawEntry>, extendable: ReadonlyMap<string, RawEntry>): Catalogue {
  const providers = new Map<string, Provider>();
  const issues: string[] = [];
  for (const [id, raw] of raws) {
    const entry = parseEntry(raw, id, extendable);
    if ('issues' in entry) issues.push(...entry.issues.map((issue) => `${id}.json: ${issue}`));
    else providers.set(id, entry.provider);
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, providers };
}

function readFolders(dirs: readonly string[]): { raws: Map<string, RawEntry>; issues: string[] } {
  const raws = new Map<string, RawEntry>();
  const issues: string[] = [];
  for (const dir of dirs) {
    const files = listFiles(dir);
    if (files === undefined) issues.push(`${dir}: cannot be read as a folder`);
    for (const file of files ?? []) {
      const raw = readJson(join(dir, file));
      if (isObject(raw)) raws.set(basename(file, '.json'), raw);
      else issues.push(`${file}: ${raw}`);
    }
  }
  return { raws, issues };
}

function listFiles(dir: string): string[] | undefined {
  try {
    return readdirSync(dir)
      .filter((file) => file.endsWith('.json') && !file.endsWith(SCHEMA))
      .sort();
  } catch {
    return undefined;
  }
}

/** The object, or why there is none, in words. */
function readJson(path: string): RawEntry | string {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isObject(value) ? value : 'not a JSON object';
  } catch (error) {
    return error instanceof SyntaxError ? 'not valid JSON' : 'cannot be read';
  }
}
