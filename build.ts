// `npm run build`: what the image runs, in dist/ or the folder that is named, and beside it what else is named. One file loads ten times as quickly as the
// thousand that it is made of, and takes a third of the memory. The sources need no build.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, parse, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { loadCatalogue } from './src/catalogue/load.ts';

/** The built-in providers as text, which is parsed sooner than code is run. In code, it would stay in memory, twice. */
const CATALOGUE = 'catalogue.json';
/** A thread of its own, beside the code that starts it. */
const CHECKPOINT_WORKER = 'src/stores/sqlite/checkpoint-worker.ts';

const [folder = 'dist', ...others] = process.argv.slice(2);
const outdir = resolve(folder);
rmSync(outdir, { recursive: true, force: true });

/** The oldest major version that it runs on. */
const NODE = 24;
/** Modules of Node that take long to load, and are used when a connection or a process is made, if ever. */
const LATE = [
  'assert',
  'child_process',
  'cluster',
  'dns',
  'fs/promises',
  'http2',
  'https',
  'tls',
  'worker_threads',
  'zlib',
];
/** Libraries in CommonJS that load all of themselves, and the files of what is used of them, which are loaded when it is. */
const PARTS: Record<string, Record<string, string>> = {
  'prom-client': {
    AggregatorRegistry: './lib/cluster.js',
    Counter: './lib/counter.js',
    Gauge: './lib/gauge.js',
    Histogram: './lib/histogram.js',
    Registry: './lib/registry.js',
    collectDefaultMetrics: './lib/defaultMetrics.js',
  },
  'rate-limiter-flexible': {
    RateLimiterMemory: './lib/RateLimiterMemory.js',
    RateLimiterRes: './lib/RateLimiterRes.js',
  },
};

/** What parses an entry: a file of its own, with the schemas of all entries, since those of the catalogue are parsed. */
const PARSE_ENTRY = 'src/catalogue/parse-entry.ts';

/** `folder`: where the code lies. */
const instead = (folder: string): Plugin => ({
  name: 'what a bundle has in the place of a module',
  setup({ initialOptions, onLoad, onResolve }) {
    if (initialOptions.splitting)
      onLoad({ filter: /\/src\/catalogue\/parse-entry\.ts$/ }, () => ({
        contents: parseEntryLater(relative(folder, 'code/parse-entry.cjs')),
      }));
    onLoad({ filter: /\/src\/catalogue\/bundled\.ts$/ }, () => ({
      contents: catalogueModule(relative(folder, CATALOGUE)),
    }));
    // Its native part stays in its package.
    onLoad({ filter: /\/better-sqlite3\/lib\/binding\.js$/ }, ({ path }) => ({
      contents: `const find = require; const __dirname = find('path').join(find.resolve('better-sqlite3/package.json'), '../lib');\n${readFileSync(path, 'utf8')}`,
    }));
    // All of them are loaded otherwise, since a library has zod as a whole.
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, ({ path }) => ({
      contents: "export { default as en } from './en.js';",
      resolveDir: dirname(path),
    }));
    for (const [library, parts] of Object.entries(PARTS))
      onLoad({ filter: new RegExp(`/node_modules/${library}/index\\.js$`) }, ({ path }) => ({
        contents: lazyParts(parts),
        resolveDir: dirname(path),
      }));
    onResolve({ filter: /^/ }, ({ path }) => (isBuiltin(path) ? { path, namespace: 'built-in' } : undefined));
    onLoad({ filter: /^/, namespace: 'built-in' }, ({ path }) => ({ contents: builtInModule(path) }));
  },
});

const options: BuildOptions & { metafile: true } = {
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: `node${NODE}`,
  // What `pg` would use if it were there.
  external: ['pg-native'],
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
};
// Apart, since each command that is loaded when it is run cuts what it shares with others into more files, and a start reads them
// one by one.
const broker = await build({ ...options, ...entries('code', 'src/main.ts', CHECKPOINT_WORKER, ...others) });
await build({
  ...options,
  ...entries('code', PARSE_ENTRY),
  splitting: false,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  banner: {},
});
const cli = await build({ ...options, ...entries('code/cli', 'src/cli.ts', CHECKPOINT_WORKER) });

