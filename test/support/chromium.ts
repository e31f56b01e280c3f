// Before all tests: a headless Chromium, unpacked once from its package, for the tests that look at pages.
// `CHROMIUM_PATH` names another one.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';

export interface Chromium {
  path: string;
  /** Over the environment of whoever launches it. */
  env: Record<string, string>;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Undefined: there is none for this platform. */
    chromium: Chromium | undefined;
  }
}

const PACKAGE = dirname(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')));
const CACHE = join(dirname(dirname(PACKAGE)), '.cache', 'valetkey');

export default async function setup({ provide }: TestProject): Promise<void> {
  const own = process.env.CHROMIUM_PATH;
  if (own !== undefined && own !== '') return provide('chromium', { path: own, env: {} });
  if (process.platform === 'linux' && process.arch === 'x64') return provide('chromium', await unpacked());
  console.warn(
    `The browser tests are skipped: no Chromium comes for ${process.platform} on ${process.arch}. Name one in CHROMIUM_PATH.`,
  );
  provide('chromium', undefined);
}

async function unpacked(): Promise<Chromium> {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as { version: string };
  const folder = join(CACHE, `chromium-${version}`);
  if (!existsSync(folder)) await unpack(folder);
  const path = join(folder, 'chromium');
  const fonts = { FONTCONFIG_FILE: join(folder, 'fonts.conf') };
  // A bare machine lacks what a browser links to: the package brings that too.
  const links = spawnSync(path, ['--version']).status === 0;
  return { path, env: links ? fonts : { ...fonts, LD_LIBRARY_PATH: join(folder, 'al2023', 'lib') } };
}

/** Elsewhere first, then put in its place at once: another run may be unpacking at the same time. */
async function unpack(folder: string): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const draft = mkdtempSync(join(CACHE, 'unpacking-'));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = draft;
  try {
    const { default: chromium, inflate } = await import('@sparticuz/chromium');
    await chromium.executablePath();
    await inflate(join(PACKAGE, 'bin', 'al2023.tar.br'));
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
  writeFileSync(join(draft, 'fonts.conf'), fontsIn(join(folder, 'fonts')));
  try {
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
}

/** The machine's fonts, and the package's where it has none. */
const fontsIn = (folder: string) => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${folder}</dir>
</fontconfig>
`;
