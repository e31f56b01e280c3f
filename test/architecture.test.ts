// Which part may import which. The tables below are the plan of the source tree; docs/architecture.md says why.
import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = new URL('../src/', import.meta.url);

/** Published as a package of its own. */
const CLIENT = /^client\//;
/** Globals that not every JavaScript runtime has. */
const NODE_GLOBALS = /\b(process|Buffer|global|__dirname|__filename|setImmediate|NodeJS|Deno|Bun|window)\b/;

interface Layer {
  name: string;
  files: RegExp;
  /** What it may import of this project. Paths are relative to `src/`. */
  may: RegExp;
  /** The rule, as it is reported with a violation. */
  rule: string;
  /** Of these, only types. */
  typesOnly?: RegExp;
  /** Of these, only by `import(…)`, so that commands that do not need them do not load them. */
  lazily?: RegExp;
  builtins?: false;
}

/**
 * The rooms of the broker, and the rooms that each may import, only through their `index.ts`. A room is listed after those
 * that it imports, so that there is no cycle.
 */
const rooms: Record<string, string[]> = {
  secrets: [],
  withdrawals: [],
  audit: ['secrets'],
  counts: ['audit'],
  signing: ['audit', 'secrets'],
  cache: ['secrets'],
  integrations: ['audit', 'cache', 'secrets'],
  callers: ['integrations', 'audit', 'cache', 'secrets'],
  agents: ['signing', 'audit', 'cache', 'secrets'],
  resources: ['integrations', 'audit', 'cache', 'secrets'],
  connections: ['resources', 'integrations', 'audit', 'cache', 'secrets'],
  portal: ['connections', 'integrations', 'audit', 'cache', 'secrets'],
  refresh: ['integrations', 'audit', 'cache', 'secrets'],
  tokens: ['refresh', 'connections', 'agents', 'resources', 'integrations', 'audit', 'cache', 'secrets'],
  proxy: ['tokens', 'integrations', 'audit', 'cache', 'secrets'],
  events: ['signing', 'audit', 'secrets'],
  webhooks: ['events', 'integrations', 'audit', 'cache', 'secrets'],
  jwt: ['callers', 'integrations', 'audit', 'secrets'],
  console: ['callers', 'cache', 'integrations', 'audit', 'secrets'],
  apply: ['callers', 'integrations', 'audit', 'cache', 'secrets'],
  maintenance: ['refresh', 'connections', 'integrations', 'audit', 'cache', 'secrets'],
  jobs: ['maintenance', 'connections', 'events', 'audit', 'cache', 'secrets'],
};

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
    files: /^ports\//,
    may: /^(domain|ports)\//,
    rule: 'ports imports only domain and its own parts, and no I/O',
    builtins: false,
  },
  {
    name: 'broker',
    files: /^broker\//,
    may: /^(broker|domain|ports)\//,
    rule: 'broker imports only broker, ports and domain',
  },
  {
    name: 'stores',
    files: /^stores\//,
    may: /^(stores\/(shared|sqlite|postgres)|domain|ports)\/|^package-files\.ts$/,
    rule: 'stores import only their own parts, ports, domain and package-files.ts',
  },
  {
    name: 'adapters',
    files: /^adapters\//,
    may: /^(adapters|domain|ports)\/|^package-files\.ts$/,
    rule: 'adapters import only ports, domain, package-files.ts and their own parts',
  },
  {
    name: 'catalogue',
    files: /^catalogue\//,
    may: /^(catalogue|domain)\/|^package-files\.ts$/,
    rule: 'catalogue imports only catalogue, domain and package-files.ts',
  },
  {
    name: 'package files',
    files: /^package-files\.ts$/,
    may: /^$/,
    rule: 'package-files.ts imports nothing of this project',
  },
  { name: 'api', files: /^api\//, may: /^(api|domain)\//, rule: 'api imports only its own parts and domain' },
  {
    name: 'http',
    files: /^http\//,
    may: /^(http|broker|domain|ports|api)\/|^package-files\.ts$/,
    rule: 'http imports only http, broker, ports, domain, api and package-files.ts',
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
    may: /^(api|client|cli|catalogue)\/|^(runtime\/(backup|commands|data-migration|keys|main|setup-error|declarative-file|secret-file)|domain\/visible-text|package-files)\.ts$/,
    typesOnly: /^api\//,
    lazily: /^((runtime\/(backup|commands|data-migration|keys|main|setup-error)|package-files)\.ts$|catalogue\/)/,
    rule: 'cli imports only its own parts, how texts of others are shown, the readers of declarative and secret files, the client and the types of api; the catalogue and the runtime when a command needs them',
  },
  {
    name: 'declarative file',
    files: /^runtime\/(declarative|secret)-file\.ts$/,
    may: /^runtime\/secret-file\.ts$/,
    rule: 'runtime/declarative-file.ts and secret-file.ts import nothing else of this project',
  },
  {
    name: 'config',
    files: /^runtime\/(config|environment|settings)\.ts$/,
    may: /^(domain|catalogue|api)\/|^runtime\/(declarative-file|deployment-checks|secret-file|environment|settings)\.ts$|^adapters\/(keyring|outbound)\//,
    rule: 'runtime/config.ts, environment.ts and settings.ts import only domain, catalogue, api, the declarative file and the parsers of the parts that it configures',
  },
  {
    name: 'runtime',
    files: /^runtime\//,
    may: /^(?!main\.ts$|cli\.ts$|cli\/|client\/)/,
    rule: 'runtime is below main.ts and cli.ts',
  },
  { name: 'main', files: /^main\.ts$/, may: /^runtime\//, rule: 'main.ts imports only runtime' },
];

/** Each adapter is a folder. Those that import another one: */
const adapterLinks: Record<string, string[]> = {
  oauth: ['outbound'],
  webhooks: ['jwt'],
};

/** Where each package may be used. */
const packages: Record<string, RegExp> = {
  '@hono/node-server': /^http\//,
  '@hono/zod-openapi': /^(http|api)\//,
  aws4fetch: /^adapters\/(oauth|outbound)\/aws/,
  'better-sqlite3': /^stores\/sqlite\//,
  'cli-table3': /^cli\//,
  commander: /^cli\//,
  'drizzle-orm': /^stores\/(shared|sqlite|postgres)\//,
  hono: /^http\//,
  'ipaddr.js': /^(adapters\/outbound\/|domain\/ip-ranges)/,
  jose: /^adapters\/(jwt|webhooks)\//,
  'lru-cache': /^(adapters|broker|http|stores)\//,
  open: /^cli\//,
  'openid-client': /^adapters\/oauth\//,
  pg: /^stores\/postgres\//,
  pino: /^adapters\/telemetry\//,
  'prom-client': /^adapters\/telemetry\//,
  'rate-limiter-flexible': /^http\//,
  'structured-headers': /^domain\/limit-windows\.ts$/,
  ulid: /^broker\/secrets\//,
  undici: /^adapters\/outbound\//,
  zod: /^(domain\/|runtime\/(config|settings)\.ts$|cli\/apply)/,
};

const readsEnvironment = /^(runtime\/(main|configured)|cli)\.ts$/;

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

const roomOf = (path: string) => path.split('/')[1]!;
const packageOf = (specifier: string) => specifier.match(/^(@[^/]+\/)?[^/]+/)![0];

function faultOf(file: string, { specifier, kind }: Import, dependencies: Set<string>): string | undefined {
  const layer = layers.find(({ files }) => files.test(file));
  if (!layer) return 'the file belongs to no layer: add one to this test';
  if (specifier.startsWith('(')) return 'an import must name its module';
  if (specifier.startsWith('node:')) return layer.builtins === false ? layer.rule : undefined;
  if (!specifier.startsWith('.')) {
    const name = packageOf(specifier);
    if (!dependencies.has(name)) return `${name} is not among the dependencies of package.json`;
    if (!packages[name]) return `${name} has no place yet: add one to this test`;
    return packages[name].test(file) ? undefined : `${name} stays within ${packages[name].source}`;
  }
  const target = posix.join(posix.dirname(file), specifier);
  if (target.startsWith('..')) return 'src imports nothing outside of src';
  if (!layer.may.test(target)) return layer.rule;
  if (layer.typesOnly?.test(target) && kind !== 'type') return layer.rule;
  if (layer.lazily?.test(target) && kind !== 'lazy') return layer.rule;
  if (layer.name === 'adapters' && target.startsWith('adapters/')) {
    const [from, to] = [roomOf(file), roomOf(target)];
    if (from !== to && !adapterLinks[from]?.includes(to)) return `the adapter ${from} does not import ${to}`;
  }
  if (target.startsWith('broker/')) return roomFault(file, target);
  return undefined;
}

/** Rooms import one another only downwards, and everything outside of a room imports only its `index.ts`. */
function roomFault(file: string, target: string): string | undefined {
  const to = roomOf(target);
  const from = file.startsWith('broker/') ? roomOf(file) : undefined;
  if (from === to) return undefined;
  if (!/^broker\/[a-z]+\/index\.ts$/.test(target)) return `broker/${to} is imported only through its index.ts`;
  if (from === undefined || rooms[from]?.includes(to)) return undefined;
  return `the room ${from} does not import the room ${to}`;
}

/** Each import cycle once, from the file where it is found first. */
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
    .map(
      ([file]) =>
        `${file} imports process.env: only runtime/main.ts, runtime/configured.ts and cli.ts read the environment`,
    );
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

  it('has no import against the layers', () => {
    expect(violations(files, dependencies)).toEqual([]);
  });

  it('has no import that the checker does not see', () => {
    const lines = Object.values(files).flatMap((source) => source.match(/^(import|export) .*from '|^} from '/gm) ?? []);
    expect(lines.length).toBeGreaterThan(100);
    const statements = Object.values(files).flatMap((source) =>
      importsOf(source).filter(({ kind }) => kind !== 'lazy'),
    );
    expect(statements.length).toBe(lines.length);
  });
});

