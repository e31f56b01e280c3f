// A backup of the database that the environment names. Needs no key: secrets are copied as they are encrypted.
import { readFileSync } from 'node:fs';
import { StoreError } from '../ports/index.ts';
import { backupStore } from '../stores/open.ts';
import { type Env, readEnvironment } from './environment.ts';
import { parseSettings } from './settings.ts';

/** `refused`: why there is no backup. Other settings than that of the database do not count. */
export async function backup(env: Env, to: string): Promise<{ bytes: number; rescued: number } | { refused: string }> {
  const { texts, sourceOf, issues } = readEnvironment(env, (path) => readFileSync(path, 'utf8'));
  const { VALETKEY_DATABASE_URL } = texts;
  const parsed = parseSettings(VALETKEY_DATABASE_URL === undefined ? {} : { VALETKEY_DATABASE_URL }, sourceOf);
  const fault =
    issues.find((issue) => issue.startsWith('VALETKEY_DATABASE_URL')) ?? (parsed.ok ? undefined : parsed.issues[0]);
  if (fault !== undefined || !parsed.ok) return { refused: fault ?? '' };
  try {
    return await backupStore(parsed.values.VALETKEY_DATABASE_URL, to);
  } catch (error) {
    if (error instanceof StoreError) return { refused: error.message };
    throw error;
  }
}
