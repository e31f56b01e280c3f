// The published client package: what `npm run build:client` builds, and its other files, in a temporary folder.
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './image.ts';

export interface ClientPackage {
  /** The package's folder. */
  folder: string;
  /** A folder with the package installed in it. */
  consumer: string;
  /** Runs the TypeScript compiler in a folder; rejects with its errors. */
  compile(folder: string, ...options: string[]): Promise<unknown>;
  remove(): void;
}

const run = promisify(execFile);
const TSC = join(ROOT, 'node_modules/.bin/tsc');

export async function buildClientPackage(): Promise<ClientPackage> {
  const home = mkdtempSync(join(tmpdir(), 'valetkey-client-'));
  const [folder, consumer] = [join(home, 'client'), join(home, 'consumer')];
  mkdirSync(folder);
  await run(TSC, ['-p', join(ROOT, 'client'), '--outDir', join(folder, 'dist')]);
  for (const name of ['client/package.json', 'client/README.md', 'LICENSE'])
    copyFileSync(join(ROOT, name), join(folder, name.replace('client/', '')));
  mkdirSync(join(consumer, 'node_modules/@valetkey'), { recursive: true });
  symlinkSync(folder, join(consumer, 'node_modules/@valetkey/client'), 'dir');
  const rejectWithOutput = ({ stdout }: { stdout: string }) => Promise.reject(new Error(stdout));
  return {
    folder,
    consumer,
    compile: (at, ...options) => run(TSC, options, { cwd: at }).catch(rejectWithOutput),
    remove: () => rmSync(home, { recursive: true }),
  };
}
