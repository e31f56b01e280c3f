// The bundle that the image runs, for tests that start many brokers as processes of their own: it starts in a fifth of the
// time that the sources take. Built when the first of them asks, once for all workers, and gone after the run.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
const WITHIN_MS = 60_000;

export default function setup({ provide }: TestProject): () => void {
  // Within the repository, whose packages it uses, and of this run alone.
  const folder = join(ROOT, 'dist', `test-${process.pid}`);
  provide('bundle', folder);
  return () => {
    for (const path of [folder, lockOf(folder)]) rmSync(path, { recursive: true, force: true });
  };
}

const lockOf = (folder: string) => `${folder}.lock`;
let ready: Promise<void> | undefined;

/** The path of `main.js` or `cli.js`. Rejects when it cannot be built. */
export const bundled = async (name: 'main' | 'cli'): Promise<string> => join(await built(), `${name}.js`);

/** Of the broker that kills itself when it is told to. */
export const bundledChaosBroker = async (): Promise<string> => join(await built(), 'code', 'broker.js');

async function built(): Promise<string> {
  const folder = inject('bundle');
  ready ??= make(folder);
  await ready;
  return folder;
}

async function make(folder: string): Promise<void> {
  const lock = lockOf(folder);
  if (!mine(lock)) return made(lock);
  try {
    await promisify(execFile)(process.execPath, ['build.ts', folder, 'test/system/chaos/broker.ts'], { cwd: ROOT });
    writeFileSync(join(lock, 'done'), '');
  } catch (error) {
    writeFileSync(join(lock, 'failed'), '');
    throw error;
  }
}

/** Whoever makes the lock builds. */
function mine(lock: string): boolean {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function made(lock: string): Promise<void> {
  for (const until = Date.now() + WITHIN_MS; Date.now() < until; await pause(50)) {
    if (existsSync(join(lock, 'done'))) return;
    if (existsSync(join(lock, 'failed'))) break;
  }
  throw new Error('the bundle was not built: see the test that tried');
}
