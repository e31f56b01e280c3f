// The key file: a key ring in a file of mode 0600 beside the database, created on the first start.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { generateKey } from './keyring.ts';

export type KeyFile = { ok: true; keys: string; created: boolean } | { ok: false; issues: string[] };

/**
 * Reads a key file, and creates it with one new key and mode 0600 when there is none. `keys` is in the form of
 * `VALETKEY_KEYS`, not parsed yet. Issues: the file or its folder cannot be used, or other users may read it.
 */
export function readOrCreateKeyFile(path: string): KeyFile {
  try {
    const created = createKeyFile(path);
    const keys = readPrivateFile(path);
    return keys === undefined
      ? { ok: false, issues: [`other users may read the key file ${path}: run chmod 600 ${path}`] }
      : { ok: true, keys, created };
  } catch (error) {
    return { ok: false, issues: [`cannot use the key file ${path}: ${(error as NodeJS.ErrnoException).code}`] };
  }
}

/** Undefined when its group or other users may read or write it. */
function readPrivateFile(path: string): string | undefined {
  const file = openSync(path, 'r');
  try {
    return (fstatSync(file).mode & 0o077) === 0 ? readFileSync(file, 'utf8').trim() : undefined;
  } finally {
    closeSync(file);
  }
}

/**
 * Writes the file under another name and then links it: of two processes that start at once, one creates the key and the
 * other reads it whole, and a crash leaves no empty file. False when the file exists already.
 */
function createKeyFile(path: string): boolean {
  if (existsSync(path)) return false;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(draft, `${generateKey()}\n`, { flag: 'wx', mode: 0o600, flush: true });
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return true;
}
