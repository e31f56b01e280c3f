// The catalogue's real entries, one copy for each row, with every host of theirs moved to the emulator.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { extended, type Raw } from '../../../src/catalogue/extend.ts';
import { type AuthMode, nameOf } from '../../../src/domain/auth-modes.ts';
import { fill, fillAll, type Values, valuesOf } from '../../../src/domain/fields.ts';
import { connectionFields, integrationFields, Provider } from '../../../src/domain/provider.ts';
import { packaged } from '../../../src/package-files.ts';
import type { VendorServer } from './vendor-server.ts';

const CATALOGUE = packaged('src/catalogue');

/** By id, as the files say; what they extend is not laid below yet. */
async function readEntries(): Promise<ReadonlyMap<string, Raw>> {
  const files = (await readdir(CATALOGUE)).filter((file) => file.endsWith('.json') && !file.endsWith('.schema.json'));
  const read = async (file: string) =>
    [file.slice(0, -'.json'.length), JSON.parse(await readFile(join(CATALOGUE, file), 'utf8')) as Raw] as const;
  return new Map(await Promise.all(files.map(read)));
}
const raws = await readEntries();

/** With what it extends laid below. */
function wholeEntry(id: string): Raw {
  const raw = raws.get(id);
  const whole = raw ? extended(raw, raws) : `there is no entry "${id}"`;
  if (typeof whole === 'string') throw new Error(`${id}: ${whole}`);
  const { extends: _, ...entry } = whole;
  return entry;
}

/** The integration of a row, and its copy of the entry: a slug. */
export const idOf = ({ provider, row: { mode, flavour } }: Pick<VendorServer, 'provider' | 'row'>): string =>
  [provider, mode, flavour ?? []]
    .flat()
    .join('-')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63);

/** Each provider with its modes, as `params.mode` names them. */
export const modesOfAll = (): Map<string, string[]> =>
  new Map([...raws.keys()].map((id) => [id, providerOf(id).auth.map(nameOf)]));

const parsed = new Map<string, Provider>();
function providerOf(id: string): Provider {
  const provider = parsed.get(id) ?? Provider.parse(wholeEntry(id));
  parsed.set(id, provider);
  return provider;
}

/** What the entry says of the API, with all that the connection knows; undefined where something is not known. */
export function apiOf(
  { provider: id, row, identity, unmoved }: VendorServer,
  captured: Record<string, unknown>,
): { base: string | undefined; headers: Values } {
  const provider = providerOf(id);
  const auth = provider.auth.find((a) => nameOf(a) === row.mode) as AuthMode;
  const texts = Object.fromEntries(Object.entries(captured).map(([name, value]) => [name, unmoved(String(value))]));
  const values = {
    ...texts,
    ...valuesOf(integrationFields(provider, auth), row.params ?? {}),
    ...valuesOf(connectionFields(provider, auth), { ...row.connection, ...texts }),
    client_id: identity.secrets.clientId,
  };
  const base = provider.api_base_url === undefined ? undefined : fill(provider.api_base_url, values);
  return { base, headers: fillAll(provider.api_headers, values) };
}

/** For VALETKEY_PROVIDERS_DIR. */
export async function writeEntries(booths: readonly VendorServer[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = (vendorServer: VendorServer) => {
    const entry = moved({ ...wholeEntry(vendorServer.provider), id: idOf(vendorServer) }, vendorServer.base);
    return writeFile(join(folder, `${idOf(vendorServer)}.json`), JSON.stringify(entry));
  };
  await Promise.all(booths.map(write));
}

/** For people, not for the engine. */
const WORDS = new Set(['$schema', 'docs_url', 'notes', 'title', 'description', 'uncertain', 'example', 'name']);

function moved(value: unknown, base: string, key = ''): unknown {
  if (WORDS.has(key)) return value;
  if (typeof value === 'string')
    return key === 'pattern' ? movedPattern(value, base) : value.replaceAll('https://', base);
  if (Array.isArray(value)) return value.map((item) => moved(item, base));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, moved(item, base, name)]));
}

/** What takes an https URL takes the same one at the emulator, and no other. */
const movedPattern = (pattern: string, base: string): string =>
  pattern.replace(/https\??:(?:\\?\/){2}/g, () => base.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
