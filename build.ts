// `npm run build`: what the image runs, in dist/ or the folder that is named, and beside it what else is named. One file loads ten
// times as quickly as the thousand that it is made of, and takes a third of the memory. The sources need no build.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, parse, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { linesOf } from './src/catalogue/entries-on-demand.ts';
import { loadCatalogue } from './src/catalogue/load.ts';
import { START_FLAGS } from './src/runtime/v8-flags.ts';

/** The built-in providers as text, a line each, parsed when they are asked for. In code, it would stay in memory, twice. */
const CATALOGUE = 'catalogue.jsonl';
/** The description of the API, as `npm run generate` wrote it: a bundle has nothing that generates it. */
const DESCRIPTION = 'openapi.json';
/** A thread of its own, beside the code that starts it. */
const BACKGROUND_WORKER = 'src/stores/sqlite/background-worker.ts';

const BROKER_ENTRY = 'src/main.ts';
/** What the image runs: one script. */
const BROKER = 'code/main.cjs';
/** What V8 has made of it. */
const BROKER_CACHE = 'code/main.cache';
/** In it, where it lies. */
const PATH = '__path';

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
/**
 * Modules of Node that a start loads. Node has compiled them, and V8 refuses that code under other flags than it was made under:
 * they are loaded before a start sets its own. `cluster`, `dns` and what these load are what listening needs. Not `perf_hooks`:
 * with it, what loads these modules has run often enough for V8 to optimize it, and to read its optimizing compilers for that.
 */
const EARLY = ['cluster', 'crypto', 'dns', 'http', 'os', 'timers/promises'];
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

/** A library that is as large as all others together, and is needed when the broker first sends a request: a file of its own. */
const SENDER = 'undici';
/** What parses an entry: a file of its own, with the schemas of all entries, since those of the catalogue are parsed. */
const PARSE_ENTRY = 'src/catalogue/parse-entry.ts';

/**
 * What describes schemas and routes, where no one asks for it: it would copy each schema that it describes, with a dozen closures.
 * A method of the class of a schema itself, since zod binds one of `ZodType` to each schema.
 */
const DESCRIBE_NOTHING = `
  export class OpenAPIRegistry {
    definitions = [];
    registerPath() {}
  }
  export function extendZodWithOpenApi(z) {
    const value = function () { return this; };
    for (const type of Object.values(z))
      if (type?.init) Object.defineProperty(type.prototype, 'openapi', { value });
  }
  export const [OpenApiGeneratorV3, OpenApiGeneratorV31, getOpenApiMetadata] = [];`;

