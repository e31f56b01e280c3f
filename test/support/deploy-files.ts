// The files of deploy/, read as strictly as their tools do, and what the broker says of the settings in them.
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/runtime/config.ts';
import { generateKey } from '../../src/runtime/keys.ts';

/** Of the project. */
export const ROOT = new URL('../..', import.meta.url);
export const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');
/** Of the broker. */
export const { version } = JSON.parse(read('package.json')) as { version: string };

/** The one document of a file; a fault or a warning of the parser is thrown. */
export function yaml<T>(path: string): T {
  const [document, ...others] = parseAllDocuments(read(path), { strict: true, uniqueKeys: true, version: '1.2' });
  if (!document || others.length > 0) throw new Error(`${path}: not one document`);
  const faults = [...document.errors, ...document.warnings].map(({ message }) => message);
  if (faults.length > 0) throw new Error(`${path}: ${faults.join('\n')}`);
  return document.toJS() as T;
}

/** The name of a variable that is asked for but has no value is a fault, as Compose has it. */
export function filledIn(text: string, env: Record<string, string>): string {
  return text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, how: string, word: string) => {
    if (env[name]) return env[name];
    if (how === '-') return word;
    throw new Error(`${name}: ${word ?? 'not set'}`);
  });
}

/** Starting with this, the broker finds nothing that it does not know or want. The database is not reached. */
export function faultsOf(env: Record<string, string>, file = '{}'): string[] {
  const parsed = parseConfig({ ...env, VALETKEY_DATABASE_URL: 'file::memory:' }, () => file);
  return parsed.ok ? parsed.warnings : parsed.issues;
}

/** Seconds that a stop may take: until nobody sends requests, open requests, and what has been spent (docs/operations.md). */
export const STOP = { preStop: 5, requests: 10, spent: 50 };
export const PINNED = /^[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z]+)?$/;
/** Names of what must not be told. */
export const SECRET = /PASSWORD|KEYS?$|SECRET|TOKEN|DATABASE_URL/;

/** As an operator would set them. */
export const settings = () => ({
  VALETKEY_PUBLIC_URL: 'https://keys.example.com',
  VALETKEY_KEYS: generateKey('k1'),
  VALETKEY_ADMIN_KEY: 'a'.repeat(64),
  POSTGRES_PASSWORD: 'b'.repeat(64),
});