// An older Node would name an export that it does not have.
const START = [
  `if (Number.parseInt(process.versions.node) < ${NODE}) {`,
  `  console.error('Valetkey needs Node ${NODE} or newer, and this is ' + process.version);`,
  '  process.exit(78);',
  '}',
  "process.getBuiltinModule('node:module').enableCompileCache(import.meta.dirname + '/cache');",
];
write('main.js', [...START, "await import('./code/main.js');"]);
write('cli.js', ['#!/usr/bin/env node', ...START, "await import('./code/cli/cli.js');"]);
write(CATALOGUE, [catalogueText()]);
write('LICENSES.txt', licences(Object.keys({ ...broker.metafile.inputs, ...cli.metafile.inputs })));
await fillCache();

function write(name: string, lines: string[]): void {
  writeFileSync(join(outdir, name), `${lines.join('\n')}\n`);
}

function entries(folder: string, ...paths: string[]): Pick<BuildOptions, 'entryPoints' | 'outdir' | 'plugins'> {
  return {
    entryPoints: paths.map((path) => ({ in: path, out: parse(path).name })),
    outdir: join(outdir, folder),
    plugins: [instead(folder)],
  };
}

/**
 * A module of Node, without what `import` does for it: it makes Node load all that its exports have a name for (of `http`, that
 * is a WebSocket client: 20 ms, and megabytes).
 */
function builtInModule(path: string): string {
  const name = path.replace(/^node:/, '');
  const get = `process.getBuiltinModule('${path}')`;
  if (!LATE.includes(name)) return `module.exports = ${get};`;
  const given: unknown = process.getBuiltinModule(path);
  const { constants, ...others } = Object.fromEntries(Object.entries(given as object));
  return [
    ...(typeof given === 'function' ? [`module.exports = (...given) => ${get}(...given);`] : []),
    // undici takes them apart at once.
    `module.exports.constants = ${JSON.stringify(constants)};`,
    `for (const name of ${JSON.stringify(Object.keys(others))}) {`,
    `  const set = (value) => Object.defineProperty(module.exports, name, { value, enumerable: true });`,
    `  Object.defineProperty(module.exports, name, { get: () => (set(${get}[name]), module.exports[name]), enumerable: true, configurable: true });`,
    `}`,
  ].join('\n');
}

function catalogueModule(path: string): string {
  return `import { readFileSync } from 'node:fs';
    export const bundled = JSON.parse(readFileSync(new URL('${path}', import.meta.url), 'utf8'));`;
}

function parseEntryLater(path: string): string {
  return `import { join } from 'node:path';
    export const parseEntry = (...given) => require(join(import.meta.dirname, '${path}')).parseEntry(...given);`;
}

function catalogueText(): string {
  const catalogue = loadCatalogue([]);
  if (!catalogue.ok) throw new Error(catalogue.issues.join('\n'));
  return JSON.stringify([...catalogue.providers.values()]);
}

/** What is used of a library, each part by a getter. */
function lazyParts(parts: Record<string, string>): string {
  const getters = Object.entries(parts).map(([name, path]) => `get ${name}() { return require('${path}'); }`);
  return `module.exports = { ${getters.join(', ')} };`;
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

/**
 * A broker leaves behind what V8 made of the code that it ran: its start, with a declarative file, and the requests that load the
 * rest. Another user, version of Node or kind of processor ignores it.
 */
async function fillCache(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-build-'));
  const declared = join(folder, 'valetkey.json');
  const key = `vk_${randomBytes(32).toString('base64url')}`;
  writeFileSync(declared, JSON.stringify(exampleFile(key)));
  const env = {
    PATH: process.env.PATH,
    VALETKEY_PORT: '0',
    VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}`,
    VALETKEY_CONFIG: declared,
  };
  const broker = spawn(process.execPath, [join(outdir, 'main.js')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(broker, 'exit');
  createInterface(broker.stdout).on('line', async (line) => {
    if (!line.includes('"event":"listening"')) return;
    const { url } = JSON.parse(line) as { url: string };
    for (const path of ['/readyz', '/metrics', '/v1/connections', '/v1/token?integration=example&owner=user_42'])
      await fetch(url + path, { headers: { authorization: `Bearer ${key}` } });
    broker.kill('SIGTERM');
  });
  const [code] = await ended;
  rmSync(folder, { recursive: true });
  if (code !== 0) throw new Error(`the bundle does not run: it ended with ${code}`);
}

function exampleFile(key: string): object {
  const params = { authorization_url: 'https://example.com/authorize', token_url: 'https://example.com/token' };
  const permission = { actions: ['token'], integrations: ['*'], owners: ['*'] };
  return {
    integrations: [{ id: 'example', provider: 'generic-oauth2', client_id: 'a', client_secret: 'b', params }],
    callers: [{ name: 'example', key, grants: [permission] }],
  };
}
