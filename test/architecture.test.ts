// Who may import whom. The table below is the plan of the house; docs/architecture.md tells why.
import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = new URL('../src/', import.meta.url);

/** A package of its own. */
const CLIENT = /^client(\.ts$|\/)/;
/** What not every runtime has. */
const NODE_GLOBALS = /\b(process|Buffer|global|__dirname|__filename|setImmediate|NodeJS|Deno|Bun|window)\b/;

interface Layer {
  name: string;
  files: RegExp;
  /** What it imports of this project. Paths begin below `src/`. */
  may: RegExp;
  /** The rule, as it is told to whoever breaks it. */
  rule: string;
  /** Only its types. */
  typesOnly?: RegExp;
  /** Only by `import(…)`, so that what does not need it does not load it. */
  lazily?: RegExp;
  builtins?: false;
}

const layers: Layer[] = [
  {
    name: 'domain',
    files: /^domain\//,
    may: /^domain\//,
    rule: 'domain imports only domain, and no I/O',
    builtins: false,
  },
  {
    name: 'ports',
    files: /^ports(\.ts$|\/)/,
    may: /^(domain|ports)\//,
    rule: 'ports imports only domain and its own parts, and no I/O',
    builtins: false,
  },
  {
    name: 'broker',
    files: /^broker\//,
    may: /^(broker\/|domain\/|ports\.ts$)/,
    rule: 'broker imports only broker, ports and domain',
  },
  {
    name: 'adapters',
    files: /^adapters\//,
    may: /^(adapters\/|domain\/|(ports|files)\.ts$)/,
    rule: 'adapters import only ports, domain, files.ts and their own parts',
  },
  {
    name: 'catalogue',
    files: /^catalogue\//,
    may: /^(catalogue\/|domain\/|files\.ts$)/,
    rule: 'catalogue imports only catalogue, domain and files.ts',
  },
  { name: 'files', files: /^files\.ts$/, may: /^$/, rule: 'files.ts imports nothing of this project' },
  { name: 'api', files: /^api(\.ts$|\/)/, may: /^(api|domain)\//, rule: 'api imports only its own parts and domain' },
  {
    name: 'http',
    files: /^http\//,
    may: /^(http\/|broker\/|domain\/|(ports|api|files)\.ts$)/,
    rule: 'http imports only http, broker, ports, domain, api.ts and files.ts',
  },
  {
    name: 'client',
    files: CLIENT,
    may: /^client\//,
    rule: 'the client imports only its own files: it is a package of its own, and not only for Node',
    builtins: false,
  },
  {
    name: 'cli',
    files: /^cli(\.ts$|\/)/,
    may: /^((api|client|keys|main|stores|files|declared)\.ts$|catalogue\/|cli\/)/,
    typesOnly: /^api\.ts$/,
    lazily: /^((keys|main|stores|files)\.ts$|catalogue\/)/,
    rule: 'cli imports only its own parts, declared.ts, client.ts and the types of api.ts; the catalogue, files.ts, keys.ts, stores.ts and main.ts when a command needs them',
  },
  { name: 'declared', files: /^declared\.ts$/, may: /^$/, rule: 'declared.ts imports nothing of this project' },
  {
    name: 'config',
    files: /^config\.ts$/,
    may: /^(domain\/|catalogue\/|(api|declared)\.ts$|adapters\/(keyring|outbound)\.ts$|broker\/sessions\.ts$)/,
    rule: 'config.ts imports only domain, catalogue, api.ts, declared.ts and the parsers of the parts that it configures',
  },
  {
    name: 'deployment',
    files: /^(keys|stores)\.ts$/,
    may: /^(adapters|broker|domain)\/|^(config|keys|ports|stores)\.ts$/,
    rule: 'keys.ts and stores.ts are below app.ts',
  },
  { name: 'app', files: /^app\.ts$/, may: /^(?!main\.ts$|cli\.ts$)/, rule: 'app.ts is below main.ts and cli.ts' },
  { name: 'main', files: /^main\.ts$/, may: /^(?!cli\.ts$)/, rule: 'main.ts is below cli.ts' },
];

/** An adapter is a file and the folder of the same name. Those that build on another one: */
const adapterLinks: Record<string, string[]> = {
  oauth: ['outbound'],
  outbound: ['outbound-addresses'],
  jwt: ['jwks'],
  sqlite: ['patience', 'rejecting', 'resealing'],
  postgres: ['patience', 'rejecting', 'resealing'],
};

/** Where each package may be used. */
const packages: Record<string, RegExp> = {
  '@hono/node-server': /^http\//,
  '@hono/zod-openapi': /^(http|api)\//,
  aws4fetch: /^adapters\/oauth\/aws/,
  'better-sqlite3': /^adapters\/sqlite\//,
  'cli-table3': /^cli\//,
  commander: /^cli\//,
  'drizzle-orm': /^adapters\/(sqlite|postgres)\//,
  hono: /^http\//,
  'ipaddr.js': /^adapters\/outbound/,
  jose: /^adapters\/(jwt|jwks)/,
  'lru-cache': /^(adapters|broker)\//,
  open: /^cli\//,
  'openid-client': /^adapters\/oauth/,
  pg: /^adapters\/postgres\//,
  pino: /^adapters\/telemetry/,
  'prom-client': /^adapters\/telemetry/,
  'rate-limiter-flexible': /^http\//,
  ulid: /^broker\//,
  undici: /^adapters\/outbound/,
  zod: /^(domain\/|config\.ts$|cli\/apply)/,
};

const readsEnvironment = /^(main|cli)\.ts$/;

interface Import {
  specifier: string;
  kind: 'value' | 'type' | 'lazy';
}

const withoutComments = (source: string) => source.replace(/^\s*(\/\*[\s\S]*?\*\/|\/\/.*$)/gm, '');

function importsOf(source: string): Import[] {
  const code = withoutComments(source);
  const found = (pattern: RegExp, read: (m: RegExpMatchArray) => Import) => [...code.matchAll(pattern)].map(read);
  return [
    ...found(/^(?:import|export)\b([^'"`;]*?)\bfrom\s*['"]([^'"]+)['"]/gm, ([, clause, specifier]) => ({
      specifier: specifier!,
      kind: /^\s*type\b/.test(clause!) ? 'type' : 'value',
    })),
    ...found(/^import\s*['"]([^'"]+)['"]/gm, ([, specifier]) => ({ specifier: specifier!, kind: 'value' })),
    ...found(/\bimport\s*\(\s*(?:['"]([^'"]+)['"])?/g, ([, specifier]) => ({
      specifier: specifier ?? '(computed)',
      kind: 'lazy',
    })),
    ...found(/\b(createRequire|require)\s*\(/g, ([, name]) => ({ specifier: `(${name})`, kind: 'value' })),
  ];
}

const unitOf = (adapter: string) => adapter.split('/')[1]!.replace(/\.ts$/, '');
const packageOf = (specifier: string) => specifier.match(/^(@[^/]+\/)?[^/]+/)![0];

function faultOf(file: string, { specifier, kind }: Import, dependencies: Set<string>): string | undefined {
  const layer = layers.find(({ files }) => files.test(file));
  if (!layer) return 'it belongs to no layer: name one in this test';
  if (specifier.startsWith('(')) return 'imports name their module';
  if (specifier.startsWith('node:')) return layer.builtins === false ? layer.rule : undefined;
  if (!specifier.startsWith('.')) {
    const name = packageOf(specifier);
    if (!dependencies.has(name)) return `${name} is not among the dependencies of package.json`;
    if (!packages[name]) return `${name} has no place yet: name one in this test`;
    return packages[name].test(file) ? undefined : `${name} stays within ${packages[name].source}`;
  }
  const target = posix.join(posix.dirname(file), specifier);
  if (target.startsWith('..')) return 'src imports nothing outside of src';
  if (!layer.may.test(target)) return layer.rule;
  if (layer.typesOnly?.test(target) && kind !== 'type') return layer.rule;
  if (layer.lazily?.test(target) && kind !== 'lazy') return layer.rule;
  if (layer.name === 'adapters' && target.startsWith('adapters/')) {
    const [from, to] = [unitOf(file), unitOf(target)];
    if (from !== to && !adapterLinks[from]?.includes(to)) return `the adapter ${from} does not build on ${to}`;
  }
  return undefined;
}

/** Each way round, once, beginning where it is met first. */
function cyclesOf(files: Record<string, string>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: string[]): void => {
    if (path.includes(file)) {
      cycles.push(`${[...path.slice(path.indexOf(file)), file].join(' → ')}: no import cycles`);
      return;
    }
    if (done.has(file) || files[file] === undefined) return;
    for (const { specifier } of importsOf(files[file])) {
      if (specifier.startsWith('.')) visit(posix.join(posix.dirname(file), specifier), [...path, file]);
    }
    done.add(file);
  };
  for (const file of Object.keys(files)) visit(file, []);
  return cycles;
}

/** `files` by path below `src/`; each violation names the file, the import and the rule. */
function violations(files: Record<string, string>, dependencies: Set<string>): string[] {
  const arrows = Object.entries(files).flatMap(([file, source]) =>
    importsOf(source).flatMap((it) => {
      const rule = faultOf(file, it, dependencies);
      return rule === undefined ? [] : [`${file} imports ${it.specifier}: ${rule}`];
    }),
  );
  const environment = Object.entries(files)
    .filter(([file, source]) => /\bprocess\.env\b|['"]node:process['"]/.test(source) && !readsEnvironment.test(file))
    .map(([file]) => `${file} imports process.env: only main.ts and cli.ts read the environment`);
  const globals = Object.entries(files)
    .filter(([file, source]) => CLIENT.test(file) && NODE_GLOBALS.test(withoutComments(source)))
    .map(([file]) => `${file} imports a global: the client uses only what every runtime has`);
  return [...arrows, ...environment, ...globals, ...cyclesOf(files)];
}

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const dependencies = new Set(Object.keys(manifest.dependencies));

describe('the source tree', () => {
  const paths = globSync('**/*.ts', { cwd: SRC }).map((path) => path.replaceAll('\\', '/'));
  const files = Object.fromEntries(paths.sort().map((path) => [path, readFileSync(new URL(path, SRC), 'utf8')]));

  it('keeps to its layers', () => {
    expect(violations(files, dependencies)).toEqual([]);
  });

  it('is read whole: every line that imports is understood', () => {
    const lines = Object.values(files).flatMap((source) => source.match(/^(import|export) .*from '|^} from '/gm) ?? []);
    expect(lines.length).toBeGreaterThan(100);
    const statements = Object.values(files).flatMap((source) =>
      importsOf(source).filter(({ kind }) => kind !== 'lazy'),
    );
    expect(statements.length).toBe(lines.length);
  });
});

describe('the checker', () => {
  const check = (file: string, source: string, others: Record<string, string> = {}) =>
    violations({ [file]: source, ...others }, dependencies);

  it('names the file, the import and the rule', () => {
    expect(check('broker/tokens.ts', `import { openSqlite } from '../adapters/sqlite/store.ts';`)).toEqual([
      'broker/tokens.ts imports ../adapters/sqlite/store.ts: broker imports only broker, ports and domain',
    ]);
  });

  it.each([
    ['domain/caller.ts', `import { readFile } from 'node:fs/promises';`],
    ['domain/caller.ts', `import type { Store } from '../ports.ts';`],
    ['domain/caller.ts', `import { ulid } from 'ulid';`],
    ['ports.ts', `export * from './broker/tokens.ts';`],
    ['broker/tokens.ts', `import type { Env } from '../http/env.ts';`],
    ['broker/tokens.ts', `import {\n  decodeJwt,\n  jwtVerify,\n} from 'jose';`],
    ['adapters/jwt.ts', `import { tokens } from '../broker/tokens.ts';`],
    ['adapters/jwt.ts', `import { createOutbound } from './outbound.ts';`],
    ['adapters/keyring.ts', `import 'openid-client';`],
    ['http/server.ts', `import { createVault } from '../adapters/keyring.ts';`],
    ['http/server.ts', `import { drizzle } from 'drizzle-orm/better-sqlite3';`],
    ['api.ts', `import { start } from './app.ts';`],
    ['client.ts', `import type { Token } from './api.ts';`],
    ['client/cache.ts', `import { LRUCache } from 'lru-cache';`],
    ['client/cache.ts', `import { performance } from 'node:perf_hooks';`],
    ['client/send.ts', `const value = Buffer.from(token).toString('base64');`],
    ['cli.ts', `import { start } from './app.ts';`],
    ['cli.ts', `const { tokens } = await import('./broker/tokens.ts');`],
    ['app.ts', `import { main } from './main.ts';`],
    ['app.ts', `import { describe } from 'vitest';`],
    ['broker/tokens.ts', `const secret = process.env.VALETKEY_KEYS;`],
    ['broker/tokens.ts', `import { env } from 'node:process';`],
    ['broker/tokens.ts', `const part = await import(name);`],
    ['broker/tokens.ts', `const load = createRequire(import.meta.url);`],
    ['config.ts', `import manifest from '../package.json' with { type: 'json' };`],
    ['helpers/text.ts', `import { z } from 'zod';`],
  ])('refuses in %s: %s', (file, source) => {
    const found = check(file, source);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^${file} imports `));
  });

  it.each([
    ['client.ts', `import type { Token } from './client/types.ts';`],
    ['cli.ts', `const { main } = await import('./main.ts');`],
    ['adapters/oauth/faults.ts', `import { fetchOut } from '../outbound.ts';\nimport { mend } from './answers.ts';`],
    ['broker/tokens.ts', `// import { x } from '../http/server.ts';\n/**\n * import('../app.ts')\n */\nconst a = 1;`],
  ])('lets pass in %s: %s', (file, source) => {
    expect(check(file, source)).toEqual([]);
  });

  it('shows the way round a cycle', () => {
    const found = check('broker/a.ts', `import { b } from './b.ts';`, {
      'broker/b.ts': `import type { c } from './c.ts';`,
      'broker/c.ts': `export { a } from './a.ts';`,
    });
    expect(found).toEqual(['broker/a.ts → broker/b.ts → broker/c.ts → broker/a.ts: no import cycles']);
  });
});
