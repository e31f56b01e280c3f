// `npm start` as package.json has it, in a folder with a file `.env`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../support/bundle.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-start-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Everything it prints. The settings are faulty, so that it ends at once. */
function start(env: Record<string, string>): string {
  const { stdout, stderr, status } = spawnSync('sh', ['-c', scripts.start], {
    cwd: folder,
    env: { PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`, ...env },
    encoding: 'utf8',
  });
  expect(status).toBe(78);
  return stdout + stderr;
}

test('npm start reads .env, and a variable of the environment takes precedence over it', async () => {
  // From the bundle, which loads in a fifth of the time that the sources take.
  mkdirSync(join(folder, 'src'));
  writeFileSync(join(folder, 'src/main.ts'), `import ${JSON.stringify(await bundled('main'))};\n`);
  expect(start({ VALETKEY_PORT: 'x' })).toMatch(/VALETKEY_PORT: (?!.*VALETKEY_LOG_LEVEL)/s);
  rmSync(join(folder, 'src'), { recursive: true });
  symlinkSync(join(ROOT, 'src'), join(folder, 'src'));
  writeFileSync(join(folder, '.env'), 'VALETKEY_LOG_LEVEL=chatty\nVALETKEY_PORT=0\n');
  const printed = start({ VALETKEY_PORT: 'x' });
  expect(printed).toContain('VALETKEY_PORT: ');
  expect(printed).toContain('VALETKEY_LOG_LEVEL: ');
});
