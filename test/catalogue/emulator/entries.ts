// Copies of the catalogue's entries, one for each row, with all URLs mapped to the emulator.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RawEntry, resolveExtends } from '../../../src/catalogue/extend.ts';
import { type AuthMode, modeName } from '../../../src/domain/auth-modes.ts';
import { fill, fillAll, type Values, valuesOf } from '../../../src/domain/fields.ts';
import { connectionFields, integrationFields } from '../../../src/domain/provider.ts';
import { Provider } from '../../../src/domain/provider-schema.ts';
import { packageFile } from '../../../src/package-files.ts';
import type { VendorServer } from './vendor-server.ts';

const CATALOGUE = packageFile('src/catalogue');

/** By id, as in the files; `extends` is not resolved yet. */
async function readEntries(): Promise<ReadonlyMap<string, RawEntry>> {
  const files = (await readdir(CATALOGUE)).filter((file) => file.endsWith('.json') && !file.endsWith('.schema.json'));
  const read = async (file: string) =>
    [file.slice(0, -'.json'.length), JSON.parse(await readFile(join(CATALOGUE, file), 'utf8')) as RawEntry] as const;
  return new Map(await Promise.all(files.map(read)));
}
const raws = await readEntries();

/** An entry with its `extends` resolved. */
function resolvedEntry(id: string): RawEntry {
  const raw = raws.get(id);
  const whole = raw ? resolveExtends(raw, raws) : `there is no entry "${id}"`;
  if (typeof whole === 'string') throw new Error(`${id}: ${whole}`);
  const { extends: _, ...entry } = whole;
  return entry;
}

/** The id of a row's integration, and of its copy of the entry. */
export const idOf = ({ provider, row: { mode, variant: flavour } }: Pick<VendorServer, 'provider' | 'row'>): string =>
  [provider, mode, flavour ?? []]
    .flat()
    .join('-')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63);

/** The names of each provider's modes, as in `params.mode`. */
export const modesByProvider = (): Map<string, string[]> =>
  new Map([...raws.keys()].map((id) => [id, providerOf(id).auth.map(modeName)]));

const parsed = new Map<string, Provider>();
function providerOf(id: string): Provider {
  const provider = parsed.get(id) ?? Provider.parse(resolvedEntry(id));
  parsed.set(id, provider);
  return provider;
}

/** The entry's API base and headers, filled for a connection; undefined when a value is missing. */
export function apiOf(
  { provider: id, row, identity, fromEmulator }: VendorServer,
  captured: Record<string, unknown>,
): { base: string | undefined; headers: Values } {
  const provider = providerOf(id);
  const auth = provider.auth.find((a) => modeName(a) === row.mode) as AuthMode;
  const texts = Object.fromEntries(
    Object.entries(captured).map(([name, value]) => [name, fromEmulator(String(value))]),
  );
  const values = {
    ...texts,
    ...valuesOf(integrationFields(provider, auth), row.params ?? {}),
    ...valuesOf(connectionFields(provider, auth), { ...row.connection, ...texts }),
    client_id: identity.secrets.clientId,
  };
  const base = provider.api_base_url === undefined ? undefined : fill(provider.api_base_url, values);
  return { base, headers: fillAll(provider.api_headers, values) };
}

/** Writes the folder for VALETKEY_PROVIDERS_DIR. */
export async function writeEntries(servers: readonly VendorServer[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = (vendorServer: VendorServer) => {
    const entry = toEmulator({ ...resolvedEntry(vendorServer.provider), id: idOf(vendorServer) }, vendorServer.base);
    return writeFile(join(folder, `${idOf(vendorServer)}.json`), JSON.stringify(entry));
  };
  await Promise.all(servers.map(write));
}

/** Fields for people, which have no URLs to map. */
const TEXT_FIELDS = new Set([
  '$schema',
  'docs_url',
  'help_url',
  'notes',
  'title',
  'description',
  'uncertain',
  'example',
  'name',
]);

function toEmulator(value: unknown, base: string, key = ''): unknown {
  if (TEXT_FIELDS.has(key)) return value;
  if (typeof value === 'string')
    return key === 'pattern' ? toEmulatorPattern(value, base) : value.replaceAll('https://', base);
  if (Array.isArray(value)) return value.map((item) => toEmulator(item, base));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toEmulator(item, base, name)]));
}

/** A pattern for https URLs matches the same URLs at the emulator. */
const toEmulatorPattern = (pattern: string, base: string): string =>
  pattern.replace(/https\??:(?:\\?\/){2}/g, () => base.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