/** `folder`: where the code of these entry points lies. */
const instead = (folder: string, paths: string[]): Plugin => ({
  name: 'what a bundle has in the place of a module',
  setup({ onLoad, onResolve }) {
    if (paths.includes(BROKER_ENTRY))
      onResolve({ filter: new RegExp(`^${SENDER}$`) }, () => ({ path: `./${SENDER}.cjs`, external: true }));
    if (!paths.includes(PARSE_ENTRY))
      onLoad({ filter: /\/src\/catalogue\/parse-entry\.ts$/ }, () => ({
        contents: parseEntryLater(relative(folder, 'code/parse-entry.cjs')),
      }));
    onLoad({ filter: /\/src\/catalogue\/bundled\.ts$/ }, ({ path }) => ({
      contents: catalogueModule(relative(folder, CATALOGUE)),
      resolveDir: dirname(path),
    }));
    onLoad({ filter: /\/src\/http\/openapi\/generate\.ts$/ }, () => ({
      contents: descriptionModule(relative(folder, DESCRIPTION)),
    }));
    onLoad({ filter: /\/@asteasolutions\/zod-to-openapi\// }, () => ({ contents: DESCRIBE_NOTHING }));
    // For exemplars of prom-client, which no metric has.
    onLoad({ filter: /\/@opentelemetry\/api\// }, () => ({ contents: 'module.exports = {};' }));
    // Streams and transports of pino, which no log has. They load Node's worker threads; to find out for them who called pino, V8
    // looks for the ends of all lines of the bundle.
    onLoad({ filter: /\/pino\/lib\/(caller|transport)\.js$/ }, () => ({
      contents: 'module.exports = () => undefined;',
    }));
    onLoad({ filter: /\/pino\/lib\/tools\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(
        "{ isMainThread } = require('worker_threads')",
        'isMainThread = true',
      ),
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
    onResolve({ filter: /^/ }, ({ path, kind }) => {
      if (!isBuiltin(path)) return undefined;
      const isImported = kind === 'import-statement' && !LATE.includes(path.replace(/^node:/, ''));
      return { path, namespace: isImported ? 'imported built-in' : 'built-in' };
    });
    onLoad({ filter: /^/, namespace: 'built-in' }, ({ path }) => ({ contents: builtInModule(path) }));
    onLoad({ filter: /^/, namespace: 'imported built-in' }, ({ path }) => ({ contents: builtInExports(path) }));
  },
});

const options: BuildOptions & { metafile: true } = {
  bundle: true,
  platform: 'node',
  target: `node${NODE}`,
  // What `pg` would use if it were there.
  external: ['pg-native'],
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
/** Files that share code, which is cut into more files. */
const modules: typeof options = {
  ...options,
  splitting: true,
  format: 'esm',
  // Libraries in CommonJS ask for the modules of Node with it.
  banner: { js: "import { createRequire as r } from 'node:module'; const require = r(import.meta.url);" },
};
/** One file each, whose modules are evaluated when they are imported. */
const scripts: typeof options = {
  ...options,
  format: 'cjs',
  // Node imports nothing for a script.
  supported: { 'dynamic-import': false },
  outExtension: { '.js': '.cjs' },
};

const broker = await build({
  ...scripts,
  ...entries('code', BROKER_ENTRY),
  banner: {
    js: `(typeof module === 'undefined' ? {} : module).exports = (function (exports, require, module, ${PATH}) {'use strict';`,
  },
  footer: { js: '})' },
  define: {
    'import.meta.url': `${PATH}.url`,
    'import.meta.dirname': `${PATH}.folder`,
    // Asked whether this is a browser. Node's loads its worker threads.
    navigator: 'undefined',
  },
});
asciiOnly(join(outdir, BROKER));
const sender = await build({ ...scripts, ...entries('code', SENDER) });
await build({ ...scripts, ...entries('code', PARSE_ENTRY) });
await build({ ...modules, ...entries('code', BACKGROUND_WORKER) });
const cli = await build({ ...modules, ...entries('code/cli', 'src/cli.ts', BACKGROUND_WORKER) });
// In a folder of their own: the rest is the same without them.
if (others.length > 0) await build({ ...modules, ...entries('others', ...others, BACKGROUND_WORKER) });

// An older Node would name an export that it does not have.
const START = [
  `if (Number.parseInt(process.versions.node) < ${NODE}) {`,
  `  console.error('Valetkey needs Node ${NODE} or newer, and this is ' + process.version);`,
  '  process.exit(78);',
  '}',
];
/**
 * Another version of Node ignores what V8 made of the code. With source maps, Node has to load the code: it reads no maps of scripts.
 * The flags of a start are set when V8 has the code of the script and of Node's modules, since it compares its flags. What takes
 * paths apart waits for them: it looks at each letter.
 */
const BROKER_START = [
  "const [fs, module, path, v8, vm] = ['fs', 'module', 'path', 'v8', 'vm'].map(process.getBuiltinModule);",
  `const filename = import.meta.dirname + '/${BROKER}';`,
  `const cache = import.meta.dirname + '/${BROKER_CACHE}';`,
  'function compiled() {',
  '  try {',
  '    return fs.readFileSync(cache);',
  '  } catch {}',
  '}',
  "const compile = () => new vm.Script(fs.readFileSync(filename, 'latin1'), { filename, cachedData: compiled() });",
  'const script = process.sourceMapsEnabled ? undefined : compile();',
  `${JSON.stringify(EARLY)}.forEach(process.getBuiltinModule);`,
  `v8.setFlagsFromString('${START_FLAGS.start}');`,
  'const require = module.createRequire(filename);',
  'const run = script ? script.runInThisContext() : require(filename);',
  `run({}, require, {}, { url: new URL('${BROKER}', import.meta.url).href, folder: path.dirname(filename) });`,
];
write('main.js', [...START, ...BROKER_START]);
write('cli.js', [
  '#!/usr/bin/env node',
  ...START,
  "process.getBuiltinModule('node:module').enableCompileCache(import.meta.dirname + '/cache');",
  "await import('./code/cli/cli.js');",
]);
write(CATALOGUE, catalogueLines());
write(DESCRIPTION, [JSON.stringify(JSON.parse(readFileSync(join(import.meta.dirname, DESCRIPTION), 'utf8')))]);
write('LICENSES.txt', licences([broker, sender, cli].flatMap(({ metafile }) => Object.keys(metafile.inputs))));
await fillCache();

function write(name: string, lines: string[]): void {
  writeFileSync(join(outdir, name), `${lines.join('\n')}\n`);
}

function entries(folder: string, ...paths: string[]): Pick<BuildOptions, 'entryPoints' | 'outdir' | 'plugins'> {
  return {
    entryPoints: paths.map((path) => ({ in: path, out: parse(path).name })),
    outdir: join(outdir, folder),
    plugins: [instead(folder, paths)],
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

/** The same for `import`, of which only the names that are imported are left: a module in CommonJS would be copied for each file. */
function builtInExports(path: string): string {
  const names = Object.keys(process.getBuiltinModule(path) as object).filter((name) => /^[A-Za-z]\w*$/.test(name));
  return [
    `const module = process.getBuiltinModule('${path}');`,
    'export { module as default };',
    ...names.map((name) => `export const ${name} = /* @__PURE__ */ (() => module.${name})();`),
  ].join('\n');
}

function catalogueModule(path: string): string {
  return `import { readFileSync } from 'node:fs';
    import { entriesOnDemand } from './entries-on-demand.ts';
    export const bundled = entriesOnDemand(readFileSync(new URL('${path}', import.meta.url), 'utf8').split('\\n'));`;
}

function descriptionModule(path: string): string {
  return `import { readFileSync } from 'node:fs';
    export const describe = () => JSON.parse(readFileSync(new URL('${path}', import.meta.url), 'utf8'));`;
}

function parseEntryLater(path: string): string {
  return `import { join } from 'node:path';
    export const parseEntry = (...given) => require(join(import.meta.dirname, '${path}')).parseEntry(...given);`;
}

function catalogueLines(): string[] {
  const catalogue = loadCatalogue([]);
  if (!catalogue.ok) throw new Error(catalogue.issues.join('\n'));
  return linesOf(catalogue.providers);
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

/** Escaped: of a text with other letters, V8 takes two bytes for each. In templates, esbuild leaves them as they are. */
function asciiOnly(path: string): void {
  const text = readFileSync(path, 'utf8');
  const escaped = (letter: string) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
  writeFileSync(path, text.replace(/[\u0080-\uffff]/g, escaped));
}

/**
 * What V8 made of the code that a broker ran: its start, with a declarative file, and the requests that evaluate the rest. The
 * compile cache of Node has only what V8 compiles before it runs anything, which is a fifth of the functions.
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
  const filling = 'fill-cache.js';
  // V8 refuses what was made under other flags than those of a start: those that were changed since get their defaults.
  const defaults = `--allocation-site-pretenuring ${START_FLAGS.default}`;
  const keep = `v8.setFlagsFromString('${defaults}'); fs.writeFileSync(cache, script.createCachedData());`;
  write(filling, [...BROKER_START, `process.on('exit', () => { ${keep} });`]);
  const broker = spawn(process.execPath, [join(outdir, filling)], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(broker, 'exit');
  createInterface(broker.stdout).on('line', async (line) => {
    if (!line.includes('"event":"listening"')) return;
    const { url } = JSON.parse(line) as { url: string };
    for (const path of ['/readyz', '/metrics', '/v1/connections', '/v1/token?integration=example&owner=user_42'])
      await fetch(url + path, { headers: { authorization: `Bearer ${key}` } });
    broker.kill('SIGTERM');
  });
  const [code] = await ended;
  for (const path of [folder, join(outdir, filling)]) rmSync(path, { recursive: true });
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
