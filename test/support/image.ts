// The image's file system without a container engine: the files that the Dockerfile's last stage copies, with the bundle.
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { copyBundle } from './bundle.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');

interface Instruction {
  name: string;
  rest: string;
}

/** One instruction per item: continuation lines joined, comments removed. */
export const instructions: Instruction[] = dockerfile
  .replace(/^\s*#.*\n/gm, '')
  .replace(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => {
    const [, name, rest] = line.match(/^(\w+)\s+(.*)$/)!;
    return { name: name!, rest: rest! };
  });
/** The instructions of the last stage. */
export const shipped = instructions.slice(instructions.map(({ name }) => name).lastIndexOf('FROM'));

export interface Copy {
  /** From an earlier stage; else from the repository. */
  built: boolean;
  sources: string[];
  to: string;
}

export const copies = (lines: Instruction[]): Copy[] =>
  lines
    .filter(({ name }) => name === 'COPY')
    .map(({ rest }) => {
      const words = rest.split(/\s+/).filter((word) => !word.startsWith('--'));
      return {
        built: rest.includes('--from='),
        sources: words.slice(0, -1).map((path) => path.replace(/^\/app\//, '')),
        to: words.at(-1)!,
      };
    });

export interface Image {
  /** The folder that is /app in the image. */
  folder: string;
  remove(): void;
}

/** The image's files in a new folder, with the bundle and its compile cache. */
export async function buildImageFolder(): Promise<Image> {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-image-'));
  for (const { sources, to } of copies(shipped)) {
    for (const source of sources.flatMap((pattern) => globSync(pattern, { cwd: ROOT }))) {
      if (source === 'dist') continue;
      cpSync(join(ROOT, source), join(folder, to.endsWith('/') ? join(to, basename(source)) : to), { recursive: true });
    }
  }
  await copyBundle(join(folder, 'dist'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
