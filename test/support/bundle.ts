// The bundle that the image runs, for tests that start many brokers as processes: it starts in a fifth of the time that
// the sources take. It is built when the first test needs it, once for all workers, and removed after the run.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, parse } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    bundle: string;
  }
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAMS = {
  /** A broker that kills itself on command. */
  broker: 'test/system/chaos/broker.ts',
  /** A process that writes to a store. */
  writer: 'test/stores/sqlite/writer.ts',
  'reads-writer': 'test/stores/sqlite/reads-writer.ts',
};
/** Where build.ts puts them. */
const OTHERS = 'others';
const BUILD_TIMEOUT_MS = 60_000;

export default function setup({ provide }: TestProject): () => void {
  // Within the repository, whose packages it uses, and for this run alone.
  const folder = join(ROOT, 'dist', `test-${process.pid}`);
  provide('bundle', folder);
  return () => {
    for (const path of [folder, lockOf(folder)]) rmSync(path, { recursive: true, force: true });
  };
}

const lockOf = (folder: string) => `${folder}.lock`;
let ready: Promise<void> | undefined;

/** The path of `main.js` or `cli.js`. Rejects when the bundle cannot be built. */
export const bundled = async (name: 'main' | 'cli'): Promise<string> => join(await bundleFolder(), `${name}.js`);

/** The path of a program of the tests. */
export const bundledProgram = async (name: keyof typeof PROGRAMS): Promise<string> =>
  join(await bundleFolder(), OTHERS, `${parse(PROGRAMS[name]).name}.js`);

/** Copies all that the image has of it into this folder. */
export async function copyBundle(to: string): Promise<void> {
  const from = await bundleFolder();
  cpSync(from, to, { recursive: true, filter: (path) => path !== join(from, OTHERS) });
}

async function bundleFolder(): Promise<string> {
  const folder = inject('bundle');
  ready ??= build(folder);
  await ready;
  return folder;
}

async function build(folder: string): Promise<void> {
  const lock = lockOf(folder);
  if (!acquire(lock)) return waitFor(lock);
  try {
    await promisify(execFile)(process.execPath, ['build.ts', folder, ...Object.values(PROGRAMS)], { cwd: ROOT });
    writeFileSync(join(lock, 'done'), '');
  } catch (error) {
    writeFileSync(join(lock, 'failed'), '');
    throw error;
  }
}

/** True for the one worker that creates the lock: it builds. */
function acquire(lock: string): boolean {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function waitFor(lock: string): Promise<void> {
  for (const until = Date.now() + BUILD_TIMEOUT_MS; Date.now() < until; await pause(50)) {
    if (existsSync(join(lock, 'done'))) return;
    if (existsSync(join(lock, 'failed'))) break;
  }
  throw new Error('the bundle was not built: see the test that tried');
}
