// The folder for temporary files of a run: in memory where there is room, since every commit of SQLite waits for the disk
// otherwise (milliseconds, for what takes a tenth of one). `VALETKEY_TEST_FOLDER` names another place; empty: `tmpdir()`.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const IN_MEMORY = '/dev/shm';
/** Many times what a run needs at once. */
const ROOM_BYTES = 4 * 1_024 ** 3;

const PREFIX = 'valetkey-tests-';
/** Longer than any run. */
const ABANDONED_AFTER_MS = 60 * 60_000;

/** Before what makes temporary files. Workers and the processes that tests start get `TMPDIR` from here. */
export default function setup(): () => void {
  const place = process.env.VALETKEY_TEST_FOLDER ?? (hasRoom(IN_MEMORY) ? IN_MEMORY : '');
  if (place !== '') removeAbandoned(place);
  const folder = place === '' ? undefined : mkdtempSync(join(place, `${PREFIX}${process.pid}-`));
  if (folder === undefined || !runsPrograms(folder)) {
    if (folder !== undefined) rmSync(folder, { recursive: true });
    return () => undefined;
  }
  // The user that PostgreSQL runs as, where the tests run as root, has a folder in it.
  chmodSync(folder, 0o711);
  const before = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  return () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(folder, { recursive: true, force: true });
  };
}

function hasRoom(path: string): boolean {
  if (!existsSync(path)) return false;
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize >= ROOM_BYTES;
}

/** Containers often forbid it there. */
function runsPrograms(folder: string): boolean {
  const program = join(folder, 'program');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o700 });
  const { status } = spawnSync(program);
  rmSync(program);
  return status === 0;
}

/** Of runs that were killed: they would take memory until the machine is restarted. */
function removeAbandoned(place: string): void {
  for (const name of readdirSync(place).filter((one) => one.startsWith(PREFIX))) {
    const folder = join(place, name);
    try {
      if (Date.now() - statSync(folder).mtimeMs > ABANDONED_AFTER_MS && !isRunning(Number(name.split('-')[2])))
        rmSync(folder, { recursive: true, force: true });
    } catch {
      // Of another user, or removed meanwhile.
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
