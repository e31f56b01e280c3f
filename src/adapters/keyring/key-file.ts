// The key file: a key ring in a file of mode 0600 beside the database, created on the first start.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
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

/** Not waiting for the other end of a named pipe. A link is followed: secrets are mounted as links. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

export type KeyFile = { ok: true; keys: string; created: boolean } | { ok: false; issues: string[] };

/**
 * Reads a key file, and creates it with one new key and mode 0600 when there is none. `keys` is in the form of
 * `VALETKEY_KEYS`, not parsed yet. Issues: the file or its folder cannot be used, it is no file, or other users may
 * read it.
 */
export function readOrCreateKeyFile(path: string): KeyFile {
  try {
    const created = createKeyFile(path);
    const read = readPrivateFile(path);
    return 'issue' in read ? { ok: false, issues: [read.issue] } : { ok: true, keys: read.keys, created };
  } catch (error) {
    return { ok: false, issues: [`cannot use the key file ${path}: ${(error as NodeJS.ErrnoException).code}`] };
  }
}

function readPrivateFile(path: string): { keys: string } | { issue: string } {
  const file = openSync(path, READ);
  try {
    const found = fstatSync(file);
    if (!found.isFile()) return { issue: `the key file ${path} is no regular file` };
    if ((found.mode & 0o077) !== 0)
      return { issue: `other users may read the key file ${path}: run chmod 600 ${path}` };
    return { keys: readFileSync(file, 'utf8').trim() };
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
