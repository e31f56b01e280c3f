// The client as it is published, in a folder of its own: what `npm run build:client` makes, and what is beside it.
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './image.ts';

export interface ClientPackage {
  /** Where it is. */
  folder: string;
  /** A folder in which it is installed, for those who use it. */
  consumer: string;
  /** Lays the compiler over files there; rejects with what it says against them. */
  compile(folder: string, ...options: string[]): Promise<unknown>;
  remove(): void;
}

const run = promisify(execFile);
const TSC = join(ROOT, 'node_modules/.bin/tsc');

export async function layOutClient(): Promise<ClientPackage> {
  const home = mkdtempSync(join(tmpdir(), 'valetkey-client-'));
  const [folder, consumer] = [join(home, 'client'), join(home, 'consumer')];
  mkdirSync(folder);
  await run(TSC, ['-p', join(ROOT, 'client'), '--outDir', join(folder, 'dist')]);
  for (const name of ['client/package.json', 'client/README.md', 'LICENSE'])
    copyFileSync(join(ROOT, name), join(folder, name.replace('client/', '')));
  mkdirSync(join(consumer, 'node_modules/@valetkey'), { recursive: true });
  symlinkSync(folder, join(consumer, 'node_modules/@valetkey/client'), 'dir');
  const told = ({ stdout }: { stdout: string }) => Promise.reject(new Error(stdout));
  return {
    folder,
    consumer,
    compile: (at, ...options) => run(TSC, options, { cwd: at }).catch(told),
    remove: () => rmSync(home, { recursive: true }),
  };
}