/** Every folder of `src/`, two levels deep. A new one is a line here, and one in docs/architecture.md. */
const FOLDERS = [
  'adapters/jwt',
  'adapters/keyring',
  'adapters/oauth',
  'adapters/outbound',
  'adapters/telemetry',
  'adapters/webhooks',
  'api',
  ...Object.keys(rooms).map((room) => `broker/${room}`),
  'catalogue',
  'cli',
  'client',
  'domain',
  'http',
  'http/console',
  'http/errors',
  'http/fast-path',
  'http/middleware',
  'http/oauth-grants',
  'http/openapi',
  'http/pages',
  'http/presenters',
  'http/proxy',
  'http/routes',
  'ports',
  'runtime',
  'runtime/assembly',
  'runtime/workers',
  'stores',
  'stores/postgres',
  'stores/shared',
  'stores/sqlite',
];

it('every folder of src is known', () => {
  const folders = globSync('**/*.*', { cwd: SRC })
    .map((path) => posix.dirname(path.replaceAll('\\', '/')).split('/').slice(0, 2).join('/'))
    .filter((folder) => folder !== '.');
  expect([...new Set(folders)].sort()).toEqual([...FOLDERS].sort());
});

describe('the checker', () => {
  const check = (file: string, source: string, others: Record<string, string> = {}) =>
    violations({ [file]: source, ...others }, dependencies);

  it('reports the file, the import and the rule', () => {
    expect(
      check('broker/tokens/token-reader.ts', `import { openSqlite } from '../../stores/sqlite/store.ts';`),
    ).toEqual([
      'broker/tokens/token-reader.ts imports ../../stores/sqlite/store.ts: broker imports only broker, ports and domain',
    ]);
  });

  it.each([
    ['domain/caller.ts', `import { readFile } from 'node:fs/promises';`],
    ['domain/caller.ts', `import type { Store } from '../ports/index.ts';`],
    ['domain/caller.ts', `import { ulid } from 'ulid';`],
    ['ports/index.ts', `export * from '../broker/tokens/index.ts';`],
    ['broker/tokens/token-reader.ts', `import type { Env } from '../../http/env.ts';`],
    ['broker/tokens/token-reader.ts', `import {\n  decodeJwt,\n  jwtVerify,\n} from 'jose';`],
    ['broker/tokens/token-reader.ts', `import { createRefresher } from '../refresh/refresher.ts';`],
    ['broker/refresh/refresher.ts', `import type { Tokens } from '../tokens/index.ts';`],
    ['broker/unknown/file.ts', `import { digest } from '../secrets/index.ts';`],
    ['http/routes/tokens.ts', `import { createTokenReader } from '../../broker/tokens/token-reader.ts';`],
    ['adapters/jwt/verify.ts', `import { digest } from '../../broker/secrets/index.ts';`],
    ['adapters/jwt/verify.ts', `import { createOutbound } from '../outbound/outbound.ts';`],
    ['adapters/keyring/keyring.ts', `import 'openid-client';`],
    ['stores/sqlite/store.ts', `import { createOutbound } from '../../adapters/outbound/outbound.ts';`],
    ['stores/open.ts', `import type { Config } from '../runtime/config.ts';`],
    ['stores/open.ts', `const { move } = await import('../broker/maintenance/index.ts');`],
    ['http/server.ts', `import { createKeyRing } from '../adapters/keyring/keyring.ts';`],
    ['http/server.ts', `import { drizzle } from 'drizzle-orm/better-sqlite3';`],
    ['api/index.ts', `import { start } from '../runtime/app.ts';`],
    ['client/index.ts', `import type { Token } from '../api/index.ts';`],
    ['client/cache.ts', `import { LRUCache } from 'lru-cache';`],
    ['client/cache.ts', `import { performance } from 'node:perf_hooks';`],
    ['client/attach-token.ts', `const value = Buffer.from(token).toString('base64');`],
    ['cli.ts', `import { start } from './runtime/app.ts';`],
    ['cli.ts', `const { tokens } = await import('./broker/tokens/index.ts');`],
    ['runtime/app.ts', `import { run } from '../cli/run.ts';`],
    ['runtime/app.ts', `import { describe } from 'vitest';`],
    ['broker/tokens/token-reader.ts', `const secret = process.env.VALETKEY_KEYS;`],
    ['broker/tokens/token-reader.ts', `import { env } from 'node:process';`],
    ['broker/tokens/token-reader.ts', `const part = await import(name);`],
    ['broker/tokens/token-reader.ts', `const load = createRequire(import.meta.url);`],
    ['runtime/config.ts', `import manifest from '../../package.json' with { type: 'json' };`],
    ['helpers/text.ts', `import { z } from 'zod';`],
  ])('refuses in %s: %s', (file, source) => {
    const found = check(file, source);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^${file} imports `));
  });

  it.each([
    ['client/index.ts', `import type { Token } from './types.ts';`],
    ['cli.ts', `const { main } = await import('./runtime/main.ts');`],
    [
      'adapters/oauth/mint.ts',
      `import { createOutbound } from '../outbound/outbound.ts';\nimport { at } from './json-paths.ts';`,
    ],
    ['broker/tokens/token-reader.ts', `import type { Refresher } from '../refresh/index.ts';`],
    ['http/routes/tokens.ts', `import type { TokenReader } from '../../broker/tokens/index.ts';`],
    [
      'broker/tokens/token-reader.ts',
      `// import { x } from '../../http/server.ts';\n/**\n * import('../../runtime/app.ts')\n */\nconst a = 1;`,
    ],
  ])('accepts in %s: %s', (file, source) => {
    expect(check(file, source)).toEqual([]);
  });

  it('lists each room after those that it imports', () => {
    const seen = new Set<string>();
    for (const [room, imported] of Object.entries(rooms)) {
      expect(imported.filter((other) => !seen.has(other))).toEqual([]);
      seen.add(room);
    }
  });

  it('reports the path of an import cycle', () => {
    const found = check('broker/jwt/a.ts', `import { b } from './b.ts';`, {
      'broker/jwt/b.ts': `import type { c } from './c.ts';`,
      'broker/jwt/c.ts': `export { a } from './a.ts';`,
    });
    expect(found).toEqual(['broker/jwt/a.ts → broker/jwt/b.ts → broker/jwt/c.ts → broker/jwt/a.ts: no import cycles']);
  });
});
