// Reads the files of deploy/ as strictly as their tools do, and checks their settings with the broker's parser.
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/runtime/config.ts';
import { generateKey } from '../../src/runtime/keys.ts';

/** The project's folder. */
export const ROOT = new URL('../..', import.meta.url);
export const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');
/** The broker's version. */
export const { version } = JSON.parse(read('package.json')) as { version: string };

/** Parses a file with one YAML document; throws the parser's errors and warnings. */
export function yaml<T>(path: string): T {
  const [document, ...others] = parseAllDocuments(read(path), { strict: true, uniqueKeys: true, version: '1.2' });
  if (!document || others.length > 0) throw new Error(`${path}: not one document`);
  const faults = [...document.errors, ...document.warnings].map(({ message }) => message);
  if (faults.length > 0) throw new Error(`${path}: ${faults.join('\n')}`);
  return document.toJS() as T;
}

/** Fills variables in as Compose does; throws when a variable without a default has no value. */
export function substituteVariables(text: string, env: Record<string, string>): string {
  return text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, how: string, word: string) => {
    if (env[name]) return env[name];
    if (how === '-') return word;
    throw new Error(`${name}: ${word ?? 'not set'}`);
  });
}

/** The broker's warnings or issues about these settings. The database is not opened. */
export function configIssues(env: Record<string, string>, file = '{}'): string[] {
  const parsed = parseConfig({ ...env, VALETKEY_DATABASE_URL: 'file::memory:' }, () => file);
  return parsed.ok ? parsed.warnings : parsed.issues;
}

/** Seconds that a stop may take: until requests stop, for open requests, and to commit spent tokens (docs/operations.md). */
export const STOP = { preStop: 5, requests: 10, spent: 50 };
export const PINNED = /^[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z]+)?$/;
/** Names of settings that are secret. */
export const SECRET = /PASSWORD|KEYS?$|SECRET|TOKEN|DATABASE_URL/;

/** Valid settings. */
export const validSettings = () => ({
  VALETKEY_PUBLIC_URL: 'https://keys.example.com',
  VALETKEY_KEYS: generateKey('k1'),
  VALETKEY_ADMIN_KEY: '9f2c47d10be85a36c4f1907e6d3b28aa51e0c79d84f36b12e5a07c9d3f618b42',
  POSTGRES_PASSWORD: 'b'.repeat(64),
});
