// Before all tests: a headless Chromium for the tests of pages, unpacked once from its package. `CHROMIUM_PATH` names
// another one.
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';

export interface Chromium {
  path: string;
  /** Added to the environment that it is launched with. */
  env: Record<string, string>;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Undefined: there is none here. */
    chromium: Chromium | undefined;
  }
}

const PACKAGE = dirname(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')));

export default async function setup({ provide }: TestProject): Promise<void> {
  const found = await findChromium();
  if ('missing' in found) console.warn(`The browser tests are skipped: ${found.missing}. Name one in CHROMIUM_PATH.`);
  provide('chromium', 'missing' in found ? undefined : found);
}

/** `missing`: why there is none here, in one line. */
async function findChromium(): Promise<Chromium | { missing: string }> {
  const own = process.env.CHROMIUM_PATH;
  if (own !== undefined && own !== '') return { path: own, env: {} };
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return { missing: `no Chromium comes for ${process.platform} on ${process.arch}` };
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as { version: string };
  const cache = cacheFolder();
  const folder = join(cache, `chromium-${version}`);
  if (!existsSync(folder)) await unpack(cache, folder);
  const path = join(folder, 'chromium');
  const fonts = { FONTCONFIG_FILE: join(folder, 'fonts.conf') };
  // A bare machine lacks libraries that a browser links to: the package has those too.
  const bundled = { ...fonts, LD_LIBRARY_PATH: join(folder, 'al2023', 'lib') };
  for (const env of [fonts, bundled])
    if (spawnSync(path, ['--version'], { env: { ...process.env, ...env } }).status === 0) return { path, env };
  return { missing: `${path} does not start on this machine` };
}

/** Beside the packages, so that it is unpacked once; of this user, where these are another one's. */
function cacheFolder(): string {
  const beside = join(dirname(dirname(PACKAGE)), '.cache', 'valetkey');
  try {
    mkdirSync(beside, { recursive: true });
    accessSync(beside, constants.W_OK);
    return beside;
  } catch {
    const own = join(tmpdir(), `valetkey-cache-${process.getuid?.() ?? 'user'}`);
    mkdirSync(own, { recursive: true, mode: 0o700 });
    return own;
  }
}

/** Elsewhere first, then renamed into place: another run may be unpacking at the same time. */
async function unpack(cache: string, folder: string): Promise<void> {
  const draft = mkdtempSync(join(cache, 'unpacking-'));
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
  <dir>${folder.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</dir>
</fontconfig>
`;
