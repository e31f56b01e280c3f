// Reads the catalogue: one JSON file a provider, the built-in ones and then the deployment's, which win.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Provider } from '../domain/provider.ts';
import { packaged } from '../package-files.ts';
import { bundled } from './bundled.ts';
import { faults } from './check.ts';
import { extended, isObject, type Raw } from './extend.ts';

const BUILT_IN = packaged('src/catalogue');
const SCHEMA = '.schema.json';

export type Catalogue = { ok: true; providers: Map<string, Provider> } | { ok: false; issues: string[] };
type Entry = { provider: Provider } | { issues: string[] };

/** What ships with the broker, read once in a process. */
let builtIn: { raws: ReadonlyMap<string, Raw>; catalogue: Catalogue } | undefined;

/** Every fault of every file is reported, by file and field. Throws nothing: a folder that is not there is an issue. */
export function loadCatalogue(dirs: readonly string[]): Catalogue {
  const ours = readBuiltIn();
  if (!ours.catalogue.ok || dirs.length === 0) return ours.catalogue;
  const { raws, issues } = readAll(dirs);
  const read = checked(raws, new Map([...ours.raws, ...raws]));
  if (!read.ok) issues.push(...read.issues);
  if (issues.length > 0 || !read.ok) return { ok: false, issues };
  return { ok: true, providers: new Map([...ours.catalogue.providers, ...read.providers]) };
}

/** One file, as it would be taken in beside those of `dirs`. */
export function checkFile(file: string, dirs: readonly string[]): Entry {
  const raw = readJson(file);
  if (!isObject(raw)) return { issues: [String(raw)] };
  const id = basename(file, '.json');
  return entryOf(raw, id, new Map([...readBuiltIn().raws, ...readAll(dirs).raws, [id, raw]]));
}

function readBuiltIn(): NonNullable<typeof builtIn> {
  if (builtIn) return builtIn;
  if (bundled) {
    const providers = new Map(bundled.map((provider) => [provider.id, provider]));
    builtIn = {
      raws: providers as ReadonlyMap<string, object> as ReadonlyMap<string, Raw>,
      catalogue: { ok: true, providers },
    };
  } else {
    const { raws, issues } = readAll([BUILT_IN]);
    builtIn = { raws, catalogue: issues.length > 0 ? { ok: false, issues } : checked(raws, raws) };
  }
  return builtIn;
}

/** `among`: all that an entry may extend. */
function checked(raws: ReadonlyMap<string, Raw>, among: ReadonlyMap<string, Raw>): Catalogue {
  const providers = new Map<string, Provider>();
  const issues: string[] = [];
  for (const [id, raw] of raws) {
    const entry = entryOf(raw, id, among);
    if ('issues' in entry) issues.push(...entry.issues.map((issue) => `${id}.json: ${issue}`));
    else providers.set(id, entry.provider);
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, providers };
}

function readAll(dirs: readonly string[]): { raws: Map<string, Raw>; issues: string[] } {
  const raws = new Map<string, Raw>();
  const issues: string[] = [];
  for (const dir of dirs) {
    const files = list(dir);
    if (files === undefined) issues.push(`${dir}: not a folder that can be read`);
    for (const file of files ?? []) {
      const raw = readJson(join(dir, file));
      if (isObject(raw)) raws.set(basename(file, '.json'), raw);
      else issues.push(`${file}: ${raw}`);
    }
  }
  return { raws, issues };
}

function list(dir: string): string[] | undefined {
  try {
    return readdirSync(dir)
      .filter((file) => file.endsWith('.json') && !file.endsWith(SCHEMA))
      .sort();
  } catch {
    return undefined;
  }
}

/** The object, or what is wrong with the file, in words. */
function readJson(path: string): Raw | string {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isObject(value) ? value : 'not a JSON object';
  } catch (error) {
    return error instanceof SyntaxError ? 'not valid JSON' : 'cannot be read';
  }
}

function entryOf(raw: Raw, id: string, raws: ReadonlyMap<string, Raw>): Entry {
  const whole = extended(raw, raws);
  if (typeof whole === 'string') return { issues: [whole] };
  // A start reads each file once: the parser is not worth compiling.
  const parsed = Provider.safeParse(whole, { jitless: true });
  if (!parsed.success) return { issues: parsed.error.issues.map((issue) => `${field(issue.path)}: ${issue.message}`) };
  const issues = faults(parsed.data, id);
  return issues.length > 0 ? { issues } : { provider: parsed.data };
}

const field = (path: readonly PropertyKey[]): string =>
  path.length === 0
    ? 'the file'
    : path
        .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`))
        .join('');
