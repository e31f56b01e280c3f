// @valetkey/connect as a package: one file below 2 kB, its types, and nothing else.
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { ROOT } from '../support/image.ts';

test('@valetkey/connect: one file below 2 kB, with types, and no dependencies', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-connect-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  await promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), ['-p', join(ROOT, 'connect'), '--outDir', folder]);
  expect(readdirSync(folder).sort()).toEqual(['index.d.ts', 'index.js']);
  const minified = await build({
    entryPoints: [join(folder, 'index.js')],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    minify: true,
    write: false,
  });
  expect(minified.outputFiles[0]!.contents.byteLength).toBeLessThan(2_000);
  const manifest = JSON.parse(readFileSync(join(ROOT, 'connect/package.json'), 'utf8')) as object;
  expect(Object.keys(manifest).filter((name) => /dependencies/i.test(name))).toEqual([]);
}, 180_000);
