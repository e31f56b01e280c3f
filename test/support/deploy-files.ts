// Reads the files of deploy/ as strictly as their tools do, and validates the settings in them.
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/runtime/config.ts';
import { generateKey } from '../../src/runtime/keys.ts';

/** The project's root. */
export const ROOT = new URL('../..', import.meta.url);
export const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');
/** The broker's version. */
export const { version } = JSON.parse(read('package.json')) as { version: string };

/** Parses a file with one document. Throws on errors and warnings. */
export function yaml<T>(path: string): T {
  const [document, ...others] = parseAllDocuments(read(path), { strict: true, uniqueKeys: true, version: '1.2' });
  if (!document || others.length > 0) throw new Error(`${path}: not one document`);
  const faults = [...document.errors, ...document.warnings].map(({ message }) => message);
  if (faults.length > 0) throw new Error(`${path}: ${faults.join('\n')}`);
  return document.toJS() as T;
}

/** Substitutes variables as Compose does: throws for one without a value. */
export function filledIn(text: string, env: Record<string, string>): string {
  return text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, how: string, word: string) => {
    if (env[name]) return env[name];
    if (how === '-') return word;
    throw new Error(`${name}: ${word ?? 'not set'}`);
  });
}

/** The errors and warnings of the broker for this configuration. Does not connect to the database. */
export function faultsOf(env: Record<string, string>, file = '{}'): string[] {
  const parsed = parseConfig({ ...env, VALETKEY_DATABASE_URL: 'file::memory:' }, () => file);
  return parsed.ok ? parsed.warnings : parsed.issues;
}

/** Seconds that a stop may take: until no more requests arrive, open requests, work in flight (docs/operations.md). */
export const STOP = { preStop: 5, requests: 10, inFlight: 50 };
export const PINNED = /^[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z]+)?$/;
/** Names of secret settings. */
export const SECRET = /PASSWORD|KEYS?$|SECRET|TOKEN|DATABASE_URL/;

/** The settings of an operator. */
export const settings = () => ({
  VALETKEY_PUBLIC_URL: 'https://keys.example.com',
  VALETKEY_KEYS: generateKey('k1'),
  VALETKEY_ADMIN_KEY: 'a'.repeat(64),
  POSTGRES_PASSWORD: 'b'.repeat(64),
});
