// `npm run build`: what the image runs, in dist/ or the folder that is named, and beside it what else is named. One file loads ten times as quickly as the
// thousand that it is made of, and takes a third of the memory. The sources need no build.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, parse, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { build, type Plugin } from 'esbuild';
import { loadCatalogue } from './src/catalogue/load.ts';

const [folder = 'dist', ...others] = process.argv.slice(2);
const outdir = resolve(folder);
rmSync(outdir, { recursive: true, force: true });

const instead: Plugin = {
  name: 'what a bundle has in the place of a module',
  setup({ onLoad, onResolve }) {
    onLoad({ filter: /\/src\/catalogue\/bundled\.ts$/ }, () => ({ contents: catalogueModule() }));
    // Who imports it makes Node load its WebSocket client for the sake of a name among its exports: 10 ms, and megabytes.
    onResolve({ filter: /^(node:)?http$/ }, () => ({ path: 'node:http', namespace: 'built-in' }));
    onLoad({ filter: /^/, namespace: 'built-in' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('${path}');`,
    }));
  },
};

const { metafile } = await build({
  entryPoints: ['src/main.ts', 'src/cli.ts', 'src/stores/sqlite/checkpoint-worker.ts', ...others].map((path) => ({
    in: path,
    out: parse(path).name,
  })),
  outdir: join(outdir, 'code'),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  // Native; and what `pg` would use if it were there.
  external: ['better-sqlite3', 'pg-native'],
  plugins: [instead],
  // Libraries in CommonJS ask for the modules of Node with it.
  banner: { js: "import { createRequire as r } from 'node:module'; const require = r(import.meta.url);" },
  // Names stay, and lines stay short, so that stacks can be read. Comments go: one letter of theirs that is not ASCII
  // doubles the memory that the whole text takes.
  minifySyntax: true,
  minifyWhitespace: true,
  lineLimit: 120,
  legalComments: 'none',
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
});

write('main.js', [
  "import { enableCompileCache } from 'node:module';",
  "enableCompileCache(import.meta.dirname + '/cache');",
  "await import('./code/main.js');",
]);
write('cli.js', [
  '#!/usr/bin/env node',
  "import { enableCompileCache } from 'node:module';",
  "enableCompileCache(import.meta.dirname + '/cache');",
  "await import('./code/cli.js');",
]);
write('LICENSES.txt', licences(Object.keys(metafile.inputs)));
await fillCache();

function write(name: string, lines: string[]): void {
  writeFileSync(join(outdir, name), `${lines.join('\n')}\n`);
}

/** Text that is parsed, which is quicker than code that is run. */
function catalogueModule(): string {
  const catalogue = loadCatalogue([]);
  if (!catalogue.ok) throw new Error(catalogue.issues.join('\n'));
  const text = JSON.stringify([...catalogue.providers.values()]);
  return `export const bundled = JSON.parse(${JSON.stringify(text)});`;
}

/** The licences of the bundled libraries, which have to be distributed with them. */
function licences(inputs: string[]): string[] {
  const folders = new Set(inputs.flatMap((path) => path.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? []));
  return [...folders].sort().flatMap((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const files = globSync('{LICENSE,LICENCE,COPYING}*', { cwd: folder });
    const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim());
    return [`${'-'.repeat(80)}\n${name} ${version} (${license})`, ...texts];
  });
}

/** One start leaves behind what V8 made of the code. Another user, version of Node or kind of processor ignores it. */
async function fillCache(): Promise<void> {
  const env = { PATH: process.env.PATH, VALETKEY_PORT: '0', VALETKEY_DATABASE_URL: 'file::memory:' };
  const broker = spawn(process.execPath, [join(outdir, 'main.js')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(broker, 'exit');
  createInterface(broker.stdout).on('line', (line) => line.includes('"event":"listening"') && broker.kill('SIGTERM'));
  const [code] = await ended;
  if (code !== 0) throw new Error(`the bundle does not run: it ended with ${code}`);
}
