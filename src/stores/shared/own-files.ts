// Files of our own in a folder that others may be able to write to: a symbolic link in the place of one would have us write to, or
// wait for, what it leads to. The file of the database itself may be a link: its path is the operator's.
import { closeSync, constants, existsSync, lstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreError } from '../../ports/index.ts';

/** Nor waits for the other end of a named pipe. 0 where the platform has neither. */
const NO_FOLLOW = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
const { O_APPEND, O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;

/** Flags for `open`: none of them follows a link at the end of the path, and a new file is to have the mode `PRIVATE`. */
export const OWN = {
  append: O_WRONLY | O_APPEND | O_CREAT | NO_FOLLOW,
  replace: O_WRONLY | O_TRUNC | O_CREAT | NO_FOLLOW,
  change: O_RDWR | NO_FOLLOW,
  read: O_RDONLY | NO_FOLLOW,
} as const;
export const PRIVATE = 0o600;

/** Whether a regular file is there, and not a link to one. */
export const isOwnFile = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/** Throws `StoreError` if something else than a regular file is in its place. */
export function assertOwnFile(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && !found.isFile())
    throw new StoreError(`${path} is ${found.isSymbolicLink() ? 'a symbolic link' : 'no regular file'}: remove it`);
}

/** Makes the file if it is not there. Throws `StoreError`, as `assertOwnFile`. */
export function reserveOwnFile(path: string): void {
  assertOwnFile(path);
  closeSync(openSync(path, OWN.append, PRIVATE));
}

/** Replaces what is in the file. Throws an error of the system, also where something else than a file is in its place. */
export function writeOwnFile(path: string, text: string): void {
  const file = openSync(path, OWN.replace, PRIVATE);
  try {
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
}

/**
 * With those that it is in; only this user may read them. `mkdirSync` with `recursive` never returns where none can be made, such as below
 * `/proc`. Throws the error of the system.
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process was faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
